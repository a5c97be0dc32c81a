//! Masquerading beside the host's own sockets, and uplinks that change: what the outside sees.

use std::{
    io::{BufRead, BufReader, Write},
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    os::fd::AsRawFd,
    sync::Barrier,
    time::Duration,
};

use netd_common::packet::{
    testing::{Frame, Payload},
    transport::tcp,
};
use netd_tests::lab::{App, Capture, EchoServer, Namespace, Traffic, addresses::*, udp_exchange};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind as bind_socket, connect, socket,
};

const PORT: u16 = 7000;
/// For an answer on a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_secs(20);
/// For one that may be lost while the host changes.
const SHORT: Duration = Duration::from_millis(500);

fn ip(address: &str) -> IpAddr {
    address.parse().expect("an address")
}

fn bind(namespace: &Namespace, at: &str) -> UdpSocket {
    let socket = namespace.udp_bind(at.parse().expect("an address"));
    let socket = socket.expect("a socket");
    socket.set_read_timeout(Some(LIMIT)).expect("a limit");
    socket
}

/// What the server saw the socket's datagram from.
#[track_caller]
fn seen(socket: &UdpSocket, to: &str) -> SocketAddr {
    match ask(socket, to) {
        Ok(seen) => seen,
        Err(error) => panic!("no answer from {to}: {error}"),
    }
}

