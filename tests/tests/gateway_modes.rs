//! How a network meets what is beyond it: gateway modes, trusted interfaces, direct routing, an address
//! of its own outside, DHCP servers.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    time::Duration,
};

use netd_tests::lab::{
    Agent, EchoServer, Lab, Namespace, addresses::*, is_kept_from, reaches, udp_exchange,
};
use nix::net::if_::if_nametoindex;

const OPEN: u16 = 7000;
const CLOSED: u16 = 7001;
const LIMIT: Duration = Duration::from_secs(20);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const MODE4: &str = "-o com.docker.network.bridge.gateway_mode_ipv4";
const MODE6: &str = "-o com.docker.network.bridge.gateway_mode_ipv6";

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

/// A lab with network `app`, sandbox `web` on it that publishes [`OPEN`], and a sandbox on another
/// network. The attacker has routes to `web`.
struct Direct {
    lab: Lab,
    web: Namespace,
    stranger: Namespace,
    _agent: Agent,
    _servers: [EchoServer; 2],
}

impl Direct {
    fn start(name: &str, agent: &str, network: &str) -> Direct {
        let lab = Lab::new(name);
        let agent = lab.agent(agent);
        lab.netd(&format!("network create --ipv6 {network} app"));
        lab.netd("network create --ipv6 other");
        lab.netd(&format!(
            "sandbox create --name web --network app -p {OPEN} -p {OPEN}/udp"
        ));
        lab.netd("sandbox create --name stranger --network other");
        let (web, stranger) = (lab.sandbox("web"), lab.sandbox("stranger"));
        let servers = [OPEN, CLOSED].map(|port| EchoServer::start(&web, port));
        let direct = Direct {
            lab,
            web,
            stranger,
            _agent: agent,
            _servers: servers,
        };
        let [v4, v6] = direct.addresses();
        let attacker = direct.lab.attacker();
        attacker.ok(&format!("ip route add {v4}/32 via {HOST}"));
        attacker.ok(&format!("ip -6 route add {v6}/128 via {HOST6}"));
        direct
    }

    /// Of `web`.
    fn addresses(&self) -> [IpAddr; 2] {
        let lab = &self.lab;
        [lab.address("web", "app"), lab.address6("web", "app")]
    }

    /// Whether the open port, the other one, and a ping get there from the attacker and from the other
    /// network.
    #[track_caller]
    fn expect(&self, to: IpAddr, expected: [bool; 3]) {
        let [open, closed, ping] = expected;
        for from in [self.lab.attacker(), &self.stranger] {
            for (port, reached) in [(OPEN, open), (CLOSED, closed)] {
                if !reached {
                    is_shut(from, to, port);
                    continue;
                }
                let at = SocketAddr::new(to, port);
                udp_exchange(from, at, LIMIT).expect("UDP");
                from.tcp_connect(at, LIMIT).expect("TCP");
            }
            let ping_line = format!("ping -n -c 1 -W {} {to}", if ping { 20 } else { 1 });
            if ping {
                from.ok(&ping_line);
            } else {
                from.fails(&ping_line);
            }
        }
    }
}

#[test]
fn nat_keeps_everybody_out() {
    let direct = Direct::start("gw-nat", "", "");
    for to in direct.addresses() {
        direct.expect(to, [false; 3]);
    }
    assert!(direct.lab.drops("direct-routing") > 0);
    assert!(direct.lab.drops("other-network") > 0);
}

#[test]
fn a_mode_for_each_family() {
    let network = format!("{MODE4}=routed {MODE6}=nat-unprotected");
    let direct = Direct::start("gw-modes", "", &network);
    let [v4, v6] = direct.addresses();
    direct.expect(v4, [true, false, true]);
    direct.expect(v6, [true; 3]);
    // The attacker is seen as it is, a masqueraded network as the gateway.
    let seen = |from: &Namespace, to| {
        let at = SocketAddr::new(to, OPEN);
        udp_exchange(from, at, LIMIT).expect("UDP").ip()
    };
    let lab = &direct.lab;
    assert_eq!(seen(lab.attacker(), v4), ip(ATTACKER));
    assert_eq!(seen(lab.attacker(), v6), ip(ATTACKER6));
    assert_eq!(seen(&direct.stranger, v4), lab.gateway("web", "app"));
    assert_eq!(seen(&direct.stranger, v6), lab.gateway6("web", "app"));
    // A routed network leaves as it is; the other family does not.
    let _server = EchoServer::start(lab.outside(), OPEN);
    lab.outside()
        .ok(&format!("ip route add {v4}/32 via {HOST}"));
    assert_eq!(seen(&direct.web, ip(PUBLIC)), v4);
    assert_eq!(seen(&direct.web, ip(PUBLIC6)), ip(HOST6));
    // It has no port of the host's.
    let port = lab.netd("port web");
    let published = port
        .lines()
        .find_map(|line| line.split("0.0.0.0:").nth(1)?.trim().parse::<u16>().ok());
    is_shut(lab.attacker(), ip(HOST), published.expect("a port"));
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
        is_kept_from(&direct.stranger, to, OPEN);
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
    let refused = lab.netd_refuses(&format!("network create {MODE4}=isolated app"));
    let why = "gateway mode 'isolated' can only be used for an internal network";
    assert!(refused.stderr.contains(why), "{}", refused.describe());
    lab.netd(&format!(
        "network create --internal --ipv6 {MODE4}=isolated {MODE6}=isolated app"
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
