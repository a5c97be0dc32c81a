//! ICMP errors through masquerade, published ports and the short cut, with real clients: ping,
//! traceroute, tracepath, sockets that hear of an error, TCP that finds a smaller hop.

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use netd_common::packet::testing::{Payload, correct_sums};
use netd_tests::lab::{
    App, Capture, EchoServer, Namespace,
    addresses::*,
    datagrams::{packet, socket},
};

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

/// A host behind the outside, by a link of a small MTU that nobody tells of beforehand: it announces an
/// MSS for more. Its packets, too, have whole checksums.
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
        namespace.offload(link, false).expect("offload");
    }
    far.ok(&format!("ip route add default via {NEAR} advmss 1460"));
    far.ok(&format!("ip -6 route add default via {NEAR6} advmss 1440"));
    for name in ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"] {
        outside.sysctl(name, "1").expect("a router");
    }
    far
}

/// Who shows itself on the way, as `traceroute` tells with these arguments.
#[track_caller]
fn hops(from: &Namespace, arguments: &str) -> Vec<IpAddr> {
    let text = from.ok(&format!("traceroute -n -q 1 -w 5 -m 6 {arguments}"));
    text.lines()
        .skip(1)
        .map(
            |line| match line.split_whitespace().nth(1).map(str::parse) {
                Some(Ok(address)) => address,
                _ => panic!("{arguments}\n{text}"),
            },
        )
        .collect()
}

/// What a client and somebody outside hear in ICMP.
fn captures(places: &[&Namespace]) -> Vec<Capture> {
    places
        .iter()
        .map(|at| Capture::start(at, "eth0", "icmp or icmp6").expect("tcpdump"))
        .collect()
}

#[test]
fn each_hop_shows_itself() {
    let app = App::start("icmp-hops");
    let _far = far(&app);
    app.without_offloads();
    let captures = captures(&[&app.client, app.lab.outside()]);
    let (gateway, gateway6) = (
        app.lab.gateway("client", "app"),
        app.lab.gateway6("client", "app"),
    );
    for (option, expected) in [
        ("-4", [gateway, ip(OUTSIDE), ip(FAR)]),
        ("-6", [gateway6, ip(OUTSIDE6), ip(FAR6)]),
    ] {
        for method in ["--icmp", "--tcp --port=9", "--udp", ""] {
            let arguments = format!("{option} {method} {}", expected[2]);
            assert_eq!(hops(&app.client, &arguments), expected, "{arguments}");
        }
    }
    assert!(
        app.lab.drops("ttl-expired") >= 8,
        "{}",
        app.lab.netd("drops")
    );
    for capture in captures {
        let text = capture.is_right("time exceeded in-transit");
        assert!(text.contains("ICMP6, time exceeded"), "{text}");
    }
}

