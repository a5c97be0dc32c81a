//! Published ports are held: no process of the host gets one, also while the agent is dead, and none
//! is published that a process has.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
};

use netd_tests::lab::{App, EchoServer, Lab, Namespace, addresses::*, asks};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn6, bind, setsockopt, socket, sockopt,
};
use std::os::fd::AsRawFd;

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().expect("an address"), port)
}

/// Binding TCP and UDP there says that the address is in use.
#[track_caller]
fn is_held(host: &Namespace, address: &str, port: u16) {
    let to = at(address, port);
    let tcp = host.tcp_listen(to).expect_err(&format!("TCP {to} is free"));
    assert_eq!(tcp.kind(), ErrorKind::AddrInUse, "TCP {to}: {tcp}");
    let udp = host.udp_bind(to).expect_err(&format!("UDP {to} is free"));
    assert_eq!(udp.kind(), ErrorKind::AddrInUse, "UDP {to}: {udp}");
}

#[track_caller]
fn is_free(host: &Namespace, address: &str, port: u16) {
    let to = at(address, port);
    drop(
        host.tcp_listen(to)
            .unwrap_or_else(|error| panic!("TCP {to}: {error}")),
    );
    drop(
        host.udp_bind(to)
            .unwrap_or_else(|error| panic!("UDP {to}: {error}")),
    );
}

#[test]
fn no_process_of_the_host_gets_a_published_port() {
    let publish = format!(
        "-p 8080:80/tcp -p 8080:80/udp -p 9000-9100:9000-9100/tcp -p 9000-9100:9000-9100/udp \
         -p {HOST}:7000:70/tcp -p {HOST}:7000:70/udp -p 0.0.0.0:7001:71/tcp -p 0.0.0.0:7001:71/udp"
    );
    let mut app = App::with("held", "", &publish);
    let host = app.lab.host().clone();
    for address in ["0.0.0.0", "127.0.0.1", HOST, "::", "::1", HOST6] {
        is_held(&host, address, 8080);
        is_held(&host, address, 9057);
        is_free(&host, address, 8081);
        is_free(&host, address, 9101);
    }
    // At one address: there, and for who would have it everywhere.
    for address in [HOST, "0.0.0.0", "::"] {
        is_held(&host, address, 7000);
    }
    for address in ["127.0.0.1", "::1", HOST6] {
        is_free(&host, address, 7000);
    }
    is_held(&host, "::", 7001);
    is_free(&host, "::1", 7001);
    // Other namespaces have ports of their own.
    is_free(&app.web, "0.0.0.0", 8080);
    is_free(app.lab.outside(), "0.0.0.0", 8080);
    app.agent.kill();
    is_held(&host, "0.0.0.0", 8080);
    app.agent.start_again().expect("an agent");
    app.lab.netd("sandbox rm -f web");
    for port in [8080, 9057, 7000, 7001] {
        is_free(&host, "0.0.0.0", port);
        is_free(&host, "::", port);
    }
}

#[test]
fn one_of_two_addresses_given_back_holds_the_other() {
    let lab = Lab::new("held-two");
    let _agent = lab.agent("");
    for (name, address) in [("a", HOST), ("b", "127.0.0.1")] {
        lab.netd(&format!(
            "sandbox create --name {name} -p {address}:7000:70/tcp -p {address}:7000:70/udp"
        ));
    }
    is_held(lab.host(), "0.0.0.0", 7000);
    lab.netd("sandbox rm -f a");
    is_held(lab.host(), "0.0.0.0", 7000);
    is_free(lab.host(), HOST, 7000);
    lab.netd("sandbox rm -f b");
    is_free(lab.host(), "0.0.0.0", 7000);
}

#[test]
fn a_process_that_has_the_port_is_told_at_create() {
    let lab = Lab::new("held-before");
    let _agent = lab.agent("");
    let host = lab.host();
    let web = host.tcp_listen(at("0.0.0.0", 8080)).expect("a listener");
    let dns = host.udp_bind(at("127.0.0.53", 5300)).expect("a socket");
    let both = host.tcp_listen(at("::", 8090)).expect("a listener");
    let only6 = listen_v6_only(host, 8091);
    let refused = |publish: &str| {
        let finished = lab.netd_refuses(&format!("sandbox create --name web {publish}"));
        assert_eq!(lab.netd("sandbox ls -q"), "", "something is left behind");
        finished
            .stderr
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    for (publish, port) in [
        ("-p 8080:80", "0.0.0.0:8080"),
        ("-p 127.0.0.1:8080:80", "127.0.0.1:8080"),
        ("-p 8000-8100:8000-8100", "0.0.0.0:8080"),
        ("-p 5300:53/udp", "0.0.0.0:5300"),
        ("-p 0.0.0.0:8090:80", "0.0.0.0:8090"),
        ("-p 8091:80", ":::8091"),
    ] {
        let text = format!("netd: Bind for {port} failed: port is already allocated");
        assert_eq!(refused(publish), text, "{publish}");
    }
    // Beside them there is room; of a range the first free one is taken.
    lab.netd("sandbox create --name fine -p 8080-8082:80 -p 8080:80/udp -p 127.0.0.1:5300:53/udp -p 0.0.0.0:8091:81");
    let ports = lab.netd("port fine");
    assert!(ports.contains("80/tcp -> 0.0.0.0:8081"), "{ports}");
    drop((web, dns, both, only6));
    lab.netd("sandbox create --name web -p 8080:80 -p 8090:90");
}

fn listen_v6_only(host: &Namespace, port: u16) -> TcpListener {
    host.on(move || {
        let fd = socket(
            AddressFamily::Inet6,
            SockType::Stream,
            SockFlag::empty(),
            None,
        )
        .expect("a socket");
        setsockopt(&fd, sockopt::Ipv6V6Only, &true).expect("an option");
        let SocketAddr::V6(any) = at("::", port) else {
            panic!("IPv6")
        };
        bind(fd.as_raw_fd(), &SockaddrIn6::from(any)).expect("an address");
        nix::sys::socket::listen(&fd, nix::sys::socket::Backlog::new(1).expect("a number"))
            .expect("a listener");
        TcpListener::from(fd)
    })
}

#[test]
fn traffic_goes_on_beside_refused_binds() {
    let app = App::with("held-traffic", "", "-p 8080:7000/tcp -p 8080:7000/udp");
    let _server = EchoServer::start(&app.web, 7000);
    is_held(app.lab.host(), "0.0.0.0", 8080);
    assert_eq!(asks(app.lab.outside(), at(HOST, 8080)), at(OUTSIDE, 0).ip());
}
