//! Sizes and offloads with real kernels: super-packets of 64 KiB and all offloads off, jumbo frames, an
//! uplink that takes less than a network, and UDP without a checksum. What arrives is the oracle; where
//! no device computes checksums, tcpdump finds none that is wrong.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use netd_common::packet::testing::{Frame, Payload};
use netd_tests::lab::{App, Capture, EchoServer, Lab, Namespace, addresses::*, patient};

const PORT: u16 = 7000;
const BULK_PORT: u16 = 7001;
const PUBLISHED: u16 = 8080;
const PUBLISHED_BULK: u16 = 8081;
const LIMIT: Duration = Duration::from_secs(30);
/// Octets of a bulk transfer: some hundred super-packets.
const BULK: usize = 8 * 1_024 * 1_024;
const PORTS: &str = "-p 8080:7000/udp -p 8081:7001";

fn ip(address: &str) -> IpAddr {
    address.parse().expect("an address")
}

/// Sends [`BULK`] octets over TCP; all of them have to arrive as they are.
#[track_caller]
fn bulk(from: &Namespace, to: SocketAddr, server: &Namespace) {
    let any = SocketAddr::new(IpAddr::from([0u16; 8]), BULK_PORT);
    let listener = server.tcp_listen(any).expect("a listener");
    let received = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        stream
            .set_read_timeout(Some(patient(LIMIT)))
            .expect("a limit");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("to read");
        all
    });
    let sent: Vec<u8> = (0..BULK).map(|at| (at % 251) as u8).collect();
    let mut stream = from.tcp_connect(to, patient(LIMIT)).expect("to connect");
    stream.write_all(&sent).expect("to write");
    drop(stream);
    let received = received.join().expect("the server");
    assert!(received == sent, "{} octets arrived", received.len());
}

/// By masquerade, to a published port, and within the network.
#[track_caller]
fn bulk_everywhere(app: &App, v6: bool) {
    let lab = &app.lab;
    let (web, host, public) = match v6 {
        false => (lab.address("web", "app"), ip(HOST), ip(PUBLIC)),
        true => (lab.address6("web", "app"), ip(HOST6), ip(PUBLIC6)),
    };
    bulk(&app.client, SocketAddr::new(web, BULK_PORT), &app.web);
    bulk(
        &app.client,
        SocketAddr::new(public, BULK_PORT),
        lab.outside(),
    );
    let published = SocketAddr::new(host, PUBLISHED_BULK);
    bulk(lab.outside(), published, &app.web);
}

/// Octets of the largest IP packet in a capture.
fn largest(text: &str) -> usize {
    let lengths = text.lines().filter_map(|line| {
        let (_, length) = line.rsplit_once("length ")?;
        let digits: String = length.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    lengths.max().unwrap_or(0)
}

/// Every device that packets of the lab pass.
fn devices(lab: &Lab, app: &App) -> Vec<(Namespace, String)> {
    let sides = ["web", "client"].map(|name| (lab.host().clone(), lab.host_side(name, "app")));
    let ports = [lab.host(), lab.outside()].map(|at| (lab.segment().clone(), at.name().to_owned()));
    let ends = [&app.web, &app.client, lab.host(), lab.outside()]
        .map(|at| (at.clone(), "eth0".to_owned()));
    sides.into_iter().chain(ports).chain(ends).collect()
}

/// Waits for a lock that all namespaces of the machine share.
#[track_caller]
fn offload(at: &Namespace, device: &str, word: &str) {
    let line = format!("ethtool -K {device} tx {word} tso {word} gso {word} gro {word}");
    let finished = at.run_within(&line, patient(LIMIT) * 2).expect("ethtool");
    assert!(finished.succeeded(), "{}", finished.describe());
}

#[test]
fn super_packets_go_through_as_they_are() {
    let app = App::with("gso", "", PORTS);
    let captures = [&app.web, app.lab.outside()].map(|at| {
        Capture::start(at, "eth0", &format!("tcp dst port {BULK_PORT}")).expect("tcpdump")
    });
    for v6 in [false, true] {
        bulk_everywhere(&app, v6);
    }
    for capture in captures {
        let text = capture.stop().expect("the capture");
        let largest = largest(&text);
        assert!(largest > 20_000, "the largest has {largest} octets");
    }
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
        bulk_everywhere(&app, v6);
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

/// Segmentation and checksums by some devices and not by others.
#[test]
fn offloads_of_single_devices_may_be_off() {
    let app = App::with("mixed-offloads", "", PORTS);
    let lab = &app.lab;
    // A sandbox's side and the host's side of a veth pair, and both ends of the uplink.
    let all = devices(lab, &app);
    for (at, device) in [0, 4, 6, 7].map(|number| &all[number]) {
        offload(at, device, "off");
        bulk_everywhere(&app, false);
        offload(at, device, "on");
    }
    bulk_everywhere(&app, true);
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
        bulk_everywhere(&app, v6);
    }
}

#[test]
fn an_uplink_that_takes_less_than_the_network() {
    let app = App::with("small-uplink", "", PORTS);
    let lab = &app.lab;
    lab.host().ok("ip link set eth0 mtu 1300");
    lab.outside().ok("ip link set eth0 mtu 1300");
    let _far = EchoServer::start(lab.outside(), PORT);
    let _server = EchoServer::start(&app.web, PORT);
    for v6 in [false, true] {
        bulk_everywhere(&app, v6);
        let to = if v6 { ip(PUBLIC6) } else { ip(PUBLIC) };
        // The first is lost and its sender told; the kernel cuts what follows.
        let socket = connected(&app.client, SocketAddr::new(to, PORT));
        let text = vec![b'a'; 1_400];
        lab.wait_until("a datagram in two pieces is answered", LIMIT, || {
            let _ = socket.send(&text);
            let mut answer = [0; 2_000];
            matches!(socket.recv(&mut answer), Ok(length) if answer[..length].ends_with(&text))
        });
    }
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
    let client = lab.address("client", "app");
    let seen_outside = Capture::start(lab.outside(), "eth0", &format!("udp dst port {PORT}"));
    let seen_outside = seen_outside.expect("tcpdump");
    // A port for each: a closed socket lives on in what another test forks until that has become the
    // program that it starts.
    for (own, from, source, to) in [
        (
            5_353,
            &app.client,
            client,
            SocketAddr::new(ip(PUBLIC), PORT),
        ),
        (
            5_354,
            &app.client,
            client,
            SocketAddr::new(lab.address("web", "app"), PORT),
        ),
        (
            5_355,
            lab.outside(),
            ip(OUTSIDE),
            SocketAddr::new(ip(HOST), PUBLISHED),
        ),
    ] {
        let any = SocketAddr::new(IpAddr::from([0u8; 4]), own);
        let socket = from.udp_bind(any).expect("a socket");
        socket
            .set_read_timeout(Some(patient(LIMIT)))
            .expect("a limit");
        let frame = Frame {
            to: [0; 6],
            from: [0; 6],
            source: source.into(),
            destination: to.ip().into(),
            hops: 64,
            payload: Payload::UdpUnchecked(own, to.port(), b"unchecked".to_vec()),
        };
        let packet = frame.bytes()[14..].to_vec();
        from.send_packets(&[packet]).expect("to send");
        let mut answer = [0; 200];
        let length = socket.recv(&mut answer).expect("an answer");
        let text = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(text.ends_with("|unchecked"), "{to}: {text}");
    }
    let text = seen_outside.stop().expect("the capture");
    assert!(text.contains("[no cksum]"), "{text}");
    assert_eq!(lab.drops("ports-exhausted"), 0, "{}", lab.netd("drops"));
}