fn ask(socket: &UdpSocket, to: &str) -> std::io::Result<SocketAddr> {
    socket.send_to(b"x", SocketAddr::new(ip(to), PORT))?;
    let mut answer = [0; 100];
    let (length, _) = socket.recv_from(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    let peer = answer.split('|').next().and_then(|peer| peer.parse().ok());
    peer.ok_or_else(|| std::io::Error::other(answer))
}

#[test]
fn no_port_of_the_hosts_own_sockets_is_taken() {
    let app = App::start("nat-sockets");
    let _server = EchoServer::start(app.lab.outside(), PORT);
    for (first, any, own, to, host) in [
        (20_000, "0.0.0.0", HOST, PUBLIC, HOST),
        (20_010, "[::]", "[2001:db8:18::2]", PUBLIC6, HOST6),
    ] {
        let inside = bind(&app.client, &format!("{any}:{first}"));
        assert_eq!(seen(&inside, to), SocketAddr::new(ip(host), first));
        // One that the host has before; on all addresses, then on the uplink's.
        for (port, at) in [(first + 1, any), (first + 2, own)] {
            let of_host = bind(app.lab.host(), &format!("{at}:{port}"));
            let inside = bind(&app.client, &format!("{any}:{port}"));
            let outside = seen(&inside, to);
            assert_eq!(outside.ip(), ip(host));
            assert_ne!(outside.port(), port);
            // Both go on.
            assert_eq!(seen(&of_host, to), SocketAddr::new(ip(host), port));
            assert_eq!(seen(&inside, to), outside);
        }
        // One that the host's socket speaks from to this very far end.
        let of_host = bind(app.lab.host(), &format!("{any}:{}", first + 3));
        let far = SocketAddr::new(ip(to), PORT);
        of_host.connect(far).expect("a far end");
        let inside = bind(&app.client, &format!("{any}:{}", first + 3));
        let outside = seen(&inside, to);
        assert_ne!(outside.port(), first + 3);
        of_host.send(b"x").expect("a datagram");
        of_host.recv(&mut [0; 100]).expect("an answer");
        assert_eq!(seen(&inside, to), outside);
    }
    assert_eq!(app.lab.drops("flow-yielded"), 0);
}

/// A connection from a port of one's own choice.
#[track_caller]
fn dial(from: &Namespace, port: u16, to: SocketAddr) -> TcpStream {
    let (family, any) = match to {
        SocketAddr::V4(_) => (AddressFamily::Inet, "0.0.0.0"),
        SocketAddr::V6(_) => (AddressFamily::Inet6, "::"),
    };
    let own = SockaddrStorage::from(SocketAddr::new(ip(any), port));
    let dialled = from.on(move || {
        let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        bind_socket(socket.as_raw_fd(), &own)?;
        connect(socket.as_raw_fd(), &SockaddrStorage::from(to))?;
        Ok::<_, nix::Error>(TcpStream::from(socket))
    });
    let stream = dialled.unwrap_or_else(|error| panic!("{port} to {to}: {error}"));
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    stream
}

/// What the server sees the connection from.
#[track_caller]
fn asked(mut stream: &TcpStream) -> SocketAddr {
    stream.write_all(b"x\n").expect("a question");
    let mut answer = String::new();
    let read = BufReader::new(stream).read_line(&mut answer);
    let peer = read.map(|_| answer.split('|').next().and_then(|peer| peer.parse().ok()));
    peer.expect("an answer").expect("an address")
}

#[test]
fn no_port_of_the_hosts_own_connections_is_taken() {
    let app = App::start("nat-connections");
    let (lab, host) = (&app.lab, app.lab.host());
    let _server = EchoServer::start(lab.outside(), PORT);
    for (first, any, to, own) in [
        (20_000, "0.0.0.0", PUBLIC, HOST),
        (20_010, "[::]", PUBLIC6, HOST6),
    ] {
        let far = SocketAddr::new(ip(to), PORT);
        let kept = dial(&app.client, first, far);
        assert_eq!(asked(&kept), SocketAddr::new(ip(own), first));
        // One that the host listens at, one that it speaks from, one that it has spoken from (TIME_WAIT).
        let at = format!("{any}:{}", first + 1).parse().expect("an address");
        let _listener = host.tcp_listen(at).expect("a listener");
        let of_host = dial(host, first + 2, far);
        drop(dial(host, first + 3, far));
        lab.wait_until("the host's connection is over", LIMIT, || {
            let filter = format!("sport = :{}", first + 3);
            !host
                .ok(&format!("ss -Htan state time-wait '{filter}'"))
                .is_empty()
        });
        for port in first + 1..=first + 3 {
            let inside = dial(&app.client, port, far);
            let seen = asked(&inside);
            assert_eq!(seen.ip(), ip(own));
            assert_ne!(seen.port(), port);
            assert_eq!(asked(&inside), seen);
        }
        assert_eq!(asked(&of_host), SocketAddr::new(ip(own), first + 2));
        assert_eq!(asked(&kept).port(), first);
    }
    assert_eq!(lab.drops("flow-yielded"), 0);
}

/// As a C library asks for A and AAAA: two datagrams of one new socket at the same time, which is where
/// netfilter loses one.
#[test]
fn two_first_datagrams_at_once_are_both_answered() {
    let app = App::start("nat-at-once");
    let _server = EchoServer::start(app.lab.outside(), PORT);
    for (any, to) in [("0.0.0.0:0", PUBLIC), ("[::]:0", PUBLIC6)] {
        let far = SocketAddr::new(ip(to), PORT);
        for number in 0..500 {
            let socket = bind(&app.client, any);
            let (socket, at_once) = (&socket, &Barrier::new(2));
            std::thread::scope(|scope| {
                for question in ["A", "AAAA"] {
                    scope.spawn(move || {
                        at_once.wait();
                        socket.send_to(question.as_bytes(), far)
                    });
                }
            });
            let mut answers = [(); 2].map(|()| {
                let mut answer = [0; 100];
                let length = socket.recv(&mut answer);
                let length = length.unwrap_or_else(|error| panic!("socket {number}: {error}"));
                String::from_utf8_lossy(&answer[..length]).into_owned()
            });
            answers.sort();
            // From one and the same port.
            let [a, aaaa] = answers.each_ref().map(|answer| answer.split_once('|'));
            let (seen, _) = a.expect("an answer");
            assert_eq!(a, Some((seen, "A")));
            assert_eq!(aaaa, Some((seen, "AAAA")));
        }
    }
}

#[test]
fn a_flow_gives_way_to_a_socket_of_the_host() {
    let app = App::start("nat-yield");
    let _server = EchoServer::start(app.lab.outside(), PORT);
    for (number, (any, to, host)) in [("0.0.0.0", PUBLIC, HOST), ("[::]", PUBLIC6, HOST6)]
        .into_iter()
        .enumerate()
    {
        // A port for each: a closed socket lives on in a child that another test has forked, until
        // that child is another program.
        let port = 20_000 + number as u16;
        let outside = SocketAddr::new(ip(host), port);
        let inside = bind(&app.client, &format!("{any}:{port}"));
        assert_eq!(seen(&inside, to), outside);
        assert_eq!(seen(&inside, to), outside);
        let of_host = bind(app.lab.host(), &format!("{any}:{port}"));
        assert_eq!(seen(&of_host, to), outside);
        assert_eq!(app.lab.drops("flow-yielded"), number as u64 + 1);
        let after = seen(&inside, to);
        assert_eq!(after.ip(), ip(host));
        assert_ne!(after.port(), port);
        assert_eq!(seen(&of_host, to), outside);
    }
}

#[test]
fn a_change_of_the_uplinks_address_is_followed() {
    const NEW: &str = "198.18.0.77";
    const NEW6: &str = "2001:db8:18::77";
    let app = App::start("nat-renumbered");
    let host = app.lab.host();
    let _server = EchoServer::start(app.lab.outside(), PORT);
    let (v4, v6) = (
        bind(&app.client, "0.0.0.0:20000"),
        bind(&app.client, "[::]:20001"),
    );
    for _ in 0..3 {
        assert_eq!(seen(&v4, PUBLIC).ip(), ip(HOST));
        assert_eq!(seen(&v6, PUBLIC6).ip(), ip(HOST6));
    }
    host.ok(&format!("ip addr del {HOST}/24 dev eth0"));
    host.ok(&format!("ip addr add {NEW}/24 dev eth0"));
    host.ok(&format!("ip route replace default via {OUTSIDE}"));
    host.ok(&format!("ip addr del {HOST6}/64 dev eth0"));
    host.ok(&format!("ip addr add {NEW6}/64 dev eth0 nodad"));
    host.ok(&format!("ip -6 route replace default via {OUTSIDE6}"));
    for (socket, to, new) in [(&v4, PUBLIC, NEW), (&v6, PUBLIC6, NEW6)] {
        socket.set_read_timeout(Some(SHORT)).expect("a limit");
        app.lab.wait_until(
            "the same socket is heard from the new address",
            LIMIT,
            || ask(socket, to).is_ok_and(|seen| seen.ip() == ip(new)),
        );
        let at = SocketAddr::new(ip(to), PORT);
        let new_flow = udp_exchange(&app.client, at, LIMIT).expect("a new flow");
        assert_eq!(new_flow.ip(), ip(new));
    }
}

/// A second way from the host to the outside.
fn second_uplink(app: &App) {
    let (host, outside) = (app.lab.host(), app.lab.outside());
    let there = outside.path();
    host.ok(&format!(
        "ip link add eth1 type veth peer name eth1 netns {}",
        there.display()
    ));
    for (namespace, v4, v6) in [
        (host, "198.19.0.2/24", "2001:db8:19::2/64"),
        (outside, "198.19.0.1/24", "2001:db8:19::1/64"),
    ] {
        namespace.ok(&format!("ip addr add {v4} dev eth1"));
        namespace.ok(&format!("ip addr add {v6} dev eth1 nodad"));
        namespace.ok("ip link set eth1 up");
    }
    host.ok("ip route add default via 198.19.0.1 table 100");
    host.ok("ip -6 route add default via 2001:db8:19::1 table 100");
}

#[test]
fn rules_of_the_host_choose_among_uplinks() {
    let app = App::start("nat-policy");
    let (lab, host) = (&app.lab, app.lab.host());
    let _server = EchoServer::start(lab.outside(), PORT);
    let _other = EchoServer::start(lab.outside(), PORT + 1);
    second_uplink(&app);
    let (client, client6) = (lab.address("client", "app"), lab.address6("client", "app"));
    // Before there is a rule the first one carries everything.
    let see = |from: &Namespace, to: &str, port: u16| {
        udp_exchange(from, SocketAddr::new(ip(to), port), LIMIT).map(|seen| seen.ip())
    };
    assert_eq!(see(&app.client, PUBLIC, PORT).expect("UDP"), ip(HOST));
    // By who sends.
    host.ok(&format!("ip rule add from {client} lookup 100"));
    host.ok(&format!("ip -6 rule add from {client6} lookup 100"));
    for (to, first, second) in [
        (PUBLIC, HOST, "198.19.0.2"),
        (PUBLIC6, HOST6, "2001:db8:19::2"),
    ] {
        lab.wait_until("the new uplink carries the client", LIMIT, || {
            let at = SocketAddr::new(ip(to), PORT);
            udp_exchange(&app.client, at, SHORT).is_ok_and(|seen| seen.ip() == ip(second))
        });
        assert_eq!(see(&app.web, to, PORT).expect("UDP"), ip(first));
    }
    host.ok(&format!("ip rule del from {client} lookup 100"));
    host.ok(&format!("ip -6 rule del from {client6} lookup 100"));
    assert_eq!(see(&app.client, PUBLIC, PORT).expect("UDP"), ip(HOST));
    // By protocol and port.
    for family in ["-4", "-6"] {
        host.ok(&format!(
            "ip {family} rule add ipproto udp dport {} lookup 100",
            PORT + 1
        ));
    }
    for (to, first, second) in [
        (PUBLIC, HOST, "198.19.0.2"),
        (PUBLIC6, HOST6, "2001:db8:19::2"),
    ] {
        assert_eq!(see(&app.client, to, PORT + 1).expect("UDP"), ip(second));
        assert_eq!(see(&app.client, to, PORT).expect("UDP"), ip(first));
    }
}

#[test]
fn an_uplink_that_takes_over_brings_its_address() {
    let app = App::start("nat-takeover");
    let (lab, host) = (&app.lab, app.lab.host());
    let _server = EchoServer::start(lab.outside(), PORT);
    second_uplink(&app);
    let socket = bind(&app.client, "0.0.0.0:20000");
    for _ in 0..3 {
        assert_eq!(seen(&socket, PUBLIC).ip(), ip(HOST));
    }
    host.ok("ip route replace default via 198.19.0.1");
    socket.set_read_timeout(Some(SHORT)).expect("a limit");
    lab.wait_until("the socket is heard from the second uplink", LIMIT, || {
        ask(&socket, PUBLIC).is_ok_and(|seen| seen.ip() == ip("198.19.0.2"))
    });
}

#[test]
fn a_routes_own_source_is_what_the_outside_sees() {
    let app = App::start("nat-source");
    let (lab, host) = (&app.lab, app.lab.host());
    let _server = EchoServer::start(lab.outside(), PORT);
    host.ok("ip addr add 198.18.0.50/24 dev eth0");
    host.ok(&format!(
        "ip route add {PUBLIC}/32 via {OUTSIDE} src 198.18.0.50"
    ));
    let socket = bind(&app.client, "0.0.0.0:20000");
    for _ in 0..3 {
        let at = SocketAddr::new(ip("198.18.0.50"), 20_000);
        assert_eq!(seen(&socket, PUBLIC), at);
    }
    assert_eq!(seen(&socket, OUTSIDE), SocketAddr::new(ip(HOST), 20_000));
}

/// The one connection of a namespace that the filter of `ss` names: its own end and the other.
#[track_caller]
fn connection(namespace: &Namespace, filter: &str) -> [SocketAddr; 2] {
    let listed = namespace.ok(&format!("ss -Htn state established '{filter}'"));
    let words: Vec<&str> = listed.split_whitespace().skip(2).collect();
    let ends = [0, 1].map(|end| words.get(end)?.parse::<SocketAddr>().ok());
    match (ends, words.len()) {
        ([Some(own), Some(other)], 2) => {
            [own, other].map(|end| SocketAddr::new(end.ip().to_canonical(), end.port()))
        }
        _ => panic!("not one connection: {listed}"),
    }
}

#[test]
fn what_an_attacker_forges_ends_no_connection() {
    let app = App::with("nat-forged", "", &format!("-p 8080:{PORT}"));
    let (lab, outside) = (&app.lab, app.lab.outside());
    let _servers = [
        EchoServer::start(&app.web, PORT),
        EchoServer::start(outside, PORT + 1),
    ];
    for (public, host) in [(PUBLIC, HOST), (PUBLIC6, HOST6)] {
        let to = |address: &str, port: u16| SocketAddr::new(ip(address), port);
        let all = [
            Traffic::tcp(&app.client, to(public, PORT + 1)).expect("masqueraded"),
            Traffic::tcp(outside, to(host, 8080)).expect("published"),
        ];
        let ends = [
            (&app.client, format!("sport = :{}", PORT + 1)),
            (&app.web, "dport = :8080".to_owned()),
        ];
        for (inside, filter) in ends {
            let [far, near] = connection(outside, &filter);
            let flags = "'tcp[13] & 7 != 0 or ip6[53] & 7 != 0'";
            let arrived = Capture::start(inside, "eth0", flags).expect("tcpdump");
            for (flags, shown) in [
                (tcp::FIN | tcp::ACK, "Flags [F.]"),
                (tcp::RST, "Flags [R]"),
                (tcp::SYN, "Flags [S]"),
            ] {
                // Its sequence number is 1.
                let forged = Frame {
                    to: [0; 6],
                    from: [0; 6],
                    source: far.ip().into(),
                    destination: near.ip().into(),
                    hops: 64,
                    payload: Payload::Tcp(far.port(), near.port(), flags),
                };
                let packet = forged.bytes().split_off(14);
                lab.attacker().send_packets(&[packet]).expect("a packet");
                lab.wait_until("it is delivered as what it says", LIMIT, || {
                    arrived.so_far().contains(shown)
                });
                all.iter().for_each(|traffic| traffic.flows_on(20));
            }
        }
        for traffic in all {
            traffic.end();
        }
    }
}
