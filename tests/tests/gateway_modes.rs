//! How a network meets what is beyond it: gateway modes, trusted interfaces, direct routing, an address
//! of its own outside, DHCP servers.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    thread,
    time::Duration,
};

use netd_tests::lab::{
    Agent, EchoServer, Lab, Namespace, Traces, addresses::*, asks, is_kept_from, reaches,
    udp_exchange,
};
use nix::net::if_::if_nametoindex;

const OPEN: u16 = 7000;
const CLOSED: u16 = 7001;
/// Of the host, for [`OPEN`].
const PUBLISHED: u16 = 8080;
/// Of a server of the host's own.
const OF_HOST: u16 = 7002;
const LIMIT: Duration = Duration::from_secs(20);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const MODES: [&str; 2] = [
    "-o com.docker.network.bridge.gateway_mode_ipv4",
    "-o com.docker.network.bridge.gateway_mode_ipv6",
];
const ROUTED: &str = "-o com.docker.network.bridge.gateway_mode_ipv4=routed \
    -o com.docker.network.bridge.gateway_mode_ipv6=routed";

fn ip(address: &str) -> IpAddr {
    address.parse().expect("an address")
}

/// Neither TCP nor UDP gets there; a ping may.
#[track_caller]
fn is_shut(from: &Namespace, to: IpAddr, port: u16) {
    let (at, limit) = (SocketAddr::new(to, port), Duration::from_millis(700));
    assert!(from.tcp_connect(at, limit).is_err(), "TCP to {at}");
    assert!(udp_exchange(from, at, limit).is_err(), "UDP to {at}");
}

/// A lab with network `app`, sandbox `web` on it that publishes [`OPEN`], and sandboxes on other
/// networks. The attacker has routes to `web` and to its gateway.
struct Direct {
    lab: Lab,
    web: Namespace,
    /// On a masqueraded network, and on a routed one.
    strangers: [Namespace; 2],
    _agent: Agent,
    _servers: [EchoServer; 3],
}

impl Direct {
    fn start(name: &str, agent: &str, network: &str) -> Direct {
        let lab = Lab::new(name);
        let agent = lab.agent(agent);
        lab.netd(&format!("network create --ipv6 {network} app"));
        lab.netd(&format!(
            "sandbox create --name web --network app -p {PUBLISHED}:{OPEN} -p {PUBLISHED}:{OPEN}/udp"
        ));
        for (stranger, options) in [("nat", ""), ("routed", ROUTED)] {
            lab.netd(&format!("network create --ipv6 {options} of-{stranger}"));
            lab.netd(&format!(
                "sandbox create --name {stranger} --network of-{stranger}"
            ));
        }
        let web = lab.sandbox("web");
        let strangers = ["nat", "routed"].map(|name| lab.sandbox(name));
        let [open, closed] = [OPEN, CLOSED].map(|port| EchoServer::start(&web, port));
        let servers = [open, closed, EchoServer::start(lab.host(), OF_HOST)];
        let direct = Direct {
            lab,
            web,
            strangers,
            _agent: agent,
            _servers: servers,
        };
        for at in [direct.addresses(), direct.gateways()] {
            let attacker = direct.lab.attacker();
            attacker.ok(&format!("ip route add {}/32 via {HOST}", at[0]));
            attacker.ok(&format!("ip -6 route add {}/128 via {HOST6}", at[1]));
        }
        direct
    }

    /// Of `web`.
    fn addresses(&self) -> [IpAddr; 2] {
        let lab = &self.lab;
        [lab.address("web", "app"), lab.address6("web", "app")]
    }

    /// Of its network.
    fn gateways(&self) -> [IpAddr; 2] {
        let lab = &self.lab;
        [lab.gateway("web", "app"), lab.gateway6("web", "app")]
    }

    /// Whether the open port, the other one, and a ping get there from the attacker and from the other
    /// networks, all at a time: what does not get there is waited for.
    #[track_caller]
    fn expect(&self, to: IpAddr, expected: [bool; 3]) {
        let [nat, routed] = &self.strangers;
        thread::scope(|scope| {
            for from in [self.lab.attacker(), nat, routed] {
                scope.spawn(move || expect_from(from, to, expected));
            }
        });
    }

    /// Whether a port of the host's own, the published port, and a ping get to the network's gateway from
    /// the attacker.
    #[track_caller]
    fn expect_gateway(&self, gateway: IpAddr, [own, published, ping]: [bool; 3]) {
        let attacker = self.lab.attacker();
        for (port, reached) in [(OF_HOST, own), (PUBLISHED, published)] {
            if reached {
                assert!(
                    [ip(ATTACKER), ip(ATTACKER6)]
                        .contains(&asks(attacker, SocketAddr::new(gateway, port)))
                );
            } else {
                is_shut(attacker, gateway, port);
            }
        }
        pings(attacker, gateway, ping);
    }
}

