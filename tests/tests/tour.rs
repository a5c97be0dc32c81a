//! The nine main journeys of packets, one after the other in one lab with one agent, both families: what
//! is run on emulated kernels too, where starting an agent takes longest. `journeys_*` and `dns` look closer.

use std::{
    net::{IpAddr, SocketAddr},
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use netd_tests::lab::{
    Agent, EchoServer, Lab, Namespace, addresses::*, asks, gets_no_answer, is_kept_from, reaches,
};
use nix::sys::utsname::uname;

const PORT: u16 = 7000;
/// Of the host, published for `web`.
const PUBLISHED: u16 = 8080;
/// The first kernel that has tcx.
const TCX: (u32, u32) = (6, 6);

/// Networks `app`, `other` and the internal `closed`, on which nobody talks to another.
struct Tour {
    web: Namespace,
    client: Namespace,
    /// On `other`.
    stranger: Namespace,
    /// On `closed`.
    hidden: Namespace,
    agent: Agent,
    lab: Lab,
}

/// For people, and what it does.
type Journey = (&'static str, fn(&Tour));

fn start() -> Tour {
    let lab = Lab::new("tour");
    let agent = lab.agent("");
    lab.netd("network create --ipv6 app");
    lab.netd("network create --ipv6 other");
    lab.netd(
        "network create --ipv6 --internal -o com.docker.network.bridge.enable_icc=false closed",
    );
    let publish = format!("-p {PUBLISHED}:{PORT}/tcp -p {PUBLISHED}:{PORT}/udp");
    for (name, network, options) in [
        ("web", "app", publish.as_str()),
        ("client", "app", ""),
        ("stranger", "other", ""),
        ("hidden", "closed", ""),
        ("beside", "closed", ""),
    ] {
        lab.netd(&format!(
            "sandbox create --name {name} --network {network} {options}"
        ));
    }
    Tour {
        web: lab.sandbox("web"),
        client: lab.sandbox("client"),
        stranger: lab.sandbox("stranger"),
        hidden: lab.sandbox("hidden"),
        agent,
        lab,
    }
}

impl Tour {
    /// IPv4, then IPv6.
    fn both(&self, sandbox: &str, network: &str) -> [IpAddr; 2] {
        [
            self.lab.address(sandbox, network),
            self.lab.address6(sandbox, network),
        ]
    }

    fn gateways(&self, sandbox: &str, network: &str) -> [IpAddr; 2] {
        [
            self.lab.gateway(sandbox, network),
            self.lab.gateway6(sandbox, network),
        ]
    }

    #[track_caller]
    fn drops(&self, reason: &str, least: u64) {
        let (counted, drops) = (self.lab.drops(reason), || self.lab.netd("drops"));
        assert!(counted >= least, "{counted} {reason}: {}", drops());
    }
}

fn ips(addresses: [&str; 2]) -> [IpAddr; 2] {
    addresses.map(|address| address.parse().expect("an address"))
}

fn published(address: IpAddr) -> SocketAddr {
    SocketAddr::new(address, PUBLISHED)
}

/// Pings once; the answer's hop limit.
#[track_caller]
fn ttl(from: &Namespace, to: IpAddr) -> String {
    let ping = from.ok(&format!("ping -n -c 1 -W 30 {to}"));
    let rest = ping.split_once("ttl=").map(|(_, rest)| rest);
    let ttl = rest.and_then(|rest| rest.split_whitespace().next());
    ttl.unwrap_or_else(|| panic!("{ping}")).to_owned()
}

/// Each by its number; a failed one does not hide the others.
#[test]
fn every_journey_works() {
    let mut tour = start();
    let journeys: [Journey; 9] = [
        ("1, inside a network and between networks", inside),
        ("2 and 3, out and back", out_and_back),
        ("4, a published port from outside", from_outside),
        ("5, a published port from sandboxes", from_sandboxes),
        ("5, a published port from the host", from_the_host),
        ("6, to the host", to_the_host),
        ("7, uninvited to a sandbox", uninvited),
        ("8, names", names),
        ("9, from the host", to_sandboxes),
    ];
    hooks(&tour);
    let mut failed = Vec::new();
    for (name, journey) in journeys {
        let began = Instant::now();
        if catch_unwind(AssertUnwindSafe(|| journey(&tour))).is_err() {
            failed.push(name);
        }
        println!("journey {name}: {:.1} s", began.elapsed().as_secs_f32());
    }
    assert!(failed.is_empty(), "failed: {failed:#?}");
    without_the_agent(&mut tour);
}

/// Programs hang on tcx where the kernel has it, else on clsact.
fn hooks(tour: &Tour) {
    let release = uname().expect("uname");
    let release = release.release().to_string_lossy();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let hook = if version >= TCX { "tcx" } else { "clsact" };
    let status = tour.lab.netd("status");
    assert!(status.contains(hook), "Linux {release}: {status}");
    println!("Linux {release}: {hook}");
}

fn inside(tour: &Tour) {
    let _server = EchoServer::start(&tour.web, PORT);
    let clients = tour.both("client", "app");
    for (web, client) in tour.both("web", "app").into_iter().zip(clients) {
        assert_eq!(reaches(&tour.client, web, PORT), client);
        assert_eq!(ttl(&tour.client, web), "64", "no hop in between");
        is_kept_from(&tour.stranger, web, PORT);
    }
    tour.drops("other-network", 6);
    let _hidden = EchoServer::start(&tour.hidden, PORT);
    let beside = tour.lab.sandbox("beside");
    for hidden in tour.both("hidden", "closed") {
        is_kept_from(&beside, hidden, PORT);
    }
    tour.drops("icc-off", 6);
}

fn out_and_back(tour: &Tour) {
    let _server = EchoServer::start(tour.lab.outside(), PORT);
    for (to, host) in ips([PUBLIC, PUBLIC6]).into_iter().zip(ips([HOST, HOST6])) {
        assert_eq!(reaches(&tour.client, to, PORT), host);
        assert_eq!(ttl(&tour.client, to), "63", "the host is a hop");
    }
    let gateway = tour.lab.netd_json("network inspect closed");
    let gateway = gateway[0]["IPAM"]["Config"][0]["Gateway"].as_str();
    let route = format!("ip route add default via {}", gateway.expect("a gateway"));
    tour.hidden.ok(&route);
    is_kept_from(&tour.hidden, ips([PUBLIC, PUBLIC6])[0], PORT);
    tour.drops("internal-network", 3);
}

fn from_outside(tour: &Tour) {
    let _server = EchoServer::start(&tour.web, PORT);
    let clients = ips([OUTSIDE, OUTSIDE6]);
    for (host, client) in ips([HOST, HOST6]).into_iter().zip(clients) {
        assert_eq!(asks(tour.lab.outside(), published(host)), client);
        gets_no_answer(tour.lab.outside(), SocketAddr::new(host, PORT));
    }
}

fn from_sandboxes(tour: &Tour) {
    let _server = EchoServer::start(&tour.web, PORT);
    let (clients, strangers) = (tour.both("client", "app"), tour.both("stranger", "other"));
    let gateways = tour.gateways("web", "app");
    for (at, host) in ips([HOST, HOST6]).into_iter().enumerate() {
        let to = published(host);
        assert_eq!(asks(&tour.client, to), clients[at], "same network");
        assert_eq!(asks(&tour.stranger, to), strangers[at], "another network");
        assert_eq!(asks(&tour.web, to), gateways[at], "the publisher itself");
        let gateway = published(gateways[at]);
        assert_eq!(asks(&tour.client, gateway), clients[at], "by its gateway");
    }
}

fn from_the_host(tour: &Tour) {
    let _server = EchoServer::start(&tour.web, PORT);
    let gateways = tour.gateways("web", "app");
    for own in [["127.0.0.1", "::1"], [HOST, HOST6]] {
        for (address, gateway) in ips(own).into_iter().zip(gateways) {
            let seen = asks(tour.lab.host(), published(address));
            assert_eq!(seen, gateway, "by {address}");
        }
    }
    // It is held: nobody else gets it.
    let any = SocketAddr::new(IpAddr::from([0u16; 8]), PUBLISHED);
    let error = tour.lab.host().tcp_listen(any).expect_err("it is taken");
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}

fn to_the_host(tour: &Tour) {
    let _server = EchoServer::start(tour.lab.host(), PORT);
    let clients = tour.both("client", "app");
    for addresses in [tour.gateways("client", "app"), ips([HOST, HOST6])] {
        for (to, client) in addresses.into_iter().zip(clients) {
            assert_eq!(reaches(&tour.client, to, PORT), client, "to {to}");
        }
    }
}

fn uninvited(tour: &Tour) {
    let lab = &tour.lab;
    let _server = EchoServer::start(&tour.web, PORT);
    // Another program on the host has made it a router.
    for forwarding in ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"] {
        lab.host().sysctl(forwarding, "1").expect("a sysctl");
    }
    for (web, via) in tour.both("web", "app").into_iter().zip([HOST, HOST6]) {
        lab.attacker().ok(&format!("ip route add {web} via {via}"));
        is_kept_from(lab.attacker(), web, PORT);
    }
    tour.drops("direct-routing", 6);
}

fn names(tour: &Tour) {
    let dig = |question: &str| {
        let text = tour.client.ok(&format!(
            "dig +time=30 +tries=1 +short @127.0.0.11 {question}"
        ));
        text.trim().to_owned()
    };
    let [v4, v6] = tour.both("web", "app").map(|address| address.to_string());
    // Over TCP it is the agent that answers.
    assert_eq!(dig("+tcp web A"), v4);
    tour.agent.freeze();
    assert_eq!(dig("web A"), v4);
    assert_eq!(dig("web.app AAAA"), v6);
    assert_eq!(dig(&format!("-x {v4}")), "web.app.");
    tour.agent.thaw();
}

fn to_sandboxes(tour: &Tour) {
    let gateway = |address: &IpAddr, network: &str| {
        let inspected = tour.lab.netd_json(&format!("network inspect {network}"));
        let configs = inspected[0]["IPAM"]["Config"].as_array();
        let gateways = configs.expect("subnets").iter();
        gateways
            .filter_map(|config| config["Gateway"].as_str()?.parse::<IpAddr>().ok())
            .find(|gateway| gateway.is_ipv4() == address.is_ipv4())
            .expect("a gateway")
    };
    for (sandbox, network, namespace) in [
        ("web", "app", &tour.web),
        ("hidden", "closed", &tour.hidden),
    ] {
        let _server = EchoServer::start(namespace, PORT);
        for address in tour.both(sandbox, network) {
            let seen = reaches(tour.lab.host(), address, PORT);
            assert_eq!(seen, gateway(&address, network), "{sandbox}");
        }
    }
}

/// With the agent killed everything goes on, and the next one finds it as it is.
fn without_the_agent(tour: &mut Tour) {
    let _server = EchoServer::start(&tour.web, PORT);
    let [host, outside] = [HOST, OUTSIDE].map(|address| address.parse().expect("an address"));
    tour.agent.kill();
    assert_eq!(asks(tour.lab.outside(), published(host)), outside);
    tour.agent.start_again().expect("the agent");
    let log = tour.agent.log();
    assert!(log.contains("programs used on"), "{log}");
    assert!(log.contains("as it should be steps=0"), "{log}");
    assert_eq!(asks(tour.lab.outside(), published(host)), outside);
}
