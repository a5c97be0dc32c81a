//! Sizes and offloads with real kernels: super-packets of 64 KiB and all offloads off, jumbo frames, an
//! uplink that takes less than a network, and UDP without a checksum. What arrives is the oracle; where
//! no device computes checksums, tcpdump finds none that is wrong.

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use netd_common::packet::testing::Payload;
use netd_tests::lab::{
    App, Capture, EchoServer, Lab, Namespace,
    addresses::*,
    datagrams::{answer, packet, socket},
    patient,
};
use nix::sys::socket::{setsockopt, sockopt};

const PORT: u16 = 7000;
const BULK_PORT: u16 = 7001;
const PUBLISHED: u16 = 8080;
const PUBLISHED_BULK: u16 = 8081;
const LIMIT: Duration = Duration::from_secs(30);
/// Octets of a bulk transfer: some thirty super-packets.
const BULK: usize = 2 * 1_024 * 1_024;
/// Of one of many, and where there are no super-packets.
const SMALL_BULK: usize = 512 * 1_024;
const PORTS: &str = "-p 8080:7000/udp -p 8081:7001";
/// Octets of each datagram that UDP segmentation makes, but for the last, which has half of them; as QUIC
/// has them.
const SEGMENT: usize = 1_200;
/// Datagrams at a time: as many as one packet of 64 KiB holds.
const SEGMENTS: usize = 54;

fn ip(address: &str) -> IpAddr {
    address.parse().expect("an address")
}

/// Who sends, which address it dials, who has it.
type Path<'a> = (&'a Namespace, IpAddr, &'a Namespace);

/// Within the network, by masquerade, to a published port from outside, from the network, and by loopback;
/// those to the published port last.
fn paths(app: &App, v6: bool) -> [Path<'_>; 5] {
    let (lab, web) = (&app.lab, &app.web);
    let (inside, host, public, loopback) = match v6 {
        false => (
            lab.address("web", "app"),
            ip(HOST),
            ip(PUBLIC),
            ip("127.0.0.1"),
        ),
        true => (
            lab.address6("web", "app"),
            ip(HOST6),
            ip(PUBLIC6),
            ip("::1"),
        ),
    };
    [
        (&app.client, inside, web),
        (&app.client, public, lab.outside()),
        (lab.outside(), host, web),
        (&app.client, host, web),
        (lab.host(), loopback, web),
    ]
}

/// The first paths of [`paths`] dial the servers' own ports.
const UNPUBLISHED: usize = 2;

/// Sends so many octets over TCP, which come back; all of them have to arrive as they are.
#[track_caller]
fn bulk(from: &Namespace, to: SocketAddr, server: &Namespace, octets: usize) {
    let any = SocketAddr::new(IpAddr::from([0u16; 8]), BULK_PORT);
    let listener = bound(|| server.tcp_listen(any));
    let echo = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let all = read_all(&mut stream);
        stream.write_all(&all).expect("to write");
    });
    let sent: Vec<u8> = (0..octets).map(|at| (at % 251) as u8).collect();
    let mut stream = from.tcp_connect(to, patient(LIMIT)).expect("to connect");
    stream.write_all(&sent).expect("to write");
    stream.shutdown(Shutdown::Write).expect("to end");
    let received = read_all(&mut stream);
    echo.join().expect("the server");
    assert!(received == sent, "{} octets came back", received.len());
}

/// A closed socket lives on in what another test forks until that has become the program that it starts.
#[track_caller]
fn bound<S>(bind: impl Fn() -> io::Result<S>) -> S {
    let deadline = Instant::now() + patient(LIMIT);
    loop {
        match bind() {
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(20));
            }
            socket => return socket.expect("a socket"),
        }
    }
}

fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let limit = Some(patient(LIMIT));
    stream.set_read_timeout(limit).expect("a limit");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("to read");
    all
}

#[track_caller]
fn bulk_everywhere(app: &App, v6: bool, octets: usize) {
    for (number, (from, to, server)) in paths(app, v6).into_iter().enumerate() {
        bulk(from, bulk_at(number, to), server, octets);
    }
}

fn bulk_at(number: usize, to: IpAddr) -> SocketAddr {
    let published = number >= UNPUBLISHED;
    SocketAddr::new(to, if published { PUBLISHED_BULK } else { BULK_PORT })
}

