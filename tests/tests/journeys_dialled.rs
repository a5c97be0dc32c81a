//! Journey 5 from the host: its processes dial published ports by loopback and the host's own
//! addresses, and see the dialled address wherever they look.

use std::{
    io::{BufRead, BufReader, Write},
    net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket},
    time::Duration,
};

use netd_tests::lab::{
    App, EchoServer, Lab, Namespace, addresses::*, asks, gets_no_answer, tcp_exchange, udp_exchange,
};
use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrIn6, connect, setsockopt, socket, sockopt,
    },
};
use std::os::fd::AsRawFd;

const PORT: u16 = 7000;
const LATE: Duration = Duration::from_secs(5);
const EARLY: Duration = Duration::from_millis(700);
const PUBLISH: &str = "-p 8080:7000/tcp -p 8080:7000/udp";

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().expect("an address"), port)
}

/// What the host's stack says at once where nobody listens.
fn is_refused(host: &Namespace, to: SocketAddr) {
    let error = host.tcp_connect(to, LATE).expect_err("nobody listens");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused, "{to}");
    let udp = udp_exchange(host, to, EARLY);
    assert!(udp.is_err(), "UDP to {to} works");
}

#[test]
fn the_host_dials_loopback_and_its_own_addresses() {
    let app = App::with("dialled", "", PUBLISH);
    let (lab, host) = (&app.lab, app.lab.host());
    let _server = EchoServer::start(&app.web, PORT);
    let (gateway, gateway6) = (lab.gateway("web", "app"), lab.gateway6("web", "app"));
    for address in ["127.0.0.1", "127.0.0.2", "127.255.255.254", HOST] {
        assert_eq!(asks(host, at(address, 8080)), gateway, "by {address}");
    }
    for address in ["::1", HOST6] {
        assert_eq!(asks(host, at(address, 8080)), gateway6, "by {address}");
    }
    // By the gateway addresses of both networks, too.
    for address in [gateway, "172.17.0.1".parse().expect("an address")] {
        assert_eq!(asks(host, SocketAddr::new(address, 8080)), gateway);
    }
    assert_eq!(asks(host, SocketAddr::new(gateway6, 8080)), gateway6);
    // Other ports and other hosts are as they were.
    is_refused(host, at("127.0.0.1", 8081));
    is_refused(host, at("127.0.0.1", PORT));
    let _outside = EchoServer::start(lab.outside(), 8080);
    assert_eq!(asks(host, at(OUTSIDE, 8080)), at(HOST, 0).ip());
    // A sandbox's loopback is its own.
    gets_no_answer(&app.client, at("127.0.0.1", 8080));
}

/// The link-local address of the host's eth0, as it is dialled in a namespace.
fn link_local(lab: &Lab, from: &Namespace) -> SocketAddr {
    let shown = lab.host().ok("ip -o -6 address show dev eth0 scope link");
    let address = shown
        .split_whitespace()
        .find_map(|word| word.strip_suffix("/64")?.parse().ok())
        .expect("an address");
    let shown = from.ok("ip -o link show dev eth0");
    let (zone, _) = shown.split_once(':').expect("an index");
    let zone = zone.parse().expect("a number");
    SocketAddr::V6(SocketAddrV6::new(address, 8080, 0, zone))
}

#[test]
fn by_link_local_addresses_connections_of_the_host_lead_there() {
    let app = App::with("dialled-local", "", PUBLISH);
    let (lab, host) = (&app.lab, app.lab.host());
    let _server = EchoServer::start(&app.web, PORT);
    let to = link_local(lab, host);
    let gateway = lab.gateway6("web", "app");
    assert_eq!(tcp_exchange(host, to, LATE).expect("TCP").ip(), gateway);
    let connected = host.udp_bind(at("::", 0)).expect("a socket");
    connected.connect(to).expect("a connection");
    // Without the zone: a program cannot name one.
    assert_eq!(ask(&connected, None).ip(), to.ip());
    // Before a program is asked about a datagram, the kernel has bound it to the zone's interface.
    assert!(udp_exchange(host, to, EARLY).is_err());
    // Outside, a container could not answer such a client: the port is closed.
    is_refused(lab.outside(), link_local(lab, lab.outside()));
}

