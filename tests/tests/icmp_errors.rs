//! ICMP errors through masquerade, published ports and the short cut, with real clients: ping,
//! traceroute, tracepath, sockets that hear of an error, TCP that finds a smaller hop.

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use netd_tests::lab::{App, Capture, Namespace, addresses::*};

const PORT: u16 = 7000;
const LIMIT: Duration = Duration::from_secs(10);
/// Behind the outside, by a link of a smaller MTU.
const FAR: &str = "203.0.114.9";
const FAR6: &str = "2001:db8:fa::9";
/// That link's other addresses.
const NEAR: &str = "203.0.114.1";
const NEAR6: &str = "2001:db8:fa::1";
/// The MTU of the link to [`FAR`].
const SMALL: u32 = 1_320;

fn ip(address: &str) -> IpAddr {
    address.parse().expect("an address")
}

/// A host behind the outside, by a link of a small MTU that the outside's router does not tell
/// anybody of beforehand.
fn far(app: &App) -> Namespace {
    let (outside, far) = (app.lab.outside(), app.lab.namespace("far").expect("far"));
    outside.ok(&format!(
        "ip link add far mtu {SMALL} type veth peer name eth0 mtu {SMALL} netns {}",
        far.path().display()
    ));
    for (namespace, link, v4, v6) in [(outside, "far", NEAR, NEAR6), (&far, "eth0", FAR, FAR6)] {
        namespace.ok(&format!("ip link set {link} up"));
        namespace.ok(&format!("ip addr add {v4}/24 dev {link}"));
        namespace.ok(&format!("ip addr add {v6}/64 dev {link} nodad"));
    }
    far.ok(&format!("ip route add default via {NEAR}"));
    far.ok(&format!("ip -6 route add default via {NEAR6}"));
    for name in ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"] {
        outside.sysctl(name, "1").expect("a router");
    }
    far
}

#[test]
fn each_hop_shows_itself() {
    let app = App::start("icmp-hops");
    let _far = far(&app);
    let (gateway, gateway6) = (
        app.lab.gateway("client", "app"),
        app.lab.gateway6("client", "app"),
    );
    for (option, hops) in [
        ("-4", [gateway, ip(OUTSIDE), ip(FAR)]),
        ("-6", [gateway6, ip(OUTSIDE6), ip(FAR6)]),
    ] {
        for method in ["--icmp", "--tcp --port=9", "--udp", ""] {
            let line = format!("traceroute {option} -n -q 1 -w 5 -m 6 {method} {}", hops[2]);
            let text = app.client.ok(&line);
            let seen: Vec<IpAddr> = text
                .lines()
                .skip(1)
                .filter_map(|line| line.split_whitespace().nth(1)?.parse().ok())
                .collect();
            assert_eq!(seen, hops, "{line}\n{text}");
        }
    }
    assert!(
        app.lab.drops("ttl-expired") >= 8,
        "{}",
        app.lab.netd("drops")
    );
}

#[test]
fn the_path_mtu_is_found() {
    let app = App::start("icmp-pmtu");
    let _far = far(&app);
    for (option, to) in [("-4", FAR), ("-6", FAR6)] {
        let text = app.client.ok(&format!("tracepath {option} -n {to}"));
        assert!(text.contains(&format!("pmtu {SMALL}")), "{text}");
        assert!(text.contains("reached"), "{text}");
    }
}

#[test]
fn ping_is_told_what_does_not_fit() {
    let app = App::start("icmp-ping");
    let _far = far(&app);
    for to in [FAR, FAR6] {
        let run = app
            .client
            .run(&format!("ping -n -c 2 -W 5 -M do -s 1400 {to}"));
        let text = run.expect("ping").describe();
        assert!(
            text.contains(&format!("mtu = {SMALL}")) || text.contains(&format!("mtu={SMALL}")),
            "{text}"
        );
    }
}

#[test]
fn tcp_gets_through_a_smaller_hop() {
    let app = App::with("icmp-tcp", "", &format!("-p {PORT}:{PORT}"));
    let far = far(&app);
    for to in [FAR, FAR6] {
        // Out, masqueraded; then from there to a published port, whose replies are large.
        upload(&app.client, &far, SocketAddr::new(ip(to), PORT));
    }
    for host in [HOST, HOST6] {
        download(&far, &app.web, SocketAddr::new(ip(host), PORT));
    }
}

const SIZE: usize = 1 << 20;

/// A megabyte from the client to a server.
#[track_caller]
fn upload(from: &Namespace, to: &Namespace, at: SocketAddr) {
    let listener = listen(to, at.port());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.read_exact(&mut vec![0; SIZE])
    });
    let mut stream = from.tcp_connect(at, LIMIT).expect("a connection");
    stream.write_all(&vec![7; SIZE]).expect("to send");
    server.join().expect("the server").expect("all of it");
}

/// A megabyte from a server to the client.
#[track_caller]
fn download(from: &Namespace, to: &Namespace, at: SocketAddr) {
    let listener = listen(to, at.port());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        stream.write_all(&vec![7; SIZE])
    });
    let mut stream = from.tcp_connect(at, LIMIT).expect("a connection");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    stream.read_exact(&mut vec![0; SIZE]).expect("all of it");
    server.join().expect("the server").expect("its side");
}

