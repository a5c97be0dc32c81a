//! IPv4 options and IPv6 extension headers with real kernels at both ends: they pass in every direction,
//! errors about them come back, and source routes are refused.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use netd_common::packet::testing::{Payload, cut, with_extension, with_options};
use netd_tests::lab::{
    App, Capture, EchoServer, Namespace,
    addresses::*,
    datagrams::{answer, packet, socket},
};

const PORT: u16 = 7000;
const LIMIT: Duration = Duration::from_secs(10);

fn ip(address: &str) -> IpAddr {
    address.parse().expect("an address")
}

/// A record of the route with three places, and time stamps, padded.
const OPTIONS: &[u8] = &[
    7, 15, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 68, 8, 5, 0, 0, 0, 0, 0, 0,
];
/// A record that is full. (What Linux records itself, it quotes with the header sum of before.)
const FULL: &[u8] = &[7, 7, 8, 198, 18, 0, 99, 0];
/// Padding, in hop-by-hop and destination options.
const PADDING: &[u8] = &[0, 0, 1, 4, 0, 0, 0, 0];

/// The packet with these options, or with extension headers: destination options behind those for each
/// hop.
fn dressed(packet: &[u8], options: &[u8]) -> Vec<u8> {
    if packet[12] == 8 {
        return with_options(packet, options);
    }
    with_extension(&with_extension(packet, 60, PADDING), 0, PADDING)
}

/// Sends a datagram by hand from the port of `socket`, as `dress` makes it.
#[track_caller]
fn send_dressed(
    from: &Namespace,
    source: SocketAddr,
    to: SocketAddr,
    dress: impl Fn(&[u8]) -> Vec<u8>,
) {
    let payload = Payload::Udp(source.port(), to.port(), b"dressed".to_vec());
    let packet = dress(&packet(source.ip(), to.ip(), payload));
    from.send_packets(&[packet[14..].to_vec()])
        .expect("to send");
}

#[test]
fn options_and_extension_headers_pass() {
    let app = App::with("options", "", &format!("-p {PORT}:{PORT}/udp"));
    let lab = &app.lab;
    let stranger = app.stranger();
    app.without_offloads();
    let _web = EchoServer::start(&app.web, PORT);
    let _outside = EchoServer::start(lab.outside(), PORT);
    let captures = [&app.client, &app.web, &stranger, lab.outside()]
        .map(|at| Capture::start(at, "eth0", "ip or ip6").expect("tcpdump"));
    app.client.ok(&format!("ping -n -c 1 -W 20 -R {PUBLIC}"));
    app.client
        .ok(&format!("ping -n -c 1 -W 20 -T tsonly {PUBLIC}"));
    // An atomic fragment (RFC 6946) is a whole datagram behind an extension header.
    let atomic = |packet: &[u8]| cut(packet, 1_400, 1).remove(0);
    for (client, other, outside) in [
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
    ] {
        let [public, host, outside] = outside.map(ip);
        for (from, own, to, seen) in [
            (&app.client, client, public, host),
            (lab.outside(), outside, host, outside),
            (&app.client, client, host, client),
            (&stranger, other, host, other),
        ] {
            let to = SocketAddr::new(to, PORT);
            let socket = socket(from, own, 0);
            let port = socket.local_addr().expect("an address").port();
            let own = SocketAddr::new(own, port);
            send_dressed(from, own, to, |packet| dressed(packet, OPTIONS));
            let what = format!("from {own} to {to}");
            assert_eq!(answer(&socket, &what, b"dressed"), seen, "{what}");
            if own.is_ipv6() {
                send_dressed(from, own, to, atomic);
                assert_eq!(answer(&socket, &what, b"dressed"), seen, "{what}");
            }
        }
    }
    for capture in captures {
        let text = capture.is_right("RR 0.0.0.0");
        assert!(text.contains("HBH (padn)"), "{text}");
        assert!(text.contains("DSTOPT (padn)"), "{text}");
    }
}

/// To a port where nobody listens: who asked hears it.
#[test]
fn errors_about_options_and_extension_headers_come_back() {
    let app = App::with("option-errors", "", &format!("-p {PORT}:{PORT}/udp"));
    let lab = &app.lab;
    app.without_offloads();
    let captures = [&app.client, lab.outside()]
        .map(|at| Capture::start(at, "eth0", "ip or ip6").expect("tcpdump"));
    for (client, outside) in [
        (lab.address("client", "app"), [PUBLIC, HOST, OUTSIDE]),
        (lab.address6("client", "app"), [PUBLIC6, HOST6, OUTSIDE6]),
    ] {
        let [public, host, outside] = outside.map(ip);
        for (from, own, to) in [
            (&app.client, client, public),
            (lab.outside(), outside, host),
            (&app.client, client, host),
        ] {
            let to = SocketAddr::new(to, PORT);
            let socket = socket(from, own, 0);
            let own = SocketAddr::new(own, socket.local_addr().expect("an address").port());
            let socket = from.on(move || socket.connect(to).map(|()| socket));
            let socket = socket.expect("to connect");
            send_dressed(from, own, to, |packet| dressed(packet, FULL));
            let error = socket.recv(&mut [0; 10]).expect_err("nobody answers");
            let refused = ErrorKind::ConnectionRefused;
            assert_eq!(error.kind(), refused, "from {own} to {to}: {error}");
        }
    }
    for capture in captures {
        let text = capture.is_right("unreachable");
        assert!(text.contains("RR 198.18.0.99"), "{text}");
    }
}

/// A way that the sender prescribes is not gone, neither out nor in.
#[test]
fn source_routes_are_refused() {
    let app = App::with("source-route", "", &format!("-p {PORT}:{PORT}/udp"));
    let lab = &app.lab;
    let _web = EchoServer::start(&app.web, PORT);
    let _outside = EchoServer::start(lab.outside(), PORT);
    // Loose; type 2 with an address to go.
    let routed = |packet: &[u8]| match packet[12] {
        8 => with_options(packet, &[131, 7, 4, 198, 18, 0, 1, 0]),
        _ => with_extension(
            packet,
            43,
            &[[0, 2, 2, 1, 0, 0, 0, 0].as_slice(), &[0; 16]].concat(),
        ),
    };
    for (client, reason, [public, host, outside]) in [
        (
            lab.address("client", "app"),
            "ip-options",
            [PUBLIC, HOST, OUTSIDE],
        ),
        (
            lab.address6("client", "app"),
            "extension-header",
            [PUBLIC6, HOST6, OUTSIDE6],
        ),
    ] {
        for (from, own, to) in [
            (&app.client, client, public),
            (&app.client, client, host),
            (lab.outside(), ip(outside), host),
        ] {
            let to = SocketAddr::new(ip(to), PORT);
            let socket = socket(from, own, 0);
            let own = SocketAddr::new(own, socket.local_addr().expect("an address").port());
            let before = lab.drops(reason);
            send_dressed(from, own, to, routed);
            if own.ip() == client {
                lab.wait_until("it is counted", LIMIT, || lab.drops(reason) == before + 1);
            }
            // What comes behind it is the first to be answered.
            send_dressed(from, own, to, <[u8]>::to_vec);
            answer(&socket, &format!("from {own} to {to}"), b"dressed");
            let limit = Some(Duration::from_millis(100));
            socket.set_read_timeout(limit).expect("a limit");
            assert!(socket.recv(&mut [0; 100]).is_err(), "two answers to {own}");
        }
    }
}