#[track_caller]
fn expect_from(from: &Namespace, to: IpAddr, [open, closed, ping]: [bool; 3]) {
    for (port, reached) in [(OPEN, open), (CLOSED, closed)] {
        if reached {
            asks(from, SocketAddr::new(to, port));
        } else {
            is_shut(from, to, port);
        }
    }
    pings(from, to, ping);
}

#[track_caller]
fn pings(from: &Namespace, to: IpAddr, reached: bool) {
    let line = format!("ping -n -c 1 -W {} {to}", if reached { 20 } else { 1 });
    if reached {
        from.ok(&line);
    } else {
        from.fails(&line);
    }
}

#[test]
fn nat_keeps_everybody_out() {
    let direct = Direct::start("gw-nat", "", "");
    for (to, gateway) in direct.addresses().into_iter().zip(direct.gateways()) {
        direct.expect(to, [false; 3]);
        // What listens at the gateway is for the network; published ports are at all of the host's addresses.
        direct.expect_gateway(gateway, [false, true, false]);
    }
    assert!(direct.lab.drops("direct-routing") > 0);
    assert!(direct.lab.drops("other-network") > 0);
}

/// Both modes in both families, with and without rules of others: packets do not pass their FORWARD.
#[test]
fn a_mode_for_each_family() {
    for (name, routed) in [("gw-modes4", 0), ("gw-modes6", 1)] {
        let open = 1 - routed;
        let modes = [MODES[routed], MODES[open]];
        let network = format!("{}=routed {}=nat-unprotected", modes[0], modes[1]);
        let direct = Direct::start(name, "", &network);
        let (web, gateways) = (direct.addresses(), direct.gateways());
        direct.expect_gateway(gateways[routed], [true, false, true]);
        direct.expect_gateway(gateways[open], [true; 3]);
        for strict in [false, true] {
            if strict {
                direct.lab.load_strict_rules();
            }
            direct.expect(web[routed], [true, false, true]);
            direct.expect(web[open], [true; 3]);
        }
        // The host's own ports are its rules' business, also at a gateway.
        direct.expect_gateway(gateways[open], [false, true, false]);
        direct.lab.host().ok("nft flush ruleset");
        is_seen_as(&direct, routed);
    }
}

/// Who is seen as whom where the mode of one family is `routed`, of the other `nat-unprotected`.
#[track_caller]
fn is_seen_as(direct: &Direct, routed: usize) {
    let lab = &direct.lab;
    let web = direct.addresses();
    let [nat, other] = &direct.strangers;
    let own = [
        lab.address("routed", "of-routed"),
        lab.address6("routed", "of-routed"),
    ];
    for (family, attacker) in [ATTACKER, ATTACKER6].into_iter().enumerate() {
        let at = SocketAddr::new(web[family], OPEN);
        // A masqueraded network is seen as the gateway.
        assert_eq!(asks(lab.attacker(), at), ip(attacker));
        assert_eq!(asks(nat, at), direct.gateways()[family]);
        assert_eq!(asks(other, at), own[family]);
    }
    // A routed network leaves as it is; the other family does not.
    let _server = EchoServer::start(lab.outside(), OPEN);
    let route = [
        format!("ip route add {}/32 via {HOST}", web[0]),
        format!("ip -6 route add {}/128 via {HOST6}", web[1]),
    ];
    lab.outside().ok(&route[routed]);
    for (family, (public, host)) in [(PUBLIC, HOST), (PUBLIC6, HOST6)].into_iter().enumerate() {
        let seen = if family == routed {
            web[family]
        } else {
            ip(host)
        };
        assert_eq!(asks(&direct.web, SocketAddr::new(ip(public), OPEN)), seen);
    }
    // It has no port of the host's.
    is_shut(lab.attacker(), ip([HOST, HOST6][routed]), PUBLISHED);
}

#[test]
fn trusted_interfaces_reach_published_ports() {
    let network = "-o com.docker.network.bridge.trusted_host_interfaces=eth0:nosuch0";
    let direct = Direct::start("gw-trusted", "", network);
    for to in direct.addresses() {
        let at = SocketAddr::new(to, OPEN);
        let seen = udp_exchange(direct.lab.attacker(), at, LIMIT).expect("UDP");
        assert!([ip(ATTACKER), ip(ATTACKER6)].contains(&seen.ip()));
        is_shut(direct.lab.attacker(), to, CLOSED);
        is_kept_from(&direct.strangers[0], to, OPEN);
    }
}

#[test]
fn direct_routing_may_be_allowed_for_all() {
    let direct = Direct::start("gw-direct", "--allow-direct-routing", "");
    for to in direct.addresses() {
        direct.expect(to, [true, false, false]);
    }
}

