//! An uplink without Ethernet headers: a tun device whose packets socat carries to the outside. Out by
//! masquerade, in to a published port, ICMP errors both ways, fragments, bulk, and the host's own packets.

use std::{
    io::{BufRead, BufReader, ErrorKind, Write},
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use netd_common::packet::testing::ORDERS;
use netd_tests::lab::{
    App, Background, Capture, EchoServer, Lab, Namespace, Traffic,
    addresses::*,
    asks,
    datagrams::{asks_in_order, asks_much},
    patient, reaches,
};

const PORT: u16 = 7000;
const PUBLISHED: u16 = 8080;
const LIMIT: Duration = Duration::from_secs(15);
/// Octets of a long line.
const BULK: usize = 2 * 1_024 * 1_024;
/// The host's end of the tunnel, and the outside's.
const NEAR: [&str; 2] = ["10.99.0.1", "2001:db8:99::1"];
const FAR: [&str; 2] = ["10.99.0.2", "2001:db8:99::2"];

fn ip(address: &str) -> IpAddr {
    address.parse().expect("an address")
}

/// A scene with a tunnel from the host to the outside, made while the agent runs, and its ends.
fn with_tunnel(name: &str) -> (App, [Background; 2]) {
    let app = App::with(name, "", &publish());
    let lab = &app.lab;
    let ends = [
        (lab.host(), NEAR, HOST, OUTSIDE),
        (lab.outside(), FAR, OUTSIDE, HOST),
    ]
    .map(|(at, [v4, v6], own, other)| {
        let end = at
            .spawn(&format!(
                "socat -b 65535 TUN:{v4}/24,tun-name=tun0,iff-no-pi,iff-up \
                 UDP4-DATAGRAM:{other}:9000,bind={own}:9000"
            ))
            .expect("socat");
        lab.wait_until("the tunnel's end is there", LIMIT, || {
            at.run("ip link show dev tun0")
                .is_ok_and(|shown| shown.succeeded())
        });
        at.ok(&format!("ip addr add {v6}/64 dev tun0 nodad"));
        end
    });
    wait_until_seen(lab);
    (app, ends)
}

fn publish() -> String {
    format!("-p {PUBLISHED}:{PORT} -p {PUBLISHED}:{PORT}/udp")
}

fn wait_until_seen(lab: &Lab) {
    lab.wait_until("the agent has seen the tunnel", LIMIT, || {
        let status = lab.netd("status -f json");
        status.contains("from_uplink_l3") && status.contains("to_uplink_l3")
    });
    // Addresses come one by one, each after the link.
    for near in NEAR {
        let outside = connected(lab.outside(), SocketAddr::new(ip(near), PUBLISHED));
        lab.wait_until("the agent has seen the tunnel's addresses", LIMIT, || {
            // Fails if the host's own stack has answered the one before.
            let _ = outside.send(b"anybody?");
            lab.netd("flow ls").contains(near)
        });
    }
}

#[test]
fn out_and_in_through_a_tunnel() {
    let (app, _ends) = with_tunnel("tun");
    let lab = &app.lab;
    let _server = EchoServer::start(&app.web, PORT);
    let _far = EchoServer::start(lab.outside(), PORT);
    app.web.offload("eth0", false).expect("offload");
    app.client.offload("eth0", false).expect("offload");
    let outside = Capture::start(lab.outside(), "tun0", "").expect("tcpdump");
    let inside = Capture::start(&app.web, "eth0", "").expect("tcpdump");
    for family in [0, 1] {
        // Masqueraded with the tunnel's address.
        let seen = reaches(&app.client, ip(FAR[family]), PORT);
        assert_eq!(seen, ip(NEAR[family]));
        // A published port, which sees who dials.
        let published = SocketAddr::new(ip(NEAR[family]), PUBLISHED);
        assert_eq!(asks(lab.outside(), published), ip(FAR[family]));
        // The host's own packets, there and back.
        lab.outside()
            .ok(&format!("ping -n -c 1 -W 5 {}", NEAR[family]));
        lab.host().ok(&format!("ping -n -c 1 -W 5 {}", FAR[family]));
        // In fragments.
        assert_eq!(
            asks_much(&app.client, SocketAddr::new(ip(FAR[family]), PORT)),
            ip(NEAR[family])
        );
        assert_eq!(asks_much(lab.outside(), published), ip(FAR[family]));
    }
    for text in [outside.stop(), inside.stop()].map(|text| text.expect("the capture")) {
        assert!(text.contains("udp sum ok"), "{text}");
        assert!(Capture::wrong_checksums(&text).is_empty(), "{text}");
    }
    assert_eq!(lab.drops("not-an-uplink"), 0, "{}", lab.netd("drops"));
}

/// A long line over TCP, and its answer, which begins with who asked.
#[track_caller]
fn bulk(from: &Namespace, to: SocketAddr) {
    let mut stream = from.tcp_connect(to, patient(LIMIT)).expect("to connect");
    let limit = Some(patient(LIMIT));
    stream.set_read_timeout(limit).expect("a limit");
    let mut line: String = (0..BULK)
        .map(|at| char::from(b'a' + (at % 23) as u8))
        .collect();
    line.push('\n');
    stream.write_all(line.as_bytes()).expect("to write");
    let mut answer = String::new();
    let mut reader = BufReader::new(stream);
    reader.read_line(&mut answer).expect("an answer");
    assert!(answer.ends_with(&line), "{} octets came", answer.len());
}

/// Many packets, some of them larger than the tunnel takes, and fragments that overtake each other.
#[test]
fn much_goes_through_a_tunnel() {
    let (app, _ends) = with_tunnel("tun-bulk");
    much_goes(&app);
}

/// The same through one of the kernel's own, where it has it.
#[test]
fn much_goes_through_wireguard() {
    let lab = Lab::new("wireguard");
    let made = lab.host().run("ip link add wg0 type wireguard");
    let made = made.expect("ip runs");
    if !made.succeeded() {
        let text = made.describe();
        assert!(text.contains("Unknown device type"), "{text}");
        println!("no WireGuard here: {text}");
        return;
    }
    lab.outside().ok("ip link add wg0 type wireguard");
    let ends = [(lab.host(), NEAR, OUTSIDE), (lab.outside(), FAR, HOST)];
    let keys = ends.map(|(at, ..)| at.ok("wg genkey"));
    for (number, (at, [v4, v6], peer)) in ends.into_iter().enumerate() {
        let other = at.ok(&format!("sh -c 'echo {} | wg pubkey'", keys[1 - number]));
        let path = format!("/run/lab/wg{number}");
        let text = format!(
            "[Interface]\nPrivateKey = {}\nListenPort = 51820\n\
             [Peer]\nPublicKey = {other}\nEndpoint = {peer}:51820\nAllowedIPs = 0.0.0.0/0, ::/0\n",
            keys[number]
        );
        lab.world().write(&path, &text).expect("a file");
        at.ok(&format!("wg setconf wg0 {path}"));
        at.ok(&format!("ip addr add {v4}/24 dev wg0"));
        at.ok(&format!("ip addr add {v6}/64 dev wg0 nodad"));
        // An answer too large for the tunnel is refused once, and a datagram is not sent again.
        at.ok("ip link set wg0 mtu 1500 up");
    }
    let app = App::in_lab(lab, "", &publish());
    wait_until_seen(&app.lab);
    much_goes(&app);
}

#[track_caller]
fn much_goes(app: &App) {
    let lab = &app.lab;
    let _server = EchoServer::start(&app.web, PORT);
    let _far = EchoServer::start(lab.outside(), PORT);
    let clients = [lab.address("client", "app"), lab.address6("client", "app")];
    for family in [0, 1] {
        let (near, far) = (ip(NEAR[family]), ip(FAR[family]));
        let (out, published) = (SocketAddr::new(far, PORT), SocketAddr::new(near, PUBLISHED));
        bulk(&app.client, out);
        bulk(lab.outside(), published);
        for order in ORDERS {
            let seen = asks_in_order(&app.client, clients[family], out, &order);
            assert_eq!(seen, near, "{order:?}");
            let seen = asks_in_order(lab.outside(), far, published, &order);
            assert_eq!(seen, far, "{order:?}");
        }
    }
    let drops = lab.netd("drops");
    assert_eq!(lab.drops("fragment-overflow"), 0, "{drops}");
    assert_eq!(lab.drops("fragment-timeout"), 0, "{drops}");
}

fn connected(from: &Namespace, to: SocketAddr) -> UdpSocket {
    let any = match to {
        SocketAddr::V4(_) => IpAddr::from([0u8; 4]),
        SocketAddr::V6(_) => IpAddr::from([0u16; 8]),
    };
    let socket = from.udp_bind(SocketAddr::new(any, 0)).expect("a socket");
    let limit = Some(patient(LIMIT));
    socket.set_read_timeout(limit).expect("a limit");
    from.on(move || socket.connect(to).map(|()| socket))
        .expect("a route")
}

#[test]
fn errors_come_back_through_a_tunnel() {
    let (app, _ends) = with_tunnel("tun-errors");
    let lab = &app.lab;
    for family in [0, 1] {
        // Nobody listens outside, nor in the container.
        for (from, to) in [
            (&app.client, SocketAddr::new(ip(FAR[family]), 9)),
            (lab.outside(), SocketAddr::new(ip(NEAR[family]), PUBLISHED)),
        ] {
            let socket = connected(from, to);
            socket.send(b"anybody?").expect("to send");
            let error = socket.recv(&mut [0; 9]).expect_err("nobody listens");
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{to}: {error}");
        }
    }
    // What does not fit is said, with the tunnel's MTU; what just fits passes.
    lab.host().ok("ip link set tun0 mtu 1400");
    for (family, header) in [(0, 28), (1, 48)] {
        let to = FAR[family];
        app.client.ok(&format!(
            "ping -n -M do -c 1 -W 5 -s {} {to}",
            1_400 - header
        ));
        let refused = app.client.fails(&format!(
            "ping -n -M do -c 1 -W 5 -s {} {to}",
            1_401 - header
        ));
        let text = refused.stdout + &refused.stderr;
        assert!(text.contains("1400"), "{text}");
    }
    // The last hop of a packet that came by the tunnel. UDP sockets ignore what is said of it.
    let outside = Capture::start(lab.outside(), "tun0", "icmp or icmp6").expect("tcpdump");
    let hop = connected(lab.outside(), SocketAddr::new(ip(NEAR[0]), PUBLISHED));
    hop.set_ttl(1).expect("a hop limit");
    hop.send(b"too far").expect("to send");
    lab.wait_until("the last hop is told", LIMIT, || {
        outside.so_far().contains("ICMP time exceeded in-transit")
    });
    let text = outside.stop().expect("the capture");
    assert!(
        text.contains(&format!("{} > {}", NEAR[0], FAR[0])),
        "{text}"
    );
    assert!(Capture::wrong_checksums(&text).is_empty(), "{text}");
}

/// A tunnel does not notice that the agent is killed; an uplink that is replaced by one of the other kind
/// has its own programs.
#[test]
fn a_tunnel_comes_and_goes() {
    let (mut app, [near, far]) = with_tunnel("tun-goes");
    let served = EchoServer::start(&app.web, PORT);
    let far_server = EchoServer::start(app.lab.outside(), PORT);
    let traffic: Vec<Traffic> = [0, 1]
        .into_iter()
        .flat_map(|family| {
            let out = SocketAddr::new(ip(FAR[family]), PORT);
            let published = SocketAddr::new(ip(NEAR[family]), PUBLISHED);
            [
                Traffic::udp(&app.client, out).expect("UDP"),
                Traffic::tcp(app.lab.outside(), published).expect("TCP"),
                Traffic::connections(&app.client, out),
                Traffic::connections(app.lab.outside(), published),
            ]
        })
        .collect();
    traffic.iter().for_each(|traffic| traffic.flows_on(10));
    app.agent.kill();
    traffic.iter().for_each(|traffic| traffic.flows_on(20));
    app.agent.start_again().expect("the agent");
    traffic.iter().for_each(|traffic| traffic.flows_on(10));
    for traffic in traffic {
        traffic.end();
    }
    drop((served, far_server));

    let lab = &app.lab;
    drop((near, far));
    lab.wait_until("the tunnel is forgotten", LIMIT, || {
        !lab.netd("status -f json").contains("from_uplink_l3")
    });
    let _server = EchoServer::start(&app.web, PORT);
    reaches(&app.client, lab.address("web", "app"), PORT);
    assert_eq!(
        asks(lab.outside(), SocketAddr::new(ip(HOST), PUBLISHED)),
        ip(OUTSIDE)
    );
}
