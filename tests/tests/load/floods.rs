//! Floods while others go on.

use std::net::{Ipv4Addr, Ipv6Addr};

use netd_common::{
    abi::flow::FlowKey,
    packet::{testing::Payload, transport::tcp},
};
use netd_tests::lab::{App, EchoServer, Namespace, Traffic, addresses::*};

use crate::{
    PORT, SOON, at, is_well,
    junk::established,
    shots::{Flood, packet},
};

/// More flows than `NEW_FLOWS` has room for: a flood displaces its own.
const MANY: u32 = 40_000;
/// Fewer, where there is nothing to fill.
const SOME: u32 = 5_000;

fn v4(address: impl ToString) -> Ipv4Addr {
    address.to_string().parse().expect("an IPv4 address")
}

fn v6(address: impl ToString) -> Ipv6Addr {
    address.to_string().parse().expect("an IPv6 address")
}

/// Connections and datagrams that are there already, and new connections.
struct Ordinary(
    Vec<Traffic>,
    #[expect(dead_code, reason = "they serve until it is dropped")] [EchoServer; 2],
);

impl Ordinary {
    fn start(app: &App) -> Ordinary {
        let outside = app.lab.outside();
        let servers = [
            EchoServer::start(&app.web, PORT),
            EchoServer::start(outside, PORT),
        ];
        let web = at(&app.lab.address("web", "app").to_string(), PORT);
        let traffic = vec![
            Traffic::tcp(&app.client, at(PUBLIC, PORT)).expect("TCP"),
            Traffic::udp(&app.client, at(PUBLIC, PORT)).expect("UDP"),
            Traffic::tcp(outside, at(HOST, 8080)).expect("TCP"),
            Traffic::udp(outside, at(HOST, 8080)).expect("UDP"),
            Traffic::udp(&app.client, web).expect("UDP"),
            Traffic::tcp(&app.client, at(PUBLIC6, PORT)).expect("TCP"),
            Traffic::udp(outside, at(HOST6, 8080)).expect("UDP"),
            Traffic::connections(&app.client, at(PUBLIC, PORT)),
            Traffic::connections(outside, at(HOST, 8080)),
            Traffic::connections(outside, at(HOST6, 8080)),
        ];
        Ordinary(traffic, servers)
    }

    #[track_caller]
    fn goes_on(&self) {
        self.0.iter().for_each(|traffic| traffic.flows_on(20));
    }

    #[track_caller]
    fn end(self) {
        for traffic in self.0 {
            traffic.end();
        }
    }
}

/// Port and the rest of a number: 60,000 ports from 1024 on.
fn port(number: u32) -> u16 {
    1024 + (number % 60_000) as u16
}

/// A flood's name, how many packets it has, the reason that counts all of them if one does, and how the nth
/// is made.
type Shots = (
    &'static str,
    u32,
    Option<&'static str>,
    Box<dyn FnMut(u32) -> Vec<u8> + Send>,
);

/// One flood after the other, in and behind each of which the ordinary goes on.
#[track_caller]
fn take_turns<const N: usize>(
    app: &App,
    from: &Namespace,
    floods: [Shots; N],
    ordinary: &Ordinary,
) {
    for (what, number, reason, make) in floods {
        let before = reason.map_or(0, |reason| app.lab.drops(reason));
        let flood = Flood::start(from, make);
        flood.reaches(number / 2);
        ordinary.goes_on();
        flood.reaches(number);
        let sent = u64::from(flood.end());
        ordinary.goes_on();
        if let Some(reason) = reason {
            app.lab
                .wait_until(&format!("{what}: all of {sent} are counted"), SOON, || {
                    app.lab.drops(reason) - before == sent
                });
        }
    }
}

