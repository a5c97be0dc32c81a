//! The agent ends, by accident or in order, and starts again: traffic does not notice, and what is
//! right is not touched.

use std::{net::SocketAddr, time::Duration};

use netd_tests::lab::{App, EchoServer, Traces, Traffic, addresses::*, asks, reaches};
use nix::sys::signal::Signal;

const PORT: u16 = 7000;
const PUBLISH: &str = "-p 8080:7000/tcp -p 8080:7000/udp";

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().expect("an address"), port)
}

/// Every journey, long-lived and new.
fn all_traffic(app: &App) -> Vec<Traffic> {
    let lab = &app.lab;
    let web = SocketAddr::new(lab.address("web", "app"), PORT);
    let web6 = SocketAddr::new(lab.address6("web", "app"), PORT);
    let udp = |from, to| Traffic::udp(from, to).expect("UDP");
    let tcp = |from, to| Traffic::tcp(from, to).expect("TCP");
    vec![
        udp(&app.client, web),
        tcp(&app.client, web6),
        udp(&app.client, at(PUBLIC, PORT)),
        tcp(&app.client, at(PUBLIC6, PORT)),
        udp(lab.outside(), at(HOST6, 8080)),
        tcp(lab.outside(), at(HOST, 8080)),
        Traffic::connections(lab.outside(), at(HOST, 8080)),
        Traffic::connections(&app.client, at(PUBLIC, PORT)),
    ]
}

#[test]
fn nothing_is_lost_when_the_agent_is_killed() {
    let mut app = App::with("kill", "", PUBLISH);
    let _web = EchoServer::start(&app.web, PORT);
    let _outside = EchoServer::start(app.lab.outside(), PORT);
    let traffic = all_traffic(&app);
    for _ in 0..3 {
        traffic.iter().for_each(|traffic| traffic.flows_on(20));
        app.agent.kill();
        traffic.iter().for_each(|traffic| traffic.flows_on(50));
        app.agent.start_again().expect("the agent");
    }
    traffic.iter().for_each(|traffic| traffic.flows_on(20));
    for traffic in traffic {
        assert!(traffic.end() >= 200);
    }
}

#[test]
fn nothing_is_lost_when_the_agent_is_stopped() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut app = App::with("stop", "", PUBLISH);
        let _web = EchoServer::start(&app.web, PORT);
        let _outside = EchoServer::start(app.lab.outside(), PORT);
        let traffic = all_traffic(&app);
        traffic.iter().for_each(|traffic| traffic.flows_on(20));
        let ended = app.agent.end(signal);
        assert!(ended.succeeded(), "{}", ended.describe());
        traffic.iter().for_each(|traffic| traffic.flows_on(50));
        app.agent.start_again().expect("the agent");
        for traffic in traffic {
            assert!(traffic.end() >= 50);
        }
    }
}

#[test]
fn a_start_changes_nothing_that_is_right() {
    let mut app = App::with("unchanged", "", PUBLISH);
    let (before, links) = (Traces::of(&app.lab), app.lab.bpf_links());
    let inspected = app.lab.netd("sandbox inspect web client");
    assert!(
        before.count("link") >= 6 && before.count("neighbour") >= 4,
        "{before:#?}"
    );
    assert!(
        links.iter().any(|(pin, _)| pin.ends_with("from_endpoint")),
        "{links:?}"
    );
    app.agent.kill();
    app.agent.start_again().expect("the agent");
    Traces::of(&app.lab).are_those_of(&before);
    assert_eq!(app.lab.bpf_links(), links);
    assert_eq!(app.lab.netd("sandbox inspect web client"), inspected);
    let log = app.agent.log();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}

#[test]
fn what_changed_while_it_was_away_is_put_right() {
    let mut app = App::with("away", "", PUBLISH);
    let _web = EchoServer::start(&app.web, PORT);
    let (bridge, web) = (app.lab.bridge_of("app"), app.lab.address("web", "app"));
    app.agent.kill();
    app.lab.host().ok(&format!("ip link delete {bridge}"));
    // The uplink's address is another now.
    app.lab.host().ok("ip address add 198.18.0.3/24 dev eth0");
    app.agent.start_again().expect("the agent");
    reaches(&app.client, web, PORT);
    asks(app.lab.outside(), at("198.18.0.3", 8080));
}

#[test]
fn a_change_that_was_acknowledged_survives() {
    let mut app = App::start("acknowledged");
    for round in 0..5 {
        let id = app.lab.netd(&format!("network create net{round}"));
        app.agent.kill();
        app.agent.start_again().expect("the agent");
        let found = app.lab.netd_json(&format!("network inspect net{round}"));
        assert_eq!(found[0]["Id"], id.as_str());
    }
    // While it is down, the command line says what to do.
    app.agent.kill();
    let refused = app.lab.netd_refuses("network ls");
    assert!(refused.stderr.contains("no agent at"), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("try: netd run"),
        "{}",
        refused.stderr
    );
    assert_eq!(refused.status.code(), Some(1));
}

#[test]
fn names_resolve_while_it_is_frozen_or_dead() {
    let mut app = App::start("frozen");
    let address = app.lab.address("web", "app").to_string();
    let resolv_conf = app.lab.netd("exec client -- cat /etc/resolv.conf");
    assert!(resolv_conf.contains("127.0.0.11"), "{resolv_conf}");
    let dig = "dig @127.0.0.11 +short +tries=1 +time=2 web A";
    assert_eq!(app.client.ok(dig), address);
    app.agent.freeze();
    assert_eq!(app.client.ok(dig), address);
    app.agent.thaw();
    app.agent.kill();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(app.client.ok(dig), address);
}
