//! The host's own interface on a macvlan network (`netd.macvlan.host_access`): who reaches whom by it, its
//! repair and its end.

use std::{net::IpAddr, time::Duration};

use netd_tests::lab::{Agent, EchoServer, Lab, Traces, addresses::*, asks, is_kept_from, reaches};

const PORT: u16 = 7000;
/// A busy test machine gets more than is promised: 2 s where the kernel tells, 30 s where it does not.
const TOLD: Duration = Duration::from_secs(60);
const CREATE: &str = "network create -d macvlan -o parent=eth0 -o netd.macvlan.host_access=true \
    --subnet 198.18.0.0/24 --ip-range 198.18.0.128/27 --gateway 198.18.0.1 \
    --ipv6 --subnet 2001:db8:18::/64 --ip-range 2001:db8:18::8000/113 --gateway 2001:db8:18::1 mv";
/// The first addresses of the ranges are the host's, the next ones those of sandbox `one`.
const PAIRS: [(&str, &str); 2] = [
    ("198.18.0.128", "198.18.0.129"),
    ("2001:db8:18::8000", "2001:db8:18::8001"),
];

fn start(name: &str) -> (Lab, Agent) {
    let lab = Lab::new(name);
    let agent = lab.agent("");
    (lab, agent)
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// The host's interface.
fn access_link(lab: &Lab) -> String {
    let links = lab.host().ok("ip -o link show type macvlan");
    let name = links.split_whitespace().nth(1).expect("an interface");
    name.split('@').next().unwrap_or_default().to_owned()
}

#[test]
fn host_and_sandboxes_reach_each_other() {
    let (lab, _agent) = start("access");
    let before = Traces::of(&lab);
    lab.netd(CREATE);
    lab.netd("sandbox create --name one --network mv");
    let one = lab.sandbox("one");
    let link = access_link(&lab);
    let shown = lab.host().ok(&format!("ip -d link show dev {link}"));
    assert!(
        shown.contains(&format!("alias netd:host-access:{link}")),
        "{shown}"
    );
    let config = lab.netd("network inspect -f '{{json .IPAM.Config}}' mv");
    let _server = EchoServer::start(&one, PORT);
    let _on_host = EchoServer::start(lab.host(), PORT + 1);
    for (host, sandbox) in PAIRS {
        let named = format!(r#""AuxiliaryAddresses":{{"netd.macvlan.host_access":"{host}"}}"#);
        assert!(config.contains(&named), "{config}");
        assert_eq!(reaches(lab.host(), address(sandbox), PORT), address(host));
        assert_eq!(reaches(&one, address(host), PORT + 1), address(sandbox));
        // Others go on as they did.
        reaches(lab.outside(), address(sandbox), PORT);
        lab.outside().ok(&format!("ping -n -c 1 -W 5 {host}"));
    }
    // Who knows the host's usual address still finds it where it was.
    let shown = lab.host().ok("ip -o link show dev eth0");
    let mac = shown.split("link/ether ").nth(1).expect("its address");
    let mac = &mac[.."02:42:00:00:00:00".len()];
    lab.outside().ok(&format!("ping -n -c 1 -W 5 {HOST}"));
    let entry = lab.outside().ok(&format!("ip neigh show {HOST} dev eth0"));
    assert!(entry.contains(mac), "{mac}: {entry}");
    lab.netd("network disconnect mv one");
    let routes = || {
        let host = lab.host();
        ["-4", "-6"].map(|family| {
            let listed = host.ok(&format!("ip {family} route show dev {link} proto 178"));
            listed.lines().count()
        })
    };
    assert_eq!(routes(), [0, 0]);
    lab.netd("network connect mv one");
    assert_eq!(routes(), [1, 1]);
    lab.netd("sandbox rm one");
    lab.netd("network rm mv");
    Traces::of(&lab).are_those_of(&before);
}

#[test]
fn published_ports_and_bridge_networks_are_reached_by_it() {
    let (lab, _agent) = start("access-bridge");
    lab.netd(CREATE);
    lab.netd("sandbox create --name one --network mv");
    lab.netd("network create --ipv6 app");
    lab.netd(&format!(
        "sandbox create --name web --network app -p 8080:{PORT} -p 8080:{PORT}/udp"
    ));
    let (one, web) = (lab.sandbox("one"), lab.sandbox("web"));
    let _web = EchoServer::start(&web, PORT);
    let _one = EchoServer::start(&one, PORT);
    for (host, sandbox) in PAIRS {
        let seen = asks(&one, (address(host), 8080).into());
        assert_eq!(seen, address(sandbox), "published at {host}");
        assert_eq!(reaches(&web, address(sandbox), PORT), address(host));
    }
    is_kept_from(&one, lab.address("web", "app"), PORT);
}

#[test]
fn what_is_broken_is_repaired_and_a_new_agent_touches_nothing() {
    let (lab, mut agent) = start("access-drift");
    lab.netd(CREATE);
    lab.netd("sandbox create --name one --network mv");
    let link = access_link(&lab);
    let host = lab.host();
    let is_there = || {
        PAIRS.iter().all(|(_, sandbox)| {
            let ping = host.run(&format!("ping -n -c 1 -W 0.5 {sandbox}"));
            ping.is_ok_and(|ping| ping.succeeded())
        })
    };
    lab.wait_until("the host reaches it", TOLD, is_there);
    for damage in [
        format!("ip link delete {link}"),
        format!("ip link set {link} down"),
        format!("ip address del {}/32 dev {link}", PAIRS[0].0),
        // Of these nobody tells.
        format!(
            "sh -c 'ip route delete {}/32; ip -6 route delete {}/128'",
            PAIRS[0].1, PAIRS[1].1
        ),
    ] {
        host.ok(&damage);
        lab.wait_until(&damage, TOLD, is_there);
    }
    let shown = || host.ok("ip -o link show type macvlan") + &host.ok("ip -o address");
    let before = shown();
    agent.kill();
    assert!(is_there(), "without an agent");
    agent.start_again().expect("the agent");
    assert_eq!(shown(), before);
    let log = agent.log();
    assert!(!log.contains("repaired"), "{log}");
}

#[test]
fn a_route_of_the_hosts_own_is_not_taken() {
    let (lab, _agent) = start("access-own-route");
    lab.netd(CREATE);
    let (_, sandbox) = PAIRS[0];
    let route = format!("{sandbox}/32 via {OUTSIDE}");
    lab.host().ok(&format!("ip route add {route}"));
    let refused = lab.netd_refuses("sandbox create --name one --network mv");
    assert!(
        refused
            .stderr
            .contains(&format!("add route {sandbox}/32 dev mh-"))
            && refused.stderr.contains("File exists"),
        "{}",
        refused.stderr
    );
    let left = lab.host().ok(&format!("ip route show {sandbox}"));
    assert!(left.contains(OUTSIDE), "{left}");
    // Another address has no such route.
    lab.netd("sandbox create --name one --network name=mv,ip=198.18.0.140");
    lab.host().ok("ping -n -c 1 -W 5 198.18.0.140");
}

/// An endpoint's address is from the first subnet that has one left, and the host meets it there.
#[test]
fn each_subnet_has_an_address_of_the_hosts() {
    let (lab, _agent) = start("access-subnets");
    lab.netd(
        "network create -d macvlan --internal -o parent=eth0 -o netd.macvlan.host_access=true \
         --subnet 10.41.0.0/30 --subnet 10.42.0.0/29 --aux-address netd.macvlan.host_access=10.42.0.5 mv",
    );
    for (name, own, host) in [
        ("first", "10.41.0.2", "10.41.0.1"),
        ("second", "10.42.0.1", "10.42.0.5"),
    ] {
        lab.netd(&format!("sandbox create --name {name} --network mv"));
        assert_eq!(lab.address(name, "mv"), address(own));
        let sandbox = lab.sandbox(name);
        let _server = EchoServer::start(&sandbox, PORT);
        assert_eq!(reaches(lab.host(), address(own), PORT), address(host));
        sandbox.ok(&format!("ping -n -c 1 -W 5 {host}"));
    }
    let full = lab.netd("network inspect -f '{{json .Status}}' mv");
    assert!(
        full.contains(r#""10.41.0.0/30":{"IPsInUse":4,"DynamicIPsAvailable":0}"#),
        "{full}"
    );
}
