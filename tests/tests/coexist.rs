//! Beside Docker and a strict packet filter: their rules stay as they are and do not stop netd's
//! traffic, and netd's subnets keep out of theirs.

use std::{net::SocketAddr, time::Duration};

use netd_tests::lab::{
    App, EchoServer, Lab, addresses::*, asks, gets_no_answer, is_kept_from, patient, reaches,
};

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
    gets_no_answer(
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

/// Whether bridged packets are shown to iptables, and what the policy for forwarded ones is, is not
/// asked: neither within a network, nor on the way out and in, nor between networks whose gateway modes
/// let some in.
#[test]
fn bridge_netfilter_and_the_forward_policy_change_nothing() {
    const MODE: &str = "-o com.docker.network.bridge.gateway_mode";
    const BRIDGED: [&str; 2] = [
        "net.bridge.bridge-nf-call-iptables",
        "net.bridge.bridge-nf-call-ip6tables",
    ];
    const CLOSED: u16 = 7001;
    let app = App::in_lab(beside_docker("bridge-nf"), "", PUBLISH);
    let lab = &app.lab;
    lab.netd(&format!(
        "network create --ipv6 {MODE}_ipv4=routed {MODE}_ipv6=routed open"
    ));
    lab.netd("sandbox create --name open --network open -p 9000:7000 -p 9000:7000/udp");
    let open = lab.sandbox("open");
    let _servers = [
        EchoServer::start(&app.web, PORT),
        EchoServer::start(&open, PORT),
        EchoServer::start(&open, CLOSED),
        EchoServer::start(lab.outside(), PORT),
    ];
    let both = |sandbox: &str, network: &str| {
        [
            lab.address(sandbox, network),
            lab.address6(sandbox, network),
        ]
    };
    let (web, client, routed) = (
        both("web", "app"),
        both("client", "app"),
        both("open", "open"),
    );
    let gateways = [lab.gateway("open", "open"), lab.gateway6("open", "open")];
    let group = std::net::Ipv4Addr::new(239, 1, 2, 3);
    let hears = app
        .web
        .udp_bind("0.0.0.0:5353".parse().expect("any"))
        .expect("a socket");
    let std::net::IpAddr::V4(own) = web[0] else {
        panic!("{web:?}");
    };
    hears.join_multicast_v4(&group, &own).expect("to join");
    hears
        .set_read_timeout(Some(patient(Duration::from_secs(5))))
        .expect("a limit");
    let speaks = app
        .client
        .udp_bind(SocketAddr::new(client[0], 0))
        .expect("a socket");
    // A kernel without br_netfilter has no such sysctl, and shows no bridged packet to anybody.
    let shown = lab.host().read_sysctl(BRIDGED[0]).is_ok();
    for (number, (bridged, policy)) in [("1", "drop"), ("0", "drop"), ("1", "accept")]
        .iter()
        .enumerate()
    {
        for sysctl in BRIDGED.into_iter().filter(|_| shown) {
            lab.host().sysctl(sysctl, bridged).expect("a sysctl");
        }
        lab.host().ok(&format!(
            "nft add chain inet filter forward {{ policy {policy}; }}"
        ));
        let (host, outside) = ([HOST, HOST6], [OUTSIDE, OUTSIDE6]);
        for family in [0, 1] {
            let at =
                |address: &str, port| SocketAddr::new(address.parse().expect("an address"), port);
            assert_eq!(reaches(&app.client, web[family], PORT), client[family]);
            let public = at([PUBLIC, PUBLIC6][family], PORT);
            assert_eq!(asks(&app.client, public).to_string(), host[family]);
            let seen = asks(lab.outside(), at(host[family], 8080));
            assert_eq!(seen.to_string(), outside[family]);
            // From a masqueraded network into a routed one: open ports and ping.
            assert_eq!(reaches(&app.client, routed[family], PORT), gateways[family]);
            if number != 1 {
                gets_no_answer(&app.client, SocketAddr::new(routed[family], CLOSED));
                is_kept_from(&open, web[family], PORT);
            }
        }
        speaks.send_to(b"all", (group, 5_353)).expect("to send");
        let heard = hears.recv(&mut [0; 9]);
        assert!(
            heard.is_ok(),
            "bridged {bridged}, policy {policy}: {heard:?}"
        );
    }
}

/// Neither the bridge of others nor that of another network can be had by name, and so be removed.
#[test]
fn a_bridge_that_is_there_is_not_taken() {
    let lab = beside_docker("docker0");
    let _agent = lab.agent("");
    let shown = |bridge: &str| {
        let host = lab.host();
        [
            host.ok(&format!("ip -o link show dev {bridge}")),
            host.ok(&format!("ip -o address show dev {bridge}")),
        ]
    };
    for bridge in ["docker0", "netd0"] {
        let before = (shown(bridge), lab.netd("network ls"));
        let refused = lab.netd_refuses(&format!(
            "network create -o com.docker.network.bridge.name={bridge} x"
        ));
        assert!(refused.stderr.contains(bridge), "{}", refused.describe());
        assert_eq!((shown(bridge), lab.netd("network ls")), before);
        lab.netd_refuses("network rm x");
        assert_eq!(shown(bridge), before.0);
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