/// Octets of the largest IP packet in a capture.
fn largest(text: &str) -> usize {
    let headers = text.lines().filter(|line| line.contains("ethertype IP"));
    let lengths = headers.filter_map(|line| {
        let (length, header) = match line.split_once("payload length: ") {
            Some((_, length)) => (length, 40),
            None => (line.rsplit_once("length ")?.1, 0),
        };
        let digits: String = length.chars().take_while(char::is_ascii_digit).collect();
        Some(digits.parse::<usize>().ok()? + header)
    });
    lengths.max().unwrap_or(0)
}

/// Every device that packets of the lab pass.
fn devices(lab: &Lab, app: &App) -> Vec<(Namespace, String)> {
    let sides = ["web", "client"].map(|name| (lab.host().clone(), lab.host_side(name, "app")));
    let ports = [lab.host(), lab.outside()].map(|at| (lab.segment().clone(), at.name().to_owned()));
    let ends = [&app.web, &app.client, lab.host(), lab.outside()]
        .map(|at| (at.clone(), "eth0".to_owned()));
    let bridges = [
        (lab.host().clone(), lab.bridge_of("app")),
        (lab.segment().clone(), "segment".to_owned()),
    ];
    let all = sides.into_iter().chain(ports).chain(ends);
    all.chain(bridges).collect()
}

/// Waits for a lock that all namespaces of the machine share.
#[track_caller]
fn offload(at: &Namespace, device: &str, word: &str) {
    let line = format!("ethtool -K {device} tx {word} tso {word} gso {word} gro {word}");
    let finished = at.run_within(&line, patient(LIMIT) * 2).expect("ethtool");
    assert!(finished.succeeded(), "{}", finished.describe());
}

/// The same once more where no device makes a checksum, and what `more` does, as if nothing had been
/// learnt of the way. Captures see no wrong checksum, and the largest packet inside and outside.
#[track_caller]
fn everywhere_is_right(app: &App, [inside, outside]: [usize; 2], more: impl Fn(bool)) {
    for (at, device) in &devices(&app.lab, app) {
        offload(at, device, "off");
    }
    app.client.ok("ip -4 route flush cache");
    app.client.ok("ip -6 route flush cache");
    let captures = [
        (&app.client, inside),
        (&app.web, inside),
        (app.lab.outside(), outside),
    ]
    .map(|(at, octets)| {
        let filter = "ip or icmp6 or tcp or udp";
        let capture = Capture::start(at, "eth0", filter).expect("tcpdump");
        (capture, octets)
    });
    for v6 in [false, true] {
        bulk_everywhere(app, v6, SMALL_BULK);
        more(v6);
    }
    for (capture, octets) in captures {
        let text = capture.is_right("(correct)");
        assert_eq!(largest(&text), octets);
    }
}

#[test]
fn super_packets_go_through_as_they_are() {
    let app = App::with("gso", "", PORTS);
    for v6 in [false, true] {
        for (number, (from, to, server)) in paths(&app, v6).into_iter().enumerate() {
            let at = bulk_at(number, to);
            // As each end gets it: there and back.
            let captures = [
                (server, format!("tcp dst port {BULK_PORT}")),
                (from, format!("tcp and {}", answers(at, BULK_PORT))),
            ]
            .map(|(end, filter)| Capture::start(end, "any", &filter).expect("tcpdump"));
            // How much goes into a packet is for TCP to say: on a busy machine it may begin with less.
            let seen = || {
                captures
                    .each_ref()
                    .map(|capture| largest(&capture.so_far()))
            };
            let mut transfers = 0;
            while seen().into_iter().any(|octets| octets <= 60_000) {
                assert!(transfers < 30, "to {at} at most {:?} octets", seen());
                bulk(from, at, server, BULK);
                transfers += 1;
            }
        }
    }
}

/// A filter for what comes from the dialled port, which for sockets of the host is the server's own.
fn answers(at: SocketAddr, own: u16) -> String {
    format!("( src port {} or src port {own} )", at.port())
}

