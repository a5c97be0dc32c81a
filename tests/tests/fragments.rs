//! Fragments, IP options and extension headers with real kernels at both ends: through masquerade, to
//! published ports and inside a network, in any order; and what the host's stack has to cut.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use netd_common::packet::testing::{Frame, Payload, cut};
use netd_tests::lab::{
    App, Capture, EchoServer,
    addresses::*,
    datagrams::{LARGE, ORDERS, OWN, answer, asks_in_order, asks_much, identification, socket},
};

const PORT: u16 = 7000;
const LIMIT: Duration = Duration::from_secs(10);

fn ip(address: &str) -> IpAddr {
    address.parse().expect("an address")
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
    let addresses = [
        (lab.address("client", "app"), PUBLIC, HOST, OUTSIDE),
        (lab.address6("client", "app"), PUBLIC6, HOST6, OUTSIDE6),
    ];
    for order in ORDERS {
        for (client, public, host, outside) in addresses {
            let to = SocketAddr::new(ip(public), PORT);
            let seen = asks_in_order(&app.client, client, to, &order);
            assert_eq!(seen, ip(host), "{order:?}");
            // To the published port, from outside and from a neighbour.
            let to = SocketAddr::new(ip(host), PORT);
            let seen = asks_in_order(lab.outside(), ip(outside), to, &order);
            assert_eq!(seen, ip(outside), "{order:?}");
            let seen = asks_in_order(&app.client, client, to, &order);
            assert_eq!(seen, client, "{order:?}");
        }
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
        let frame = Frame {
            to: [0; 6],
            from: [0; 6],
            source: client.into(),
            destination: ip(PUBLIC).into(),
            hops: 64,
            payload: Payload::Udp(OWN, PORT, vec![7; octets]),
        };
        let pieces = cut(&frame.bytes(), 80, number);
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

#[test]
fn options_and_extension_headers_pass() {
    let app = App::with("options", "", &format!("-p {PORT}:{PORT}/udp"));
    let lab = &app.lab;
    app.client.ok(&format!("ping -n -c 1 -W 20 -R {PUBLIC}"));
    app.client
        .ok(&format!("ping -n -c 1 -W 20 -T tsonly {PUBLIC}"));
    let _web = EchoServer::start(&app.web, PORT);
    let _outside = EchoServer::start(lab.outside(), PORT);
    // An atomic fragment (RFC 6946) is a whole datagram behind an extension header.
    for (from, source, to) in [
        (&app.client, lab.address6("client", "app"), PUBLIC6),
        (lab.outside(), ip(OUTSIDE6), HOST6),
    ] {
        let socket = socket(from, source, OWN);
        let frame = Frame {
            to: [0; 6],
            from: [0; 6],
            source: source.into(),
            destination: ip(to).into(),
            hops: 64,
            payload: Payload::Udp(OWN, PORT, b"atomic".to_vec()),
        };
        let pieces = cut(&frame.bytes(), 1_400, identification());
        from.send_packets(&[pieces[0][14..].to_vec()])
            .expect("to send");
        answer(&socket, &format!("from {source}"), b"atomic");
    }
}
