//! How a question gets to the resolver and back: every kind of socket believes that it talks to
//! 127.0.0.11, checksums are right, and other namespaces' 127.0.0.11 is their own.

use std::{
    io::{Read as _, Write as _},
    net::SocketAddr,
    time::Duration,
};

use netd_tests::lab::{Capture, Namespace};
use nix::sys::socket::{setsockopt, sockopt};

use crate::{address, app, inside};

const LIMIT: Duration = Duration::from_secs(5);

/// A question for the A record of `db`.
const QUESTION: &[u8] =
    b"\x42\x42\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02db\x00\x00\x01\x00\x01";

/// As IPv4 sockets name the resolver, and as IPv6 sockets do (those of the JVM, for one).
const STUBS: [(&str, &str); 2] = [
    ("0.0.0.0:0", "127.0.0.11:53"),
    ("[::]:0", "[::ffff:127.0.0.11]:53"),
];

fn socket_address(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}

/// The address in an answer to [`QUESTION`].
#[track_caller]
fn answered(answer: &[u8]) -> String {
    assert_eq!(answer[..2], QUESTION[..2], "{answer:02x?}");
    assert_eq!(answer[6..8], [0, 1], "{answer:02x?}");
    let octets: [u8; 4] = answer[answer.len() - 4..].try_into().expect("four");
    std::net::Ipv4Addr::from(octets).to_string()
}

#[test]
fn every_socket_believes_that_it_talks_to_127_0_0_11() {
    let (lab, _agent) = app("believers");
    let db = address(&lab, "db", "app", "IPAddress");
    let web = lab.sandbox("web");
    for (own, stub) in STUBS.map(|(own, stub)| (socket_address(own), socket_address(stub))) {
        let mut buffer = [0; 512];
        let unconnected = web.udp_bind(own).expect("a socket");
        unconnected.set_read_timeout(Some(LIMIT)).expect("a limit");
        unconnected.send_to(QUESTION, stub).expect("sent");
        let (len, from) = unconnected.recv_from(&mut buffer).expect("an answer");
        assert_eq!((answered(&buffer[..len]), from), (db.clone(), stub));

        let connected = web.udp_bind(own).expect("a socket");
        connected.set_read_timeout(Some(LIMIT)).expect("a limit");
        connected.connect(stub).expect("connected");
        assert_eq!(connected.peer_addr().expect("a peer"), stub);
        connected.send(QUESTION).expect("sent");
        let (len, from) = connected.recv_from(&mut buffer).expect("an answer");
        assert_eq!((answered(&buffer[..len]), from), (db.clone(), stub));

        let mut stream = web.tcp_connect(stub, LIMIT).expect("TCP");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        assert_eq!(stream.peer_addr().expect("a peer"), stub);
        let framed = [&(QUESTION.len() as u16).to_be_bytes(), QUESTION].concat();
        stream.write_all(&framed).expect("sent");
        let mut len = [0; 2];
        stream.read_exact(&mut len).expect("an answer");
        let answer = &mut buffer[..u16::from_be_bytes(len).into()];
        stream.read_exact(answer).expect("an answer");
        assert_eq!(answered(answer), db);
    }
}

/// A question with EDNS as systemd-resolved asks: room for 65,494 octets, DNSSEC wanted.
fn resolved_question(id: u8, record_type: u8) -> Vec<u8> {
    let mut question = QUESTION.to_vec();
    question[1] = id;
    question[11] = 1;
    let at = question.len() - 3;
    question[at] = record_type;
    question.extend(b"\x00\x00\x29\xff\xd6\x00\x00\x80\x00\x00\x00");
    question
}

/// glibc asks for A and AAAA at once from one socket; systemd-resolved, dnsmasq and other stubs
/// connect a socket for each question, want errors told, and send DO; over TCP they keep the
/// connection and do not wait for one answer before the next question.
#[test]
fn stubs_ask_as_they_do() {
    let (lab, _agent) = app("stubs");
    let db = address(&lab, "db", "app", "IPAddress");
    let web = lab.sandbox("web");
    let stub = socket_address("127.0.0.11:53");
    let mut buffer = [0; 512];

    let socket = web.udp_bind(socket_address("0.0.0.0:0")).expect("a socket");
    socket.set_read_timeout(Some(LIMIT)).expect("a limit");
    setsockopt(&socket, sockopt::Ipv4RecvErr, &true).expect("an option");
    setsockopt(&socket, sockopt::Ipv4PacketInfo, &true).expect("an option");
    socket.connect(stub).expect("connected");
    for (id, record_type) in [(1, 1), (2, 28)] {
        let question = resolved_question(id, record_type);
        socket.send(&question).expect("sent");
    }
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..2 {
        let len = socket.recv(&mut buffer).expect("an answer");
        seen.insert(buffer[1], buffer[..len].to_vec());
    }
    // One address, none; each with an OPT record that says DO.
    assert_eq!((seen[&1][7], seen[&2][7]), (1, 0), "{seen:02x?}");
    for answer in seen.values() {
        let opt = &answer[answer.len() - 11..];
        assert_eq!((opt[2], opt[7]), (0x29, 0x80), "{answer:02x?}");
    }
    let octets: std::net::Ipv4Addr = db.parse().expect("an address");
    let address = octets.octets();
    assert!(seen[&1].windows(4).any(|window| window == address));

    let mut stream = web.tcp_connect(stub, LIMIT).expect("TCP");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    let mut burst = Vec::new();
    for id in 0..20 {
        let question = resolved_question(id, 1);
        burst.extend((question.len() as u16).to_be_bytes());
        burst.extend(question);
    }
    stream.write_all(&burst).expect("sent");
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let mut len = [0; 2];
        stream.read_exact(&mut len).expect("an answer");
        let answer = &mut buffer[..u16::from_be_bytes(len).into()];
        stream.read_exact(answer).expect("an answer");
        assert!(answer.windows(4).any(|window| window == address));
        ids.insert(answer[1]);
    }
    assert_eq!(ids.len(), 20);
}

