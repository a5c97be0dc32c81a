//! SCTP: published ports, networks and masquerade, with the kernel's own associations where it has SCTP;
//! and with packets made by hand everywhere. Both families.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener},
    time::Duration,
};

use netd_common::{
    Addr,
    packet::{
        testing::{Frame, Payload},
        view::protocol,
    },
};
use netd_tests::lab::{App, Capture, Namespace, addresses::*, patient};

const PORT: u16 = 7000;
/// Of a server that nobody publishes.
const OTHER: u16 = 7001;
/// Below the ports that netd gives to masqueraded flows.
const OWN: u16 = 1000;
const LIMIT: Duration = Duration::from_secs(5);
/// For what must not work.
const IMPATIENCE: Duration = Duration::from_millis(700);
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;

fn ip(address: &str) -> IpAddr {
    address.parse().expect("an address")
}

fn start(name: &str) -> App {
    let app = App::with(name, "", "-p 7000:7000/sctp");
    app.lab.netd("network create --ipv6 other");
    app.lab
        .netd("sandbox create --name stranger --network other");
    app
}

/// Takes one association after the other: tells each whom it sees. Ends with the process.
fn serve(namespace: &Namespace, at: SocketAddr) {
    let listener: TcpListener = namespace.sctp_listen(at).expect("a listener");
    std::thread::spawn(move || {
        while let Ok((mut stream, peer)) = listener.accept() {
            // Fails if the client is gone, which is the client's affair.
            let _ = stream.write_all(peer.to_string().as_bytes());
        }
    });
}

/// Whom the server sees.
#[track_caller]
fn asks(namespace: &Namespace, own: SocketAddr, to: SocketAddr) -> SocketAddr {
    let mut stream = namespace
        .sctp_connect(own, to, patient(LIMIT))
        .unwrap_or_else(|error| panic!("{own} to {to}: {error}"));
    assert_eq!(stream.peer_addr().expect("a far end"), to);
    let mut answer = [0; 100];
    let length = stream.read(&mut answer).expect("an answer");
    let answer = std::str::from_utf8(&answer[..length]).expect("a text");
    answer.parse().expect("an address")
}

/// Without SCTP in the kernel no process has a socket of it; what netd does is the other test's.
#[test]
fn associations_go_where_connections_go() {
    let app = start("sctp");
    let lab = &app.lab;
    if !app.web.has_sctp() {
        let refused = app.web.fails(&format!("socat -u - SCTP4:127.0.0.1:{PORT}"));
        assert!(
            refused.stderr.contains("Protocol not supported"),
            "{}",
            refused.stderr
        );
        return;
    }
    let stranger = lab.sandbox("stranger");
    let any = |address: IpAddr| SocketAddr::new(address, 0);
    for (host, outside, web, client, strange, gateway) in [
        (
            ip(HOST),
            ip(OUTSIDE),
            lab.address("web", "app"),
            lab.address("client", "app"),
            lab.address("stranger", "other"),
            lab.gateway("web", "app"),
        ),
        (
            ip(HOST6),
            ip(OUTSIDE6),
            lab.address6("web", "app"),
            lab.address6("client", "app"),
            lab.address6("stranger", "other"),
            lab.gateway6("web", "app"),
        ),
    ] {
        serve(&app.web, SocketAddr::new(web, PORT));
        serve(lab.outside(), SocketAddr::new(outside, OTHER));
        let published = SocketAddr::new(host, PORT);
        for (namespace, own) in [
            (lab.outside(), outside),
            (&app.client, client),
            (&stranger, strange),
        ] {
            assert_eq!(asks(namespace, any(own), published).ip(), own);
        }
        let by_gateway = SocketAddr::new(gateway, PORT);
        assert_eq!(asks(&app.client, any(client), by_gateway).ip(), client);
        // Inside the network, and from the host to it.
        let target = SocketAddr::new(web, PORT);
        assert_eq!(asks(&app.client, any(client), target).ip(), client);
        assert_eq!(asks(lab.host(), any(gateway), target).ip(), gateway);
        let barred = stranger.sctp_connect(any(strange), target, IMPATIENCE);
        assert!(barred.is_err(), "another network's {target} is reached");
        // Out, with the port that it has.
        let own = SocketAddr::new(client, OWN);
        let seen = asks(&app.client, own, SocketAddr::new(outside, OTHER));
        assert_eq!(seen, SocketAddr::new(host, OWN));
        // The kernel asks no program about the host's own SCTP sockets.
        let dialled = lab.host().sctp_connect(any(host), published, IMPATIENCE);
        assert!(dialled.is_err(), "works: the documented limit is gone");
    }
    let flows = lab.netd("flow ls");
    assert!(flows.contains("sctp"), "{flows}");
}