fn listen(at: &Namespace, port: u16) -> std::net::TcpListener {
    let any = SocketAddr::new(IpAddr::from([0u16; 8]), port);
    at.tcp_listen(any).expect("a listener")
}

/// A datagram to a port that nobody listens at is refused, and the socket hears it.
#[track_caller]
fn is_refused(from: &Namespace, to: SocketAddr) {
    let any = match to {
        SocketAddr::V4(_) => IpAddr::from([0u8; 4]),
        SocketAddr::V6(_) => IpAddr::from([0u16; 8]),
    };
    let socket: UdpSocket = from.udp_bind(SocketAddr::new(any, 0)).expect("a socket");
    socket.set_read_timeout(Some(LIMIT)).expect("a limit");
    socket.connect(to).expect("to connect");
    socket.send(b"anybody?").expect("to send");
    let error = socket.recv(&mut [0; 10]).expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{to}: {error}");
}

#[test]
fn a_closed_port_is_heard_of_in_both_directions() {
    let app = App::with("icmp-closed", "", "-p 5300:53/udp");
    let filter = "icmp or icmp6";
    let outside = app.lab.outside();
    for (namespace, link) in [(&app.client, "eth0"), (&app.web, "eth0"), (outside, "eth0")] {
        namespace.offload(link, false).expect("offload");
    }
    let captures = [outside, &app.client, &app.web]
        .map(|namespace| Capture::start(namespace, "eth0", filter).expect("tcpdump"));
    // From inside, with a router's error or the far end's.
    for to in [OUTSIDE, PUBLIC, OUTSIDE6, PUBLIC6] {
        is_refused(&app.client, SocketAddr::new(ip(to), PORT));
    }
    // From outside, and from the same network, to a published port without a server.
    for host in [HOST, HOST6] {
        let port = SocketAddr::new(ip(host), 5300);
        is_refused(outside, port);
        is_refused(&app.client, port);
    }
    for capture in captures {
        let text = capture.stop().expect("the capture");
        assert!(text.contains("unreachable"), "{text}");
        assert!(Capture::wrong_checksums(&text).is_empty(), "{text}");
    }
    // Directly, and from the host.
    for address in [
        app.lab.address("web", "app"),
        app.lab.address6("web", "app"),
    ] {
        is_refused(&app.client, SocketAddr::new(address, PORT));
        is_refused(app.lab.host(), SocketAddr::new(address, PORT));
    }
}

#[test]
fn the_host_says_what_its_uplink_does_not_take() {
    let app = App::start("icmp-uplink");
    app.lab.host().ok("ip link set eth0 mtu 1400");
    for to in [PUBLIC, PUBLIC6] {
        let run = app
            .client
            .run(&format!("ping -n -c 2 -W 5 -M do -s 1440 {to}"));
        let text = run.expect("ping").describe();
        assert!(
            text.contains("mtu = 1400") || text.contains("mtu=1400"),
            "{text}"
        );
        let server = app.lab.outside();
        upload(&app.client, server, SocketAddr::new(ip(to), PORT));
    }
    assert!(app.lab.drops("too-big") >= 2, "{}", app.lab.netd("drops"));
}

#[test]
fn the_outside_sees_the_host_as_a_hop_to_a_published_port() {
    let app = App::with("icmp-in", "", &format!("-p {PORT}:{PORT}"));
    let outside = app.lab.outside();
    let _server = listen(&app.web, PORT);
    outside.offload("eth0", false).expect("offload");
    let capture = Capture::start(outside, "eth0", "icmp or icmp6").expect("tcpdump");
    for (option, host) in [("-4", HOST), ("-6", HOST6)] {
        let text = outside.ok(&format!(
            "traceroute {option} -n -q 1 -w 5 -m 4 --tcp --port={PORT} {host}"
        ));
        let hops: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(hops.len(), 2, "the host, then the container: {text}");
        assert!(hops.iter().all(|hop| hop.contains(host)), "{text}");
    }
    let text = capture.stop().expect("the capture");
    assert!(text.contains("time exceeded"), "{text}");
    assert!(Capture::wrong_checksums(&text).is_empty(), "{text}");
}

#[test]
fn an_attacker_forges_in_vain() {
    let app = App::start("icmp-forged");
    let socket = app
        .client
        .udp_bind("0.0.0.0:0".parse().expect("an address"))
        .expect("a socket");
    socket.connect((PUBLIC, PORT)).expect("to connect");
    socket.set_read_timeout(Some(LIMIT)).expect("a limit");
    let _server = netd_tests::lab::EchoServer::start(app.lab.outside(), PORT);
    let flows = app.lab.netd("flow ls").lines().count();
    // Real errors of the host about nothing of netd's go on to the host.
    is_refused(app.lab.host(), SocketAddr::new(ip(OUTSIDE), 9));
    assert_eq!(app.lab.netd("flow ls").lines().count(), flows);
    socket.send(b"x").expect("to send");
    let mut answer = [0; 100];
    assert!(socket.recv(&mut answer).expect("an answer") > 0);
}