/// One packet, cut up as late as by the receiver's socket, and one that comes back.
#[test]
fn segments_of_udp_arrive_one_by_one() {
    let app = App::with("udp-gso", "", PORTS);
    for v6 in [false, true] {
        for (number, (from, to, server)) in paths(&app, v6).into_iter().enumerate() {
            let published = number >= UNPUBLISHED;
            let at = SocketAddr::new(to, if published { PUBLISHED } else { PORT });
            // Of its own address, so that it answers from there.
            let own = if published { paths(&app, v6)[0].1 } else { to };
            let socket = bound(|| server.udp_bind(SocketAddr::new(own, PORT)));
            let client = connected(from, at);
            for socket in [&socket, &client] {
                setsockopt(socket, sockopt::UdpGsoSegment, &(SEGMENT as i32)).expect("UDP_SEGMENT");
                let limit = Some(patient(LIMIT));
                socket.set_read_timeout(limit).expect("a limit");
            }
            let captures = [
                (server, format!("udp dst port {PORT}")),
                (from, format!("udp and {}", answers(at, PORT))),
            ]
            .map(|(end, filter)| Capture::start(end, "any", &filter).expect("tcpdump"));
            client.send(&segments()).expect("to send");
            let peer = arrives_in_segments(&socket);
            socket.send_to(&segments(), peer).expect("to send");
            arrives_in_segments(&client);
            for capture in captures {
                let largest = largest(&capture.stop().expect("the capture"));
                assert!(largest > 60_000, "to {at} at most {largest} octets");
            }
        }
    }
}

/// Each with its number at both ends.
fn segments() -> Vec<u8> {
    let mut all: Vec<u8> = (0..SEGMENTS)
        .flat_map(|number| {
            let mut one = vec![number as u8; SEGMENT];
            one[SEGMENT / 2..].fill(0xff - number as u8);
            one
        })
        .collect();
    all.truncate(all.len() - SEGMENT / 2);
    all
}

/// Who sent them.
#[track_caller]
fn arrives_in_segments(socket: &UdpSocket) -> SocketAddr {
    let mut peers = BTreeSet::new();
    for (number, expected) in segments().chunks(SEGMENT).enumerate() {
        let mut one = [0; 2 * SEGMENT];
        let (length, peer) = socket.recv_from(&mut one).expect("a datagram");
        assert!(
            one[..length] == *expected,
            "number {number}: {length} octets"
        );
        peers.insert(peer);
    }
    assert_eq!(peers.len(), 1, "{peers:?}");
    peers.pop_first().expect("one")
}

