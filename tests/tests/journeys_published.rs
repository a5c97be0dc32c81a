//! Journeys 4 and 5: published ports, from outside and from sandboxes, TCP and UDP, both families.
//! Outside and other sandboxes are seen with their own address.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use netd_tests::lab::{App, EchoServer, addresses::*, asks, gets_no_answer, tcp_exchange};

const PORT: u16 = 7000;
/// The promise is 2 s after the event; a busy test machine gets more.
const SOON: Duration = Duration::from_secs(8);
const PUBLISH: &str = "-p 8080:7000/tcp -p 8080:7000/udp";

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().expect("an address"), port)
}

fn ip(address: &str) -> IpAddr {
    address.parse().expect("an address")
}

#[test]
fn outside_clients_are_seen_with_their_own_address() {
    let app = App::with("published", "", PUBLISH);
    let _server = EchoServer::start(&app.web, PORT);
    assert_eq!(asks(app.lab.outside(), at(HOST, 8080)), ip(OUTSIDE));
    assert_eq!(asks(app.lab.outside(), at(HOST6, 8080)), ip(OUTSIDE6));
    assert_eq!(asks(app.lab.attacker(), at(HOST, 8080)), ip(ATTACKER));
    // Nothing else of the sandbox is open.
    gets_no_answer(app.lab.outside(), at(HOST, PORT));
    gets_no_answer(app.lab.outside(), at(HOST6, PORT));
    let port = app.lab.netd("port web");
    assert!(port.contains("7000/tcp -> 0.0.0.0:8080"), "{port}");
    assert!(port.contains("7000/udp -> [::]:8080"), "{port}");
}

#[test]
fn curl_gets_a_page_from_outside() {
    let app = App::with("published-curl", "", "-p 8080:80");
    app.lab
        .world()
        .write(
            "/run/lab/bin/page",
            "#!/bin/sh\nread -r request\nprintf 'HTTP/1.0 200 OK\\r\\n\\r\\nyou are %s\\n' \"$SOCAT_PEERADDR\"\n",
        )
        .expect("a script");
    app.lab.host().ok("chmod 755 /run/lab/bin/page");
    let _web = app
        .web
        .spawn("socat TCP4-LISTEN:80,fork,reuseaddr EXEC:page")
        .expect("socat");
    let page = app.lab.outside().ok(&format!(
        "curl -sS --retry 10 --retry-connrefused --retry-delay 0 --max-time 10 http://{HOST}:8080/"
    ));
    assert_eq!(page, format!("you are {OUTSIDE}"));
}

#[test]
fn an_address_of_the_host_can_be_named() {
    let publish = format!("-p {HOST}:8080:7000/tcp -p {HOST}:8080:7000/udp");
    let app = App::with("published-one", "", &publish);
    app.lab.host().ok("ip address add 198.18.0.3/24 dev eth0");
    let _server = EchoServer::start(&app.web, PORT);
    assert_eq!(asks(app.lab.outside(), at(HOST, 8080)), ip(OUTSIDE));
    gets_no_answer(app.lab.outside(), at("198.18.0.3", 8080));
    gets_no_answer(app.lab.outside(), at(HOST6, 8080));
}

#[test]
fn an_address_that_the_host_gets_later_works_too() {
    let app = App::with("published-later", "", PUBLISH);
    let _server = EchoServer::start(&app.web, PORT);
    asks(app.lab.outside(), at(HOST, 8080));
    app.lab.host().ok("ip address add 198.18.0.3/24 dev eth0");
    let later = at("198.18.0.3", 8080);
    app.lab.wait_until("the new address answers", SOON, || {
        tcp_exchange(app.lab.outside(), later, SOON).is_ok()
    });
    assert_eq!(asks(app.lab.outside(), later), ip(OUTSIDE));
}

#[test]
fn a_range_is_published_port_by_port() {
    let app = App::with(
        "published-range",
        "",
        "-p 9000-9003:7000-7003/tcp -p 9000-9003:7000-7003/udp",
    );
    let servers: Vec<EchoServer> = (7000..7004)
        .map(|port| EchoServer::start(&app.web, port))
        .collect();
    for port in 9000..9004 {
        assert_eq!(asks(app.lab.outside(), at(HOST, port)), ip(OUTSIDE));
    }
    gets_no_answer(app.lab.outside(), at(HOST, 9004));
    gets_no_answer(app.lab.outside(), at(HOST, 8999));
    drop(servers);
}

#[test]
fn sandboxes_reach_it_by_every_address_of_the_host() {
    let app = App::with("published-in", "", PUBLISH);
    let lab = &app.lab;
    lab.netd("network create --ipv6 other");
    lab.netd("sandbox create --name stranger --network other");
    let stranger = lab.sandbox("stranger");
    let _server = EchoServer::start(&app.web, PORT);
    let gateways = [
        lab.gateway("web", "app"),
        lab.gateway6("web", "app"),
        lab.gateway("stranger", "other"),
        lab.gateway6("stranger", "other"),
        // The default network, where nobody is.
        ip("172.17.0.1"),
    ];
    for dialled in [ip(HOST), ip(HOST6)].into_iter().chain(gateways) {
        let to = SocketAddr::new(dialled, 8080);
        let [client, strange, gateway] = if dialled.is_ipv4() {
            [
                lab.address("client", "app"),
                lab.address("stranger", "other"),
                lab.gateway("web", "app"),
            ]
        } else {
            [
                lab.address6("client", "app"),
                lab.address6("stranger", "other"),
                lab.gateway6("web", "app"),
            ]
        };
        assert_eq!(asks(&app.client, to), client, "same network, by {to}");
        assert_eq!(asks(&stranger, to), strange, "another network, by {to}");
        assert_eq!(asks(&app.web, to), gateway, "the publisher, by {to}");
    }
}

#[test]
fn with_icc_off_it_is_still_published() {
    let app = App::with(
        "published-icc",
        "-o com.docker.network.bridge.enable_icc=false",
        PUBLISH,
    );
    let _server = EchoServer::start(&app.web, PORT);
    assert_eq!(asks(app.lab.outside(), at(HOST, 8080)), ip(OUTSIDE));
    assert_eq!(
        asks(&app.client, at(HOST, 8080)),
        app.lab.address("client", "app")
    );
}

#[test]
fn it_ends_with_its_sandbox_and_can_be_taken_again() {
    let app = App::with("published-again", "", PUBLISH);
    let server = EchoServer::start(&app.web, PORT);
    asks(app.lab.outside(), at(HOST, 8080));
    let refused = app.lab.netd_refuses(&format!(
        "sandbox create --name second --network app {PUBLISH}"
    ));
    assert!(
        refused.stderr.contains("port is already allocated"),
        "{}",
        refused.stderr
    );
    drop(server);
    app.lab.netd("sandbox rm -f web");
    gets_no_answer(app.lab.outside(), at(HOST, 8080));
    app.lab.netd(&format!(
        "sandbox create --name second --network app {PUBLISH}"
    ));
    let second = app.lab.sandbox("second");
    let _server = EchoServer::start(&second, PORT);
    assert_eq!(asks(app.lab.outside(), at(HOST, 8080)), ip(OUTSIDE));
}