#[test]
fn packets_of_associations_are_carried_as_they_are() {
    let app = start("sctp-packets");
    let lab = &app.lab;
    let sctp = |source: IpAddr, destination: IpAddr, ports: [u16; 2], chunk: u8| {
        let ports = ports.map(u16::to_be_bytes).concat();
        // Tag, checksum, and a chunk without parameters: nobody on the way looks at them.
        let rest = [0, 0, 0, 9, 0xde, 0xad, 0xbe, 0xef, chunk, 0, 0, 4];
        let frame = Frame {
            to: [0; 6],
            from: [0; 6],
            source: Addr::from(source),
            destination: Addr::from(destination),
            hops: 64,
            payload: Payload::Other(protocol::SCTP, [&ports[..], &rest].concat()),
        };
        frame.bytes()[14..].to_vec()
    };
    for (host, outside, web) in [
        (ip(HOST), ip(OUTSIDE), lab.address("web", "app")),
        (ip(HOST6), ip(OUTSIDE6), lab.address6("web", "app")),
    ] {
        let inside = Capture::start(&app.web, "eth0", "sctp").expect("tcpdump");
        let far = Capture::start(lab.outside(), "eth0", "sctp").expect("tcpdump");
        lab.outside()
            .send_packets(&[sctp(outside, host, [5000, PORT], INIT)])
            .expect("a packet");
        let dialled = format!("{outside}.5000 > {web}.{PORT}: sctp");
        lab.wait_until("the packet is inside", LIMIT, || {
            inside.so_far().contains(&dialled)
        });
        app.web
            .send_packets(&[sctp(web, outside, [PORT, 5000], INIT_ACK)])
            .expect("a packet");
        let answer = format!("{host}.{PORT} > {outside}.5000: sctp");
        lab.wait_until("the answer is outside", LIMIT, || {
            far.so_far().contains(&answer)
        });
        for capture in [inside, far] {
            capture.stop().expect("the capture");
        }
    }
}

#[test]
fn another_port_is_refused() {
    let app = App::with("sctp-refused", "", "-p 7000:7000/sctp -p 9000/sctp");
    let lab = &app.lab;
    let ports = lab.netd("port web");
    for kept in ["7000/sctp -> 0.0.0.0:7000", "9000/sctp -> [::]:9000"] {
        assert!(ports.contains(kept), "{ports}");
    }
    let refused = lab.netd_refuses("sandbox create --name other --network app -p 7001:7002/sctp");
    assert!(
        refused.stderr.starts_with(
            "netd: SCTP port 7002 cannot be published as 7001: the checksum of SCTP covers the ports, \
             and netd does not compute it anew"
        ),
        "{}",
        refused.stderr
    );
    let refused = lab.netd_refuses("sandbox create --name other --network app -p 7000:7000/sctp");
    assert!(
        refused
            .stderr
            .contains("Bind for 0.0.0.0:7000 failed: port is already allocated"),
        "{}",
        refused.stderr
    );
    assert_eq!(lab.netd("sandbox ls -q --filter name=other"), "");
}
