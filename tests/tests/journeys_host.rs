//! Journeys 6 and 9: between sandboxes and their own host, both directions and families.

use std::net::IpAddr;

use netd_tests::lab::{App, EchoServer, addresses::*, reaches};

const PORT: u16 = 7000;

fn ip(address: &str) -> IpAddr {
    address.parse().expect("an address")
}

#[test]
fn a_sandbox_reaches_its_gateway_and_the_hosts_addresses() {
    let app = App::start("to-host");
    let _server = EchoServer::start(app.lab.host(), PORT);
    let lab = &app.lab;
    for (to, client) in [
        (lab.gateway("client", "app"), lab.address("client", "app")),
        (ip(HOST), lab.address("client", "app")),
        (lab.gateway6("client", "app"), lab.address6("client", "app")),
        (ip(HOST6), lab.address6("client", "app")),
    ] {
        assert_eq!(reaches(&app.client, to, PORT), client, "to {to}");
    }
}

#[test]
fn the_host_reaches_sandboxes_of_any_network() {
    for (name, options) in [
        ("plain", ""),
        ("internal", "--internal"),
        ("icc-off", "-o com.docker.network.bridge.enable_icc=false"),
    ] {
        let app = App::with(&format!("from-host-{name}"), options, "");
        let _server = EchoServer::start(&app.web, PORT);
        let lab = &app.lab;
        let inspected = lab.netd_json("network inspect app");
        let gateways: Vec<IpAddr> = inspected[0]["IPAM"]["Config"]
            .as_array()
            .expect("subnets")
            .iter()
            .filter_map(|config| config["Gateway"].as_str()?.parse().ok())
            .collect();
        for to in [lab.address("web", "app"), lab.address6("web", "app")] {
            let seen = reaches(lab.host(), to, PORT);
            assert!(
                gateways.contains(&seen),
                "{name}: {seen} is no gateway of {gateways:?}"
            );
        }
    }
}

#[test]
fn the_default_network_works_like_any_other() {
    let lab = netd_tests::lab::Lab::new("default");
    let _agent = lab.agent("");
    lab.netd("sandbox create --name a -p 8080:7000");
    lab.netd("sandbox create --name b");
    let (a, b) = (lab.sandbox("a"), lab.sandbox("b"));
    let _server = EchoServer::start(&a, PORT);
    let _outside = EchoServer::start(lab.outside(), PORT);
    assert_eq!(
        reaches(&b, lab.address("a", "bridge"), PORT),
        lab.address("b", "bridge")
    );
    assert_eq!(reaches(&b, ip(PUBLIC), PORT), ip(HOST));
    // It has no names, and the host's nameservers.
    b.fails("dig @127.0.0.11 +tries=1 +time=1 a A");
    let resolv_conf = lab.netd("exec b -- cat /etc/resolv.conf");
    assert!(resolv_conf.contains(PUBLIC), "{resolv_conf}");
}