#[test]
fn an_isolated_network_has_no_address_of_the_hosts() {
    let lab = Lab::new("gw-isolated");
    let _agent = lab.agent("");
    let [v4, v6] = MODES;
    lab.netd(&format!(
        "network create --internal --ipv6 {v4}=isolated {v6}=isolated app"
    ));
    lab.netd("sandbox create --name web --network app");
    lab.netd("sandbox create --name client --network app");
    let (web, client) = (lab.sandbox("web"), lab.sandbox("client"));
    let bridge = lab.bridge_of("app");
    let addresses = lab
        .host()
        .ok(&format!("ip -o addr show dev {bridge} scope global"));
    assert_eq!(addresses, "");
    let _server = EchoServer::start(&web, OPEN);
    for to in [lab.address("web", "app"), lab.address6("web", "app")] {
        reaches(&client, to, OPEN);
        is_kept_from(lab.host(), to, OPEN);
    }
}

/// Of a network that is refused for one of these options nothing is there, neither in netd nor on the
/// host.
#[test]
fn a_refused_option_leaves_nothing() {
    const BRIDGE: &str = "-o com.docker.network.bridge";
    let [mode4, mode6] = MODES;
    let lab = Lab::new("gw-refused");
    let _agent = lab.agent("");
    let objects = || {
        let revision = lab.netd_json("status -f json")["revision"].as_u64();
        (lab.netd("network ls"), revision)
    };
    let (traces, before) = (Traces::of(&lab), objects());
    for (options, why) in [
        (
            format!("{mode4}=isolated"),
            "gateway mode 'isolated' can only be used for an internal network",
        ),
        (format!("--ipv6 {mode6}=sideways"), "sideways"),
        (format!("{BRIDGE}.trusted_host_interfaces=eth0:a/b"), "a/b"),
        (
            "-o com.docker.network.host_ipv4=2001:db8::1".to_owned(),
            "2001:db8::1",
        ),
        (
            "--ipv6 -o com.docker.network.host_ipv6=198.18.0.40".to_owned(),
            "198.18.0.40",
        ),
    ] {
        let refused = lab.netd_refuses(&format!("network create {options} app"));
        assert!(refused.stderr.contains(why), "{}", refused.describe());
        Traces::of(&lab).are_those_of(&traces);
        assert_eq!(objects(), before, "{options}");
    }
    // The name is free.
    lab.netd("network create app");
}

#[test]
fn a_network_leaves_with_an_address_of_its_own() {
    let lab = Lab::new("gw-egress");
    lab.host().ok("ip addr add 198.18.0.40/24 dev eth0");
    lab.host()
        .ok("ip addr add 2001:db8:18::40/64 dev eth0 nodad");
    let _agent = lab.agent("");
    lab.netd(
        "network create --ipv6 -o com.docker.network.host_ipv4=198.18.0.40 \
         -o com.docker.network.host_ipv6=2001:db8:18::40 app",
    );
    lab.netd("sandbox create --name client --network app");
    let client = lab.sandbox("client");
    let _server = EchoServer::start(lab.outside(), OPEN);
    assert_eq!(reaches(&client, ip(PUBLIC), OPEN), ip("198.18.0.40"));
    assert_eq!(reaches(&client, ip(PUBLIC6), OPEN), ip("2001:db8:18::40"));
}

#[test]
fn dhcp_servers_are_not_heard_unless_they_may_be() {
    for (name, option, heard) in [
        ("gw-dhcp", "", false),
        ("gw-dhcp-may", "-o netd.bridge.dhcp_server=true", true),
    ] {
        let lab = Lab::new(name);
        let _agent = lab.agent("");
        lab.netd(&format!("network create --ipv6 {option} app"));
        lab.netd("sandbox create --name server --network app");
        lab.netd("sandbox create --name client --network app");
        let (server, client) = (lab.sandbox("server"), lab.sandbox("client"));
        let link = server.on(|| if_nametoindex("eth0")).expect("eth0");
        // To the one that asked, and to everybody.
        let everybody6 = SocketAddrV6::new(ALL_NODES, 546, 0, link);
        for (any, port, offers_to) in [
            (
                "0.0.0.0",
                68,
                [
                    SocketAddr::new(lab.address("client", "app"), 68),
                    SocketAddr::from((Ipv4Addr::BROADCAST, 68)),
                ],
            ),
            (
                "[::]",
                546,
                [
                    SocketAddr::new(lab.address6("client", "app"), 546),
                    everybody6.into(),
                ],
            ),
        ] {
            let bind = |namespace: &Namespace, port: u16| {
                let at = format!("{any}:{port}").parse().expect("an address");
                let socket = namespace.udp_bind(at).expect("a socket");
                let limit = if heard { LIMIT } else { Duration::from_secs(1) };
                socket.set_read_timeout(Some(limit)).expect("a limit");
                socket.set_broadcast(true).expect("broadcast");
                socket
            };
            let (offers, hears) = (bind(&server, port - 1), bind(&client, port));
            for to in offers_to {
                offers.send_to(b"an offer", to).expect("to send");
                assert_eq!(hears.recv(&mut [0; 100]).is_ok(), heard, "{to}");
            }
        }
        let counted = if heard { 0 } else { 4 };
        let drops = lab.netd("drops");
        assert_eq!(lab.drops("dhcp-server"), counted, "{drops}");
    }
}