#[test]
fn other_ports_and_other_namespaces_are_left_alone() {
    let (lab, _agent) = app("others");
    let web = lab.sandbox("web");
    // The host has no resolver of netd's; a sandbox may have servers at other ports.
    for (namespace, at) in [(lab.host(), "127.0.0.11:53"), (&web, "127.0.0.11:5353")] {
        let server = namespace.udp_bind(socket_address(at)).expect("a server");
        server.set_read_timeout(Some(LIMIT)).expect("a limit");
        let client = namespace
            .udp_bind(socket_address("127.0.0.1:0"))
            .expect("a client");
        client.send_to(b"hello", socket_address(at)).expect("sent");
        let mut buffer = [0; 16];
        let (len, from) = server.recv_from(&mut buffer).expect("it arrives");
        assert_eq!(&buffer[..len], b"hello");
        assert_eq!(from, client.local_addr().expect("an address"));
    }
}

/// With and without the offloads that leave checksums to be made later.
#[test]
fn answers_arrive_with_right_checksums_in_both_families() {
    let (lab, _agent) = app("checksums");
    lab.netd("network create --ipv6 both");
    lab.netd("sandbox create --name six --network both");
    let own = address(&lab, "six", "both", "GlobalIPv6Address");
    let gateways = ["Gateway", "IPv6Gateway"].map(|field| address(&lab, "six", "both", field));
    let six = lab.sandbox("six");
    for offload in [true, false] {
        six.offload("eth0", offload).expect("offload");
        let capture = Capture::start(&six, "eth0", "udp port 10053").expect("tcpdump");
        for gateway in &gateways {
            ask(&six, gateway, &own);
        }
        let text = capture.stop().expect("the capture");
        // A question and an answer each.
        assert!(text.matches("10053").count() >= 8, "{text}");
        if !offload {
            assert!(Capture::wrong_checksums(&text).is_empty(), "{text}");
        }
    }
    assert_eq!(inside(&lab, "six", "dig +short six AAAA").trim(), own);
}

/// Answers of odd and even length, with EDNS and without.
#[track_caller]
fn ask(namespace: &Namespace, gateway: &str, own: &str) {
    for options in ["+noedns", "+edns", "+bufsize=512 +cookie=0011223344556677"] {
        for name in ["six", "six.both"] {
            let line =
                format!("dig +short +time=2 +tries=1 {options} -p 10053 @{gateway} {name} AAAA");
            assert_eq!(namespace.ok(&line).trim(), own, "{line}");
        }
    }
}

/// A sandbox that routes for others (containers in containers) sends a checksum on that is still
/// to be made; where the answer leaves it again, what is made must be right.
#[test]
fn an_answer_can_be_forwarded() {
    let (lab, agent) = app("routes");
    let own = address(&lab, "web", "app", "IPAddress");
    let gateway = address(&lab, "web", "app", "Gateway");
    let db = address(&lab, "db", "app", "IPAddress");
    let web = lab.sandbox("web");
    // It would give the sandbox its address back.
    agent.freeze();
    let inner = lab.namespace("inner").expect("a namespace");
    let path = inner.path();
    let path = path.display();
    web.ok(&format!(
        "ip link add inner type veth peer name eth0 netns {path}"
    ));
    web.offload("inner", false).expect("offload");
    web.sysctl("net.ipv4.ip_forward", "1").expect("forwarding");
    web.ok("ip addr flush dev eth0");
    web.ok(&format!("ip route add {gateway} dev eth0"));
    web.ok("ip addr add 10.99.0.1/32 dev inner");
    web.ok("ip link set dev inner up");
    web.ok(&format!("ip route add {own} dev inner"));
    inner.ok(&format!("ip addr add {own}/32 dev eth0"));
    inner.ok("ip link set dev eth0 up");
    inner.ok("ip route add 10.99.0.1 dev eth0");
    inner.ok("ip route add default via 10.99.0.1");
    let capture = Capture::start(&inner, "eth0", "udp src port 10053").expect("tcpdump");
    for name in ["db", "db.app"] {
        let line = format!("dig +short +time=2 +tries=1 -p 10053 @{gateway} {name}");
        assert_eq!(inner.ok(&line).trim(), db, "{line}");
    }
    let text = capture.stop().expect("the capture");
    agent.thaw();
    assert_eq!(text.matches("[udp sum ok]").count(), 2, "{text}");
}
