//! Beside Docker and a strict packet filter: their rules stay as they are and do not stop netd's
//! traffic, and netd's subnets keep out of theirs.

use std::net::SocketAddr;

use netd_tests::lab::{App, EchoServer, Lab, addresses::*, asks, reaches};

const PORT: u16 = 7000;
const PUBLISH: &str = "-p 8080:7000/tcp -p 8080:7000/udp";

/// A lab whose host is as dockerd leaves it.
fn beside_docker(name: &str) -> Lab {
    let lab = Lab::new(name);
    let host = lab.host();
    host.ok("ip link add docker0 type bridge");
    host.ok("ip address add 172.17.0.1/16 dev docker0");
    host.ok("ip link set docker0 up");
    host.sysctl("net.ipv4.ip_forward", "1").expect("sysctl");
    lab.load_strict_rules();
    lab
}

#[test]
fn strict_rules_do_not_stop_our_traffic() {
    let app = App::in_lab(beside_docker("filter"), "", PUBLISH);
    let lab = &app.lab;
    let _web = EchoServer::start(&app.web, PORT);
    let _outside = EchoServer::start(lab.outside(), PORT);
    // The rules work: the host itself is closed.
    let _host = EchoServer::start(lab.host(), PORT);
    netd_tests::lab::gets_no_answer(
        lab.outside(),
        SocketAddr::new(HOST.parse().expect("an address"), PORT),
    );
    for (web, own) in [
        (lab.address("web", "app"), lab.address("client", "app")),
        (lab.address6("web", "app"), lab.address6("client", "app")),
    ] {
        assert_eq!(reaches(&app.client, web, PORT), own);
    }
    for (to, host, outside) in [(PUBLIC, HOST, OUTSIDE), (PUBLIC6, HOST6, OUTSIDE6)] {
        let seen = reaches(&app.client, to.parse().expect("an address"), PORT);
        assert_eq!(seen.to_string(), host);
        let published = SocketAddr::new(host.parse().expect("an address"), 8080);
        assert_eq!(asks(lab.outside(), published).to_string(), outside);
    }
}

#[test]
fn names_and_the_resolver_work_behind_a_closed_input() {
    let app = App::in_lab(beside_docker("filter-dns"), "", "");
    let web = app.lab.address("web", "app").to_string();
    let dig = |arguments: &str| {
        app.client.ok(&format!(
            "dig @127.0.0.11 +short +tries=1 +time=3 {arguments}"
        ))
    };
    assert_eq!(dig("web A"), web);
    // TCP is always the agent's.
    assert_eq!(dig("+tcp web A"), web);
}

#[test]
fn the_rules_of_others_are_not_touched() {
    let lab = beside_docker("untouched");
    let before = lab.host().ok("nft list ruleset");
    let links = lab.host().ok("ip -o link show dev docker0");
    let mut app = App::in_lab(lab, "", PUBLISH);
    assert_eq!(app.lab.host().ok("nft list ruleset"), before);
    assert_eq!(app.lab.host().ok("ip -o link show dev docker0"), links);
    app.lab.netd("down -f");
    app.agent.wait().expect("the agent ends");
    assert_eq!(app.lab.host().ok("nft list ruleset"), before);
    assert_eq!(app.lab.host().ok("ip -o link show dev docker0"), links);
    assert_eq!(
        app.lab
            .host()
            .read_sysctl("net.ipv4.ip_forward")
            .expect("sysctl"),
        "1"
    );
}

#[test]
fn a_flushed_filter_takes_nothing_of_ours_along() {
    let app = App::in_lab(beside_docker("flushed"), "", PUBLISH);
    let _web = EchoServer::start(&app.web, PORT);
    let published = SocketAddr::new(HOST.parse().expect("an address"), 8080);
    asks(app.lab.outside(), published);
    app.lab.host().ok("nft flush ruleset");
    asks(app.lab.outside(), published);
    assert_eq!(app.lab.host().ok("nft list ruleset"), "");
}

#[test]
fn our_subnets_keep_out_of_dockers_and_of_routes() {
    let lab = beside_docker("pools");
    // A VPN has the next pool.
    lab.host().ok("ip route add 172.18.0.0/16 dev docker0");
    let _agent = lab.agent("");
    let subnet = |network: &str| {
        let inspected = lab.netd_json(&format!("network inspect {network}"));
        let subnet = inspected[0]["IPAM"]["Config"][0]["Subnet"].as_str();
        subnet.expect("a subnet").to_owned()
    };
    lab.netd("network create app");
    for network in ["bridge", "app"] {
        let subnet = subnet(network);
        assert!(
            !subnet.starts_with("172.17.") && !subnet.starts_with("172.18."),
            "{network} has {subnet}"
        );
    }
    let refused = lab.netd_refuses("network create --subnet 172.17.5.0/24 taken");
    assert!(refused.stderr.starts_with("netd: "), "{}", refused.stderr);
}