#[test]
fn a_flood_of_a_container_is_its_own_affair() {
    let app = App::with("flood-inside", "", "-p 8080:7000/tcp -p 8080:7000/udp");
    let lab = &app.lab;
    lab.netd("sandbox create --name flooder --network app");
    let flooder = lab.sandbox("flooder");
    let [own, web] = ["flooder", "web"].map(|name| v4(lab.address(name, "app")));
    let own6 = v6(lab.address6("flooder", "app"));
    let ordinary = Ordinary::start(&app);
    ordinary.goes_on();
    let (to, to6) = (v4(PUBLIC), v6(PUBLIC6));
    let floods: [Shots; 9] = [
        (
            // Nobody answers: a network that leads nowhere.
            "SYN to strangers",
            MANY,
            None,
            Box::new(move |n| {
                let to = Ipv4Addr::new(203, 0, 113, 128 + (n % 64) as u8);
                packet(own, to, Payload::Tcp(port(n), 80, tcp::SYN))
            }),
        ),
        (
            "UDP",
            MANY,
            None,
            Box::new(move |n| packet(own, to, Payload::Udp(port(n), 9, vec![0x6e; 64]))),
        ),
        (
            "ICMP",
            MANY,
            None,
            Box::new(move |n| packet(own, to, Payload::EchoRequest(n as u16, 1))),
        ),
        (
            "SYN to strangers (IPv6)",
            MANY,
            None,
            Box::new(move |n| {
                let to = Ipv6Addr::new(0x2001, 0xdb8, 0xcb, 0, 0, 0, 1, n as u16 % 64);
                packet(own6, to, Payload::Tcp(port(n), 80, tcp::SYN))
            }),
        ),
        (
            "UDP (IPv6)",
            SOME,
            None,
            Box::new(move |n| packet(own6, to6, Payload::Udp(port(n), 9, vec![0x6e; 64]))),
        ),
        (
            "ICMPv6",
            SOME,
            None,
            Box::new(move |n| packet(own6, to6, Payload::EchoRequest(n as u16, 1))),
        ),
        (
            "SYN to a neighbour",
            SOME,
            None,
            Box::new(move |n| packet(own, web, Payload::Tcp(port(n), 80, tcp::SYN))),
        ),
        (
            "addresses of others",
            SOME,
            Some("spoofed-address"),
            Box::new(move |n| {
                let source = Ipv4Addr::new(100, 64, (n >> 8) as u8, n as u8);
                packet(source, to, Payload::Udp(port(n), 9, vec![]))
            }),
        ),
        (
            "unknown protocols",
            SOME,
            Some("unknown-protocol"),
            Box::new(move |_| packet(own, to, Payload::Other(253, vec![0x6e; 32]))),
        ),
    ];
    take_turns(&app, &flooder, floods, &ordinary);
    ordinary.end();
    is_well(&app.agent);
}

#[test]
fn a_flood_from_outside_stops_nobody() {
    // A socket that is flooded itself has no room for others: nobody listens behind 8090.
    let app = App::with(
        "flood-outside",
        "",
        "-p 8080:7000/tcp -p 8080:7000/udp -p 8090:7001/udp",
    );
    let lab = &app.lab;
    let attacker = lab.attacker().clone();
    let web = v4(lab.address("web", "app"));
    // For who wants to dial the container itself.
    attacker.ok(&format!("ip route add {web}/32 via {HOST}"));
    let ordinary = Ordinary::start(&app);
    ordinary.goes_on();
    let (host, host6) = (v4(HOST), v6(HOST6));
    let stranger = |n: u32| Ipv4Addr::new(100, 64 + (n >> 16) as u8 % 64, (n >> 8) as u8, n as u8);
    let stranger6 = |n: u32| {
        let [high, low] = [(n >> 16) as u16, n as u16];
        Ipv6Addr::new(0x2001, 0xdb8, 0x64, 0, 0, 0, high, low)
    };
    let floods: [Shots; 8] = [
        (
            "SYN to a published port",
            MANY,
            None,
            Box::new(move |n| packet(stranger(n), host, Payload::Tcp(port(n), 8080, tcp::SYN))),
        ),
        (
            "UDP to a published port",
            MANY,
            None,
            Box::new(move |n| {
                packet(
                    stranger(n),
                    host,
                    Payload::Udp(port(n), 8090, vec![0x6e; 64]),
                )
            }),
        ),
        (
            "SYN to a published port (IPv6)",
            MANY,
            None,
            Box::new(move |n| packet(stranger6(n), host6, Payload::Tcp(port(n), 8080, tcp::SYN))),
        ),
        (
            "UDP to a published port (IPv6)",
            SOME,
            None,
            Box::new(move |n| {
                packet(
                    stranger6(n),
                    host6,
                    Payload::Udp(port(n), 8090, vec![0x6e; 64]),
                )
            }),
        ),
        (
            "ICMPv6 to the host",
            SOME,
            None,
            Box::new(move |n| packet(stranger6(n), host6, Payload::EchoRequest(n as u16, 1))),
        ),
        (
            "ICMP to the host",
            SOME,
            None,
            Box::new(move |n| packet(stranger(n), host, Payload::EchoRequest(n as u16, 1))),
        ),
        (
            "answers that nobody asked for",
            SOME,
            None,
            Box::new(move |n| {
                packet(
                    stranger(n),
                    host,
                    Payload::Tcp(80, port(n), tcp::SYN | tcp::ACK),
                )
            }),
        ),
        (
            "a container's own address",
            SOME,
            Some("direct-routing"),
            Box::new(move |n| packet(stranger(n), web, Payload::Tcp(port(n), 7000, tcp::SYN))),
        ),
    ];
    take_turns(&app, &attacker, floods, &ordinary);
    ordinary.end();
    // Half-open flows are no established ones.
    let is_stranger = |key: &FlowKey| {
        [key.source, key.destination].iter().any(|own| {
            let v6 = &[0x20, 1, 0x0d, 0xb8, 0, 0x64];
            (own.is_v4() && own.octets_v4()[0] == 100) || own.0.starts_with(v6)
        })
    };
    let established = established(lab);
    let found: Vec<&FlowKey> = established.iter().filter(|key| is_stranger(key)).collect();
    assert!(found.is_empty(), "{found:?}");
    is_well(&app.agent);
}