#[test]
fn without_offloads_no_checksum_is_wrong() {
    let app = App::with("no-offloads", "", PORTS);
    let lab = &app.lab;
    for (at, device) in &devices(lab, &app) {
        offload(at, device, "off");
    }
    let filter = format!("tcp port {BULK_PORT} and greater 1000");
    let captures =
        [&app.web, lab.outside()].map(|at| Capture::start(at, "eth0", &filter).expect("tcpdump"));
    for v6 in [false, true] {
        bulk_everywhere(&app, v6, SMALL_BULK);
    }
    for capture in captures {
        let text = capture.stop().expect("the capture");
        assert!(text.contains("(correct)"), "no checksum was seen");
        let largest = largest(&text);
        assert!(largest <= 1_500, "there are super-packets: {largest}");
        let wrong = Capture::wrong_checksums(&text);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

/// Segmentation and checksums by all devices but one.
#[test]
fn offloads_of_single_devices_may_be_off() {
    let app = App::with("mixed-offloads", "", PORTS);
    for (at, device) in &devices(&app.lab, &app) {
        offload(at, device, "off");
        for v6 in [false, true] {
            bulk_everywhere(&app, v6, SMALL_BULK);
        }
        offload(at, device, "on");
    }
}

#[test]
fn jumbo_frames_inside_and_outside() {
    let lab = Lab::new("jumbo");
    lab.segment().ok("ip link set segment mtu 9000");
    for at in [lab.host(), lab.outside()] {
        lab.segment()
            .ok(&format!("ip link set {} mtu 9000", at.name()));
        at.ok("ip link set eth0 mtu 9000");
    }
    let app = App::in_lab(lab, "-o com.docker.network.driver.mtu=9000", PORTS);
    let lab = &app.lab;
    let _server = EchoServer::start(&app.web, PORT);
    for (to, header) in [
        (lab.address("web", "app").to_string(), 28),
        (lab.address6("web", "app").to_string(), 48),
        (PUBLIC.to_owned(), 28),
        (PUBLIC6.to_owned(), 48),
    ] {
        let fits = 9_000 - header;
        app.client
            .ok(&format!("ping -n -M do -c 1 -W 5 -s {fits} {to}"));
        app.client
            .fails(&format!("ping -n -M do -c 1 -W 1 -s {} {to}", fits + 1));
    }
    for v6 in [false, true] {
        bulk_everywhere(&app, v6, SMALL_BULK);
    }
    everywhere_is_right(&app, [9_000; 2], |_| {});
}

#[test]
fn an_uplink_that_takes_less_than_the_network() {
    let app = App::with("small-uplink", "", PORTS);
    let lab = &app.lab;
    lab.host().ok("ip link set eth0 mtu 1300");
    lab.outside().ok("ip link set eth0 mtu 1300");
    let _far = EchoServer::start(lab.outside(), PORT);
    let _server = EchoServer::start(&app.web, PORT);
    // The first is lost and its sender told; the kernel cuts what follows.
    let in_pieces = |v6: bool, octets: usize| {
        let to = if v6 { ip(PUBLIC6) } else { ip(PUBLIC) };
        let socket = connected(&app.client, SocketAddr::new(to, PORT));
        let text = vec![b'a'; octets];
        lab.wait_until("a datagram in pieces is answered", LIMIT, || {
            let _ = socket.send(&text);
            let mut answer = [0; 5_000];
            matches!(socket.recv(&mut answer), Ok(length) if answer[..length].ends_with(&text))
        });
    };
    for v6 in [false, true] {
        bulk_everywhere(&app, v6, SMALL_BULK);
        in_pieces(v6, 1_400);
    }
    // One that is in fragments already when it meets the uplink.
    everywhere_is_right(&app, [1_500, 1_300], |v6| in_pieces(v6, 4_000));
}

fn connected(from: &Namespace, to: SocketAddr) -> UdpSocket {
    let any = match to {
        SocketAddr::V4(_) => IpAddr::from([0u8; 4]),
        SocketAddr::V6(_) => IpAddr::from([0u16; 8]),
    };
    let socket = from.udp_bind(SocketAddr::new(any, 0)).expect("a socket");
    let limit = Some(Duration::from_millis(300));
    socket.set_read_timeout(limit).expect("a limit");
    from.on(move || socket.connect(to).map(|()| socket))
        .expect("a route")
}

/// IPv4 alone: over IPv6 UDP has to have one (RFC 8200 section 8.1).
#[test]
fn udp_without_a_checksum_is_answered() {
    let app = App::with("unchecked", "", PORTS);
    let lab = &app.lab;
    let _far = EchoServer::start(lab.outside(), PORT);
    let _server = EchoServer::start(&app.web, PORT);
    let stranger = app.stranger();
    app.without_offloads();
    let client = lab.address("client", "app");
    let captures = [&app.client, &app.web, &stranger, lab.outside()]
        .map(|at| Capture::start(at, "eth0", "udp").expect("tcpdump"));
    let published = SocketAddr::new(ip(HOST), PUBLISHED);
    let public = SocketAddr::new(ip(PUBLIC), PORT);
    let web = SocketAddr::new(lab.address("web", "app"), PORT);
    // A port for each: a closed socket lives on in what another test forks until that has become the
    // program that it starts.
    for (own, from, source, to) in [
        (5_353, &app.client, client, public),
        (5_354, &app.client, client, web),
        (5_355, lab.outside(), ip(OUTSIDE), published),
        (5_356, &app.client, client, published),
        (
            5_357,
            &stranger,
            lab.address("stranger", "other"),
            published,
        ),
    ] {
        let socket = socket(from, source, own);
        let payload = Payload::UdpUnchecked(own, to.port(), b"unchecked".to_vec());
        let packet = packet(source, to.ip(), payload)[14..].to_vec();
        from.send_packets(&[packet]).expect("to send");
        answer(&socket, &format!("from {source} to {to}"), b"unchecked");
    }
    for capture in captures {
        capture.is_right("[no cksum]");
    }
    assert_eq!(lab.drops("ports-exhausted"), 0, "{}", lab.netd("drops"));
}