#[test]
fn the_far_end_is_the_dialled_one() {
    let app = App::with("dialled-name", "", PUBLISH);
    let host = app.lab.host();
    let _server = EchoServer::start(&app.web, PORT);
    for address in ["127.0.0.1", "127.1.2.3", HOST, "::1", HOST6] {
        let to = at(address, 8080);
        let stream = host.tcp_connect(to, LATE).expect("a connection");
        assert_eq!(stream.peer_addr().expect("a far end"), to);

        let any = if to.is_ipv4() {
            at("0.0.0.0", 0)
        } else {
            at("::", 0)
        };
        let connected = host.udp_bind(any).expect("a socket");
        connected.connect(to).expect("a connection");
        assert_eq!(connected.peer_addr().expect("a far end"), to);
        assert_eq!(ask(&connected, None), to, "connected");
        let loose = host.udp_bind(any).expect("a socket");
        assert_eq!(ask(&loose, Some(to)), to, "not connected");
    }
    // As Linux has it: no address is the own one.
    let stream = host
        .tcp_connect(at("0.0.0.0", 8080), LATE)
        .expect("a connection");
    assert_eq!(
        stream.peer_addr().expect("a far end"),
        at("127.0.0.1", 8080)
    );
    // IPv6 sockets name IPv4 in its mapped form.
    let mapped = at("::ffff:127.0.0.1", 8080);
    let stream = host.tcp_connect(mapped, LATE).expect("a connection");
    assert_eq!(stream.peer_addr().expect("a far end"), mapped);
    let loose = host.udp_bind(at("::", 0)).expect("a socket");
    assert_eq!(ask(&loose, Some(mapped)), mapped);
}

/// Sends a datagram; who answered it.
fn ask(socket: &UdpSocket, to: Option<SocketAddr>) -> SocketAddr {
    socket.set_read_timeout(Some(LATE)).expect("a socket");
    match to {
        Some(to) => socket.send_to(b"who", to),
        None => socket.send(b"who"),
    }
    .expect("a datagram");
    let mut answer = [0; 100];
    let (length, by) = socket.recv_from(&mut answer).expect("an answer");
    assert!(answer[..length].ends_with(b"|who"));
    by
}

#[test]
fn curl_gets_a_page_by_localhost() {
    let app = App::with("dialled-curl", "", "-p 8080:80");
    let lab = &app.lab;
    lab.world()
        .write(
            "/run/lab/bin/page",
            "#!/bin/sh\nread -r request\nprintf 'HTTP/1.0 200 OK\\r\\n\\r\\nyou are %s\\n' \"$SOCAT_PEERADDR\"\n",
        )
        .expect("a script");
    lab.host().ok("chmod 755 /run/lab/bin/page");
    let _web = app
        .web
        .spawn("socat TCP6-LISTEN:80,fork,reuseaddr,ipv6only=0 EXEC:page")
        .expect("socat");
    let curl = "curl -sS --retry 10 --retry-connrefused --retry-delay 0 --max-time 10";
    for url in [
        "http://127.0.0.1:8080/",
        "http://[::1]:8080/",
        "http://localhost:8080/",
    ] {
        let page = lab.host().ok(&format!("{curl} {url}"));
        let seen = page.trim_start_matches("you are ").trim_matches(['[', ']']);
        let seen: IpAddr = seen.parse().expect("an address");
        let gateways = [lab.gateway("web", "app"), lab.gateway6("web", "app")];
        assert!(gateways.contains(&seen.to_canonical()), "{url}: {page}");
    }
}

#[test]
fn a_loopback_bound_port_is_for_the_host_alone() {
    let publish = "-p 127.0.0.1:8080:7000/tcp -p 127.0.0.1:8080:7000/udp -p [::1]:8081:7000/tcp -p [::1]:8081:7000/udp";
    let app = App::with("dialled-lo", "", publish);
    let (lab, host) = (&app.lab, app.lab.host());
    let _server = EchoServer::start(&app.web, PORT);
    assert_eq!(asks(host, at("127.0.0.1", 8080)), lab.gateway("web", "app"));
    assert_eq!(asks(host, at("::1", 8081)), lab.gateway6("web", "app"));
    for other in ["127.0.0.2", HOST, "::1", HOST6] {
        is_refused(host, at(other, 8080));
    }
    for from in [lab.outside(), lab.attacker(), &app.client, &app.web] {
        for address in [HOST, "127.0.0.1"] {
            gets_no_answer(from, at(address, 8080));
        }
        for address in [HOST6, "::1"] {
            gets_no_answer(from, at(address, 8081));
        }
    }
    let gateway = lab.gateway("web", "app");
    gets_no_answer(&app.client, SocketAddr::new(gateway, 8080));
    // Routes of an attacker's own make no difference, nor a host that lets loopback in.
    host.sysctl("net.ipv4.conf.all.route_localnet", "1")
        .expect("a sysctl");
    let attacker = lab.attacker();
    attacker.ok("ip route flush table local 127.0.0.0/8");
    attacker.ok("ip address flush dev lo");
    attacker.ok(&format!("ip route add 127.0.0.0/8 via {HOST}"));
    gets_no_answer(attacker, at("127.0.0.1", 8080));
    let web = lab.address("web", "app");
    attacker.ok(&format!("ip route add {web}/32 via {HOST}"));
    gets_no_answer(attacker, SocketAddr::new(web, PORT));
}

/// A lab whose `web` has IPv4 alone.
fn without_ipv6(name: &str) -> (Lab, netd_tests::lab::Agent, Namespace) {
    let lab = Lab::new(name);
    let agent = lab.agent("");
    lab.netd("network create four");
    lab.netd(&format!(
        "sandbox create --name web --network four {PUBLISH}"
    ));
    let web = lab.sandbox("web");
    (lab, agent, web)
}

