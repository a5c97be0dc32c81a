//! Fragments with real kernels at both ends: through masquerade, to published ports and inside a
//! network, in any order; and what the host's stack has to cut.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    time::Duration,
};

use netd_common::packet::testing::{ORDERS, Payload, cut};
use netd_tests::lab::{
    App, Capture, EchoServer, Namespace,
    addresses::*,
    datagrams::{LARGE, OWN, asks_in_order, asks_much, identification, packet, send_in_order},
    patient,
};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, socket,
};

const PORT: u16 = 7000;
const LIMIT: Duration = Duration::from_secs(10);

fn ip(address: &str) -> IpAddr {
    address.parse().expect("an address")
}

/// The identifier of echoes by hand: one that masquerade keeps.
const ECHO: u16 = 7_777;

/// A socket that gets the echo replies for [`ECHO`] whose checksum is right (`icmp(7)`).
#[track_caller]
fn hears_echoes(at: &Namespace, family: IpAddr) -> UdpSocket {
    at.sysctl("net.ipv4.ping_group_range", "0 0")
        .expect("sysctl");
    at.on(move || {
        let (family, protocol, any) = match family {
            IpAddr::V4(_) => (
                AddressFamily::Inet,
                SockProtocol::Icmp,
                IpAddr::from([0u8; 4]),
            ),
            IpAddr::V6(_) => (
                AddressFamily::Inet6,
                SockProtocol::IcmpV6,
                IpAddr::from([0u16; 8]),
            ),
        };
        let socket = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, protocol)?;
        bind(
            socket.as_raw_fd(),
            &SockaddrStorage::from(SocketAddr::new(any, ECHO)),
        )?;
        let socket = UdpSocket::from(socket);
        socket.set_read_timeout(Some(patient(LIMIT)))?;
        std::io::Result::Ok(socket)
    })
    .expect("a socket for echoes")
}

/// Large echo requests of the client in any order, and then replies.
#[track_caller]
fn echoes_in_any_order(app: &App, client: IpAddr, public: IpAddr, host: IpAddr) {
    let socket = hears_echoes(&app.client, client);
    let (request, reply) = if client.is_ipv4() { (8, 0) } else { (128, 129) };
    let echo = |number: u16, octets: usize| {
        let head = [ECHO.to_be_bytes(), number.to_be_bytes()].concat();
        let data = (0..octets).map(|at| b'a' + (at % 17) as u8);
        head.into_iter().chain(data).collect::<Vec<u8>>()
    };
    let hears = |sent: &[u8], what: &str| {
        let mut heard = vec![0; 65_535];
        let length = match socket.recv(&mut heard) {
            Ok(length) => length,
            Err(error) => panic!("no echo {what}: {error}"),
        };
        assert_eq!(heard[..2], [reply, 0]);
        assert!(heard[4..length] == *sent, "another echo {what}");
    };
    for (number, order) in (1..).zip(ORDERS) {
        let sent = echo(number, LARGE);
        let packet = packet(client, public, Payload::Icmp(request, sent.clone()));
        send_in_order(&app.client, &packet, &order);
        hears(&sent, &format!("out in order {order:?}"));
    }
    let outside = app.lab.outside();
    for name in [
        "net.ipv4.icmp_echo_ignore_all",
        "net.ipv6.icmp.echo_ignore_all",
    ] {
        outside.sysctl(name, "1").expect("sysctl");
    }
    for (number, order) in (7..).zip(ORDERS) {
        let asked = packet(client, public, Payload::Icmp(request, echo(number, 4)));
        app.client
            .send_packets(&[asked[14..].to_vec()])
            .expect("to send");
        let sent = echo(number, LARGE);
        let packet = packet(public, host, Payload::Icmp(reply, sent.clone()));
        send_in_order(outside, &packet, &order);
        hears(&sent, &format!("in, in order {order:?}"));
    }
    for name in [
        "net.ipv4.icmp_echo_ignore_all",
        "net.ipv6.icmp.echo_ignore_all",
    ] {
        outside.sysctl(name, "0").expect("sysctl");
    }
}

#[test]
fn large_datagrams_go_everywhere() {
    let app = App::with("large", "", &format!("-p {PORT}:{PORT}/udp"));
    let lab = &app.lab;
    let _outside = EchoServer::start(lab.outside(), PORT);
    let _web = EchoServer::start(&app.web, PORT);
    for on in [false, true] {
        for namespace in [&app.client, &app.web, lab.outside()] {
            namespace.offload("eth0", on).expect("offload");
        }
        let captures = [&app.client, &app.web, lab.outside()]
            .map(|namespace| Capture::start(namespace, "eth0", "ip or ip6").expect("tcpdump"));
        for (to, seen) in [(PUBLIC, HOST), (PUBLIC6, HOST6)] {
            let to = SocketAddr::new(ip(to), PORT);
            assert_eq!(asks_much(&app.client, to), ip(seen));
            app.client
                .ok(&format!("ping -n -c 1 -W 20 -s {LARGE} {}", to.ip()));
        }
        for (host, own) in [(HOST, OUTSIDE), (HOST6, OUTSIDE6)] {
            let to = SocketAddr::new(ip(host), PORT);
            assert_eq!(asks_much(lab.outside(), to), ip(own));
            let client = match to.ip() {
                IpAddr::V4(_) => lab.address("client", "app"),
                IpAddr::V6(_) => lab.address6("client", "app"),
            };
            assert_eq!(asks_much(&app.client, to), client);
        }
        for address in [lab.address("web", "app"), lab.address6("web", "app")] {
            asks_much(&app.client, SocketAddr::new(address, PORT));
            asks_much(lab.host(), SocketAddr::new(address, PORT));
        }
        for capture in captures {
            let text = capture.stop().expect("the capture");
            assert!(text.contains("frag") || text.contains("offset"), "{text}");
            // With the offload on a sum is the next device's to make: delivery has to do.
            let wrong = Capture::wrong_checksums(&text);
            assert!(on || wrong.is_empty(), "{wrong:#?}");
        }
    }
}