#[test]
fn the_path_mtu_is_found() {
    let app = App::start("icmp-pmtu");
    let far = far(&app);
    app.without_offloads();
    let captures = captures(&[&app.client, app.lab.outside()]);
    for (option, to) in [("-4", FAR), ("-6", FAR6)] {
        let text = app.client.ok(&format!("tracepath {option} -n {to}"));
        assert!(text.contains(&format!("pmtu {SMALL}")), "{text}");
        assert!(text.contains("reached"), "{text}");
    }
    // What comes in fragments: of IPv6, the container alone can make them smaller.
    let _server = EchoServer::start(&far, PORT);
    for to in [FAR, FAR6] {
        app.client.ok("ip -4 route flush cache");
        app.client.ok("ip -6 route flush cache");
        let socket = socket(&app.client, ip(to), 0);
        let (text, to) = (vec![b'a'; 4_000], SocketAddr::new(ip(to), PORT));
        socket
            .set_read_timeout(Some(Duration::from_millis(300)))
            .expect("a limit");
        app.lab
            .wait_until("a large datagram is answered", LIMIT, || {
                let _ = socket.send_to(&text, to);
                let mut answer = [0; 5_000];
                matches!(socket.recv(&mut answer), Ok(length) if answer[..length].ends_with(&text))
            });
    }
    for capture in captures {
        let text = capture.is_right(&format!("need to frag (mtu {SMALL})"));
        let too_big = format!("packet too big, mtu {SMALL}");
        assert!(text.contains(&too_big), "{text}");
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

/// With segmentation and checksums by devices; and again without, where captures judge them. What was
/// learnt of the way is forgotten in between.
#[test]
fn tcp_gets_through_a_smaller_hop() {
    let app = App::with("icmp-tcp", "", &format!("-p {PORT}-7003:{PORT}-7003"));
    let far = far(&app);
    let outside = app.lab.outside();
    let through = |ports: [u16; 2]| {
        // Out, masqueraded; then from there to a published port, whose replies are large.
        for (to, port) in [FAR, FAR6].into_iter().zip(ports) {
            upload(&app.client, &far, SocketAddr::new(ip(to), port));
        }
        for (host, port) in [HOST, HOST6].into_iter().zip(ports) {
            download(&far, &app.web, SocketAddr::new(ip(host), port));
        }
    };
    through([PORT, PORT + 1]);
    app.without_offloads();
    for at in [&app.client, &app.web] {
        at.ok("ip -4 route flush cache");
        at.ok("ip -6 route flush cache");
    }
    let captures = [&app.client, &app.web, outside]
        .map(|at| Capture::start(at, "eth0", "tcp or icmp or icmp6").expect("tcpdump"));
    through([PORT + 2, PORT + 3]);
    for capture in captures {
        let text = capture.is_right(&format!("need to frag (mtu {SMALL})"));
        let too_big = format!("packet too big, mtu {SMALL}");
        assert!(text.contains(&too_big), "{text}");
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
    let socket = socket(from, to.ip(), 0);
    socket.connect(to).expect("to connect");
    socket.send(b"anybody?").expect("to send");
    let error = socket.recv(&mut [0; 10]).expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{to}: {error}");
}

/// A connection to a port that nobody listens at is refused.
#[track_caller]
fn is_reset(from: &Namespace, to: SocketAddr) {
    let error = from.tcp_connect(to, LIMIT).expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{to}: {error}");
}

#[test]
fn a_closed_port_is_heard_of_in_both_directions() {
    let app = App::with("icmp-closed", "", "-p 5300:53/udp -p 5300:53/tcp");
    let (lab, outside) = (&app.lab, app.lab.outside());
    let stranger = app.stranger();
    app.without_offloads();
    let captures = captures(&[outside, &app.client, &app.web, &stranger]);
    // From inside, with a router's error or the far end's.
    for to in [OUTSIDE, PUBLIC, OUTSIDE6, PUBLIC6] {
        is_refused(&app.client, SocketAddr::new(ip(to), PORT));
    }
    // To a published port without a server: from outside, from the same network, from another one, and
    // from the publisher itself.
    for host in [HOST, HOST6] {
        let port = SocketAddr::new(ip(host), 5300);
        for from in [outside, &app.client, &stranger, &app.web] {
            is_refused(from, port);
            is_reset(from, port);
        }
    }
    for capture in captures {
        capture.is_right("unreachable");
    }
    // From the host, where a socket's far end is the container.
    for address in ["127.0.0.1", HOST, "::1", HOST6] {
        let port = SocketAddr::new(ip(address), 5300);
        is_refused(lab.host(), port);
        is_reset(lab.host(), port);
    }
    // Directly, and from the host.
    for address in [lab.address("web", "app"), lab.address6("web", "app")] {
        is_refused(&app.client, SocketAddr::new(address, PORT));
        is_refused(lab.host(), SocketAddr::new(address, PORT));
    }
}

/// As [`tcp_gets_through_a_smaller_hop`].
#[test]
fn the_host_says_what_its_uplink_does_not_take() {
    let app = App::start("icmp-uplink");
    app.lab.host().ok("ip link set eth0 mtu 1400");
    let told = |port: u16| {
        for (to, port) in [(PUBLIC, port), (PUBLIC6, port + 1)] {
            let run = app
                .client
                .run(&format!("ping -n -c 2 -W 5 -M do -s 1440 {to}"));
            let text = run.expect("ping").describe();
            assert!(
                text.contains("mtu = 1400") || text.contains("mtu=1400"),
                "{text}"
            );
            let server = app.lab.outside();
            upload(&app.client, server, SocketAddr::new(ip(to), port));
        }
    };
    told(PORT);
    app.without_offloads();
    app.client.ok("ip -4 route flush cache");
    app.client.ok("ip -6 route flush cache");
    let captures = [&app.client, app.lab.outside()]
        .map(|at| Capture::start(at, "eth0", "tcp or icmp or icmp6").expect("tcpdump"));
    told(PORT + 2);
    let [inside, outside] = captures;
    let text = inside.is_right("need to frag (mtu 1400)");
    assert!(text.contains("packet too big, mtu 1400"), "{text}");
    outside.is_right("(correct)");
    assert!(app.lab.drops("too-big") >= 4, "{}", app.lab.netd("drops"));
}

#[test]
fn the_outside_sees_the_host_as_a_hop_to_a_published_port() {
    let app = App::with("icmp-in", "", &format!("-p {PORT}:{PORT}"));
    let (lab, outside) = (&app.lab, app.lab.outside());
    let _server = listen(&app.web, PORT);
    let stranger = app.stranger();
    app.without_offloads();
    let captures = captures(&[outside, &app.client, &stranger, &app.web]);
    for (option, host) in [("-4", HOST), ("-6", HOST6)] {
        let arguments = format!("{option} --tcp --port={PORT} {host}");
        // The host, then the container.
        assert_eq!(hops(outside, &arguments), [ip(host); 2]);
        // Past the host's stack, as if its gateway had routed it: from the same network, from another
        // one, and from the publisher itself.
        for (from, sandbox, network) in [
            (&app.client, "client", "app"),
            (&stranger, "stranger", "other"),
            (&app.web, "web", "app"),
        ] {
            let gateway = match ip(host) {
                IpAddr::V4(_) => lab.gateway(sandbox, network),
                IpAddr::V6(_) => lab.gateway6(sandbox, network),
            };
            assert_eq!(hops(from, &arguments), [gateway, ip(host)], "{sandbox}");
        }
    }
    for capture in captures {
        let text = capture.is_right("time exceeded in-transit");
        assert!(text.contains("ICMP6, time exceeded"), "{text}");
    }
}

/// The client's port in [`an_attacker_forges_in_vain`]: one that masquerade keeps.
const OWN: u16 = 20_000;

/// Another MTU, as ICMP errors of both families tell it: 1280.
const MTU: [u8; 4] = [0, 0, 5, 0];

/// A packet of an attacker: an ICMP error of this type and code that quotes `quote`.
fn error([kind, code]: [u8; 2], from: &str, to: &str, quote: &[u8]) -> Vec<u8> {
    let payload = Payload::Icmp(kind, [&MTU, quote].concat());
    let mut bytes = packet(ip(from), ip(to), payload);
    bytes[14 + header(to) + 1] = code;
    correct_sums(&mut bytes);
    bytes.split_off(14)
}

/// A datagram as an error quotes it.
fn datagram(from: &str, to: &str, ports: [u16; 2]) -> Vec<u8> {
    let [own, far] = ports;
    let payload = Payload::Udp(own, far, b"x".to_vec());
    packet(ip(from), ip(to), payload).split_off(14)
}

/// Octets of an IP header without options.
fn header(address: &str) -> usize {
    if ip(address).is_ipv4() { 20 } else { 40 }
}

/// The conversations with an address, without their ages.
fn flows(app: &App, with: &str) -> Vec<String> {
    let listing = app.lab.netd("flow ls -f json");
    let mut flows: Vec<String> = serde_json::Deserializer::from_str(&listing)
        .into_iter::<serde_json::Value>()
        .map(|flow| {
            let mut flow = flow.expect("JSON");
            let fields = flow.as_object_mut().expect("an object");
            fields.retain(|name, _| !name.starts_with("Age") && !name.starts_with("Idle"));
            flow.to_string()
        })
        .filter(|flow| flow.contains(with))
        .collect();
    flows.sort();
    flows
}

/// Somebody on the host's segment who knows the addresses of a conversation, but not its ports, makes
/// errors about it. Who knows all of it is a router for all that anybody can tell.
#[test]
fn an_attacker_forges_in_vain() {
    let app = App::start("icmp-forged");
    let (lab, attacker) = (&app.lab, app.lab.attacker());
    let _server = EchoServer::start(lab.outside(), PORT);
    let client = [lab.address("client", "app"), lab.address6("client", "app")];
    for (host, public, own, client, errors) in [
        (HOST, PUBLIC, ATTACKER, client[0], [[3, 3], [3, 4]]),
        (HOST6, PUBLIC6, ATTACKER6, client[1], [[1, 4], [2, 0]]),
    ] {
        let client = client.to_string();
        attacker.ok(&format!("ip route add {client} via {host}"));
        let socket = conversation(&app, public);
        let before = flows(&app, public);
        assert!(!before.is_empty());
        let right = datagram(host, public, [OWN, PORT]);
        let forged = [
            // Of other ports.
            (host, datagram(host, public, [OWN + 1, PORT])),
            (host, datagram(host, public, [OWN, PORT + 1])),
            // Too short for ports, or for a header.
            (host, right[..header(host) + 7].to_vec()),
            (host, right[..header(host) - 1].to_vec()),
            (host, vec![]),
            // What somebody else has sent, and what the container itself has.
            (host, datagram(own, public, [OWN, PORT])),
            (host, datagram(&client, public, [OWN, PORT])),
            (client.as_str(), datagram(&client, public, [OWN, PORT])),
        ];
        let at_host = Capture::start(lab.host(), "eth0", &only(errors)).expect("tcpdump");
        let at_client = Capture::start(&app.client, "eth0", &only(errors)).expect("tcpdump");
        let mut packets = Vec::new();
        for (to, quote) in &forged {
            // The attacker's own, and as if the far end had said it.
            for from in [own, public] {
                packets.extend(errors.map(|what| error(what, from, to, quote)));
            }
        }
        attacker.send_packets(&packets).expect("to send");
        lab.wait_until("all of them are there", LIMIT, || {
            at_host.so_far().matches("ethertype IPv").count() == packets.len()
        });
        assert_eq!(at_client.stop().expect("the capture").trim(), "");
        assert_eq!(flows(&app, public), before);
        assert_eq!(way(&app.client, public).matches("mtu").count(), 0);
        exchange(&socket);
        // That is not for what these errors look like.
        let [refused, too_big] = errors.map(|what| error(what, own, host, &right));
        attacker.send_packets(&[refused]).expect("to send");
        let error = socket.recv(&mut [0; 10]).expect_err("an error");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
        attacker.send_packets(&[too_big]).expect("to send");
        lab.wait_until("the MTU is believed", LIMIT, || {
            way(&app.client, public).contains("mtu 1280")
        });
    }
}

/// A socket of the client that has had an answer.
#[track_caller]
fn conversation(app: &App, to: &str) -> UdpSocket {
    let socket = socket(&app.client, ip(to), OWN);
    let to = SocketAddr::new(ip(to), PORT);
    let socket = app.client.on(move || socket.connect(to).map(|()| socket));
    let socket = socket.expect("to connect");
    exchange(&socket);
    socket
}

#[track_caller]
fn exchange(socket: &UdpSocket) {
    socket.send(b"x").expect("to send");
    let mut answer = [0; 100];
    let length = socket.recv(&mut answer).expect("an answer");
    assert!(answer[..length].ends_with(b"|x"));
}

/// A filter for ICMP errors of these types.
fn only(errors: [[u8; 2]; 2]) -> String {
    let [[first, _], [second, _]] = errors;
    if first == second {
        format!("icmp[0] == {first}")
    } else {
        format!("icmp6 and (ip6[40] == {first} or ip6[40] == {second})")
    }
}

/// The way to an address, with what was learnt of it.
#[track_caller]
fn way(from: &Namespace, to: &str) -> String {
    from.ok(&format!("ip route get {to}"))
}