#[test]
fn a_sandbox_without_ipv6_is_reached_by_loopback_of_ipv6() {
    let (lab, _agent, web) = without_ipv6("dialled-4");
    let host = lab.host();
    let _server = EchoServer::start(&web, PORT);
    let gateway = lab.gateway("web", "four");
    for address in ["::1", HOST6] {
        let to = at(address, 8080);
        let mut stream = host.tcp_connect(to, LATE).expect("a connection");
        assert_eq!(stream.peer_addr().expect("a far end"), to);
        stream.write_all(b"over mapped\n").expect("a line");
        let mut answer = String::new();
        BufReader::new(&stream)
            .read_line(&mut answer)
            .expect("an answer");
        assert!(answer.starts_with(&format!("{gateway}:")), "{answer}");

        let connected = host.udp_bind(at("::", 0)).expect("a socket");
        connected.connect(to).expect("a connection");
        assert_eq!(ask(&connected, None), to);
    }
    // From outside the port is closed, which is told.
    let outside = lab.outside().tcp_connect(at(HOST6, 8080), LATE);
    let error = outside.expect_err("it is closed");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(asks(lab.outside(), at(HOST, 8080)), at(OUTSIDE, 0).ip());
}

#[test]
fn limits_without_ipv6_inside() {
    let (lab, _agent, web) = without_ipv6("dialled-limits");
    let host = lab.host();
    let _server = EchoServer::start(&web, PORT);
    let to = at("::1", 8080);
    tcp_exchange(host, to, LATE).expect("the way is there");
    // An unconnected datagram: the kernel takes no mapped destination from a program.
    let udp = udp_exchange(host, to, EARLY);
    assert!(udp.is_err(), "works: the documented limit is gone");
    // A socket for IPv6 alone has no way to IPv4.
    let outcome = host.on(move || {
        let kind = (AddressFamily::Inet6, SockType::Stream);
        let fd = socket(kind.0, kind.1, SockFlag::empty(), None).expect("a socket");
        setsockopt(&fd, sockopt::Ipv6V6Only, &true).expect("an option");
        let SocketAddr::V6(to) = to else {
            panic!("IPv6")
        };
        connect(fd.as_raw_fd(), &SockaddrIn6::from(to))
    });
    assert_eq!(outcome, Err(Errno::ENETUNREACH));
    // A client bound to ::1 keeps that address: it is refused instead of waiting in vain.
    let curl = host.fails("curl -sS -m 5 --interface ::1 http://[::1]:8080/");
    assert_eq!(curl.status.code(), Some(7), "{}", curl.describe());
}

#[test]
fn clients_bound_to_loopback_are_refused_at_once() {
    let app = App::with("dialled-bound", "", PUBLISH);
    let (lab, host) = (&app.lab, app.lab.host());
    let _server = EchoServer::start(&app.web, PORT);
    for (own, to) in [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.9", "127.0.0.1"),
        ("::1", "[::1]"),
    ] {
        let curl = host.fails(&format!(
            "curl -sS -m 5 --interface {own} http://{to}:8080/"
        ));
        assert_eq!(curl.status.code(), Some(7), "{}", curl.describe());
    }
    // Bound to one of the host's other addresses they work, and are seen with it.
    let socket = host.udp_bind(at(HOST, 0)).expect("a socket");
    socket.set_read_timeout(Some(LATE)).expect("a socket");
    socket
        .send_to(b"who", at("127.0.0.1", 8080))
        .expect("a datagram");
    let mut answer = [0; 100];
    let (length, by) = socket.recv_from(&mut answer).expect("an answer");
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with(&format!("{HOST}:")), "{answer}");
    assert_eq!(by, at("127.0.0.1", 8080));
    drop(lab.netd("sandbox rm -f web"));
    is_refused(host, at("127.0.0.1", 8080));
}

#[test]
fn one_socket_by_two_addresses_hears_the_last() {
    let app = App::with("dialled-two", "", PUBLISH);
    let _server = EchoServer::start(&app.web, PORT);
    let socket = app.lab.host().udp_bind(at("0.0.0.0", 0)).expect("a socket");
    for address in [HOST, "127.0.0.1", HOST] {
        assert_eq!(ask(&socket, Some(at(address, 8080))), at(address, 8080));
    }
}

#[test]
fn it_works_on_while_the_agent_is_dead_and_beside_another_host() {
    let mut app = App::with("dialled-dead", "", PUBLISH);
    let _server = EchoServer::start(&app.web, PORT);
    let gateway = app.lab.gateway("web", "app");
    app.agent.kill();
    assert_eq!(asks(app.lab.host(), at("127.0.0.1", 8080)), gateway);
    // A namespace beside the host's has its own loopback.
    let beside = app.lab.namespace("beside").expect("a namespace");
    beside.ok("ip link set lo up");
    is_refused(&beside, at("127.0.0.1", 8080));
    let _other = EchoServer::start(&beside, 8080);
    assert_eq!(
        asks(&beside, at("127.0.0.1", 8080)),
        at("127.0.0.1", 0).ip()
    );
}