#[test]
fn in_any_order_out_and_in() {
    let app = App::with("order", "", &format!("-p {PORT}:{PORT}/udp"));
    let lab = &app.lab;
    let _outside = EchoServer::start(lab.outside(), PORT);
    let _web = EchoServer::start(&app.web, PORT);
    let stranger = app.stranger();
    app.without_offloads();
    let captures = [&app.client, &app.web, &stranger, lab.outside()]
        .map(|at| Capture::start(at, "eth0", "ip or ip6").expect("tcpdump"));
    let addresses = [
        (
            lab.address("client", "app"),
            lab.address("stranger", "other"),
            [PUBLIC, HOST, OUTSIDE],
        ),
        (
            lab.address6("client", "app"),
            lab.address6("stranger", "other"),
            [PUBLIC6, HOST6, OUTSIDE6],
        ),
    ];
    for (client, other, outside) in addresses {
        let [public, host, outside] = outside.map(ip);
        for order in ORDERS {
            let to = SocketAddr::new(public, PORT);
            let seen = asks_in_order(&app.client, client, to, &order);
            assert_eq!(seen, host, "{order:?}");
            // To the published port: from outside, from a neighbour, and from another network.
            let to = SocketAddr::new(host, PORT);
            for (from, own) in [
                (lab.outside(), outside),
                (&app.client, client),
                (&stranger, other),
            ] {
                let seen = asks_in_order(from, own, to, &order);
                assert_eq!(seen, own, "{order:?}");
            }
        }
        echoes_in_any_order(&app, client, public, host);
    }
    for capture in captures {
        let text = capture.is_right("offset 1400");
        assert!(text.contains(":1400|1400)"), "{text}");
    }
    let drops = lab.netd("drops");
    assert_eq!(lab.drops("fragment-overflow"), 0, "{drops}");
    assert_eq!(lab.drops("fragment-timeout"), 0, "{drops}");
}

#[test]
fn the_hosts_own_fragments_are_the_hosts() {
    let app = App::start("own-fragments");
    let lab = &app.lab;
    let _host = EchoServer::start(lab.host(), PORT);
    for order in ORDERS {
        for (host, outside) in [(HOST, OUTSIDE), (HOST6, OUTSIDE6)] {
            let to = SocketAddr::new(ip(host), PORT);
            let seen = asks_in_order(lab.outside(), ip(outside), to, &order);
            assert_eq!(seen, ip(outside), "{order:?}");
        }
    }
}

#[test]
fn those_that_wait_in_vain_are_counted() {
    let app = App::start("in-vain");
    let lab = &app.lab;
    let client = lab.address("client", "app");
    let number = identification();
    let later = |octets: usize| {
        let payload = Payload::Udp(OWN, PORT, vec![7; octets]);
        let pieces = cut(&packet(client, ip(PUBLIC), payload), 80, number);
        pieces[1..]
            .iter()
            .map(|piece| piece[14..].to_vec())
            .collect::<Vec<_>>()
    };
    // Nine later ones: a place too few.
    app.client.send_packets(&later(720)).expect("to send");
    lab.wait_until("one is too many", LIMIT, || {
        lab.drops("fragment-overflow") == 1
    });
    assert_eq!(lab.drops("fragment-timeout"), 0, "{}", lab.netd("drops"));
    // When another comes after a second, the first of them is given up.
    lab.wait_until("their time is over", LIMIT, || {
        app.client.send_packets(&later(81)).expect("to send");
        lab.drops("fragment-timeout") > 0
    });
}

#[test]
fn the_stack_cuts_what_the_uplink_does_not_take() {
    let app = App::start("stack-cuts");
    let lab = &app.lab;
    let _outside = EchoServer::start(lab.outside(), PORT);
    for namespace in [lab.host(), lab.outside()] {
        namespace.ok("ip link set eth0 mtu 1000");
    }
    for namespace in [&app.client, lab.outside(), lab.host()] {
        namespace.offload("eth0", false).expect("offload");
    }
    let capture = Capture::start(lab.outside(), "eth0", "ip").expect("tcpdump");
    // One that fits the container's link, and one that the container has cut already.
    for size in [1_300, LARGE] {
        let ping = format!("ping -n -c 1 -W 20 -M dont -s {size} {PUBLIC}");
        app.client.ok(&ping);
    }
    app.client
        .sysctl("net.ipv4.ip_no_pmtu_disc", "1")
        .expect("sysctl");
    let to = SocketAddr::new(ip(PUBLIC), PORT);
    assert_eq!(asks_much(&app.client, to), ip(HOST));
    let text = capture.stop().expect("the capture");
    assert!(text.contains(HOST), "{text}");
    assert!(
        !text.contains(&lab.address("client", "app").to_string()),
        "{text}"
    );
    assert!(Capture::wrong_checksums(&text).is_empty(), "{text}");
}
