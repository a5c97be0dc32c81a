//! Ports of a sandbox that runs: published, unpublished with their flows, picked by netd, bound to
//! the configured address, moved with the gateway network.

use std::{
    io::{BufRead, BufReader, Write},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use netd_tests::lab::{
    App, EchoServer, Lab, addresses::*, asks, gets_no_answer, pins, tcp_exchange, udp_exchange,
};

const PORT: u16 = 7000;
const LATE: Duration = Duration::from_secs(5);
const EARLY: Duration = Duration::from_millis(700);
const SOON: Duration = Duration::from_secs(8);

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().expect("an address"), port)
}

fn ip(address: &str) -> IpAddr {
    address.parse().expect("an address")
}

#[test]
fn ports_come_and_go_while_the_sandbox_runs() {
    let app = App::with("live", "", "");
    let (lab, outside) = (&app.lab, app.lab.outside());
    let _server = EchoServer::start(&app.web, PORT);
    gets_no_answer(outside, at(HOST, 8080));
    assert_eq!(
        lab.netd("sandbox publish web -p 8080:7000 -p 8080:7000/udp"),
        ""
    );
    lab.netd(&format!("sandbox publish web -p {HOST}:9000:7000"));
    assert_eq!(asks(outside, at(HOST, 8080)), ip(OUTSIDE));
    assert_eq!(
        asks(lab.host(), at("127.0.0.1", 8080)),
        lab.gateway("web", "app")
    );
    tcp_exchange(outside, at(HOST, 9000), LATE).expect("the other one");
    let refused = lab.netd_refuses("sandbox publish client -p 8080:80");
    assert!(
        refused.stderr.contains("port is already allocated"),
        "{}",
        refused.stderr
    );

    // A conversation of each kind goes on until its port goes.
    let mut stream = outside
        .tcp_connect(at(HOST, 8080), LATE)
        .expect("a connection");
    let mut kept = outside
        .tcp_connect(at(HOST, 9000), LATE)
        .expect("a connection");
    let udp = outside.udp_bind(at("0.0.0.0", 0)).expect("a socket");
    udp.connect(at(HOST, 8080)).expect("a far end");
    udp.set_read_timeout(Some(EARLY)).expect("a socket");
    let says = |stream: &mut std::net::TcpStream| -> std::io::Result<usize> {
        stream.set_read_timeout(Some(EARLY))?;
        stream.write_all(b"still there\n")?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)
    };
    assert!(says(&mut stream).is_ok_and(|length| length > 0));
    assert!(says(&mut kept).is_ok_and(|length| length > 0));
    udp.send(b"still there").expect("a datagram");
    udp.recv(&mut [0; 100]).expect("an answer");
    lab.netd("sandbox unpublish web 8080/tcp 8080/udp");
    assert!(
        !says(&mut stream).is_ok_and(|length| length > 0),
        "its flow lives on"
    );
    let answered = udp
        .send(b"still there")
        .and_then(|_| udp.recv(&mut [0; 100]));
    assert!(answered.is_err(), "its UDP flow lives on");
    assert!(
        says(&mut kept).is_ok_and(|length| length > 0),
        "another port's flow is gone"
    );
    gets_no_answer(outside, at(HOST, 8080));
    assert_eq!(lab.netd("port web"), format!("7000/tcp -> {HOST}:9000"));
    drop(
        lab.host()
            .tcp_listen(at("0.0.0.0", 8080))
            .expect("it is free again"),
    );
    lab.netd("sandbox publish client -p 8080:80");
}

#[test]
fn bad_wishes_change_nothing() {
    let app = App::with("live-bad", "", "-p 8000-8002:80-82 -p 9000:90");
    let before = app.lab.netd("port web");
    for (words, text) in [
        (
            "unpublish web 8001",
            "netd: No host port 8001/tcp is published for web; 8000-8002 is one range",
        ),
        (
            "unpublish web 9000 9000/udp",
            "netd: No host port 9000/udp is published for web",
        ),
        (
            "unpublish web 127.0.0.1:9000",
            "netd: No host port 9000/tcp is published for web",
        ),
        ("unpublish nobody 9000", "netd: No such sandbox: nobody"),
        ("publish nobody -p 80", "netd: No such sandbox: nobody"),
        (
            "publish web -p 7000:70 -p 9000:91",
            "netd: Bind for 0.0.0.0:9000 failed: port is already allocated",
        ),
    ] {
        let refused = app.lab.netd_refuses(&format!("sandbox {words}"));
        assert_eq!(refused.stderr.lines().next(), Some(text), "{words}");
        assert_eq!(app.lab.netd("port web"), before, "{words}");
    }
    app.lab.netd("sandbox unpublish web 8000-8002 0.0.0.0:9000");
    assert_eq!(app.lab.netd("port web"), "90/tcp -> [::]:9000");
}

#[test]
fn picked_ports_are_reserved_on_the_host() {
    let lab = Lab::new("live-picked");
    let reserved = || {
        lab.host()
            .read_sysctl("net.ipv4.ip_local_reserved_ports")
            .expect("a sysctl")
    };
    lab.host()
        .sysctl("net.ipv4.ip_local_reserved_ports", "40000,50000-50009")
        .expect("a sysctl");
    let mut agent = lab.agent("");
    assert_eq!(reserved(), "40000,50000-50009");
    lab.netd("sandbox create --name web -p 80 -p 81/udp -p 8080:82 -p 50010:83");
    let ports = lab.netd("port web");
    let picked = |inside: &str| -> Vec<String> {
        let lines = ports.lines().filter(|line| line.starts_with(inside));
        lines
            .filter_map(|line| Some(line.rsplit_once(':')?.1.to_owned()))
            .collect()
    };
    assert_eq!(
        picked("80/tcp"),
        ["49153", "49153"],
        "the same for both families"
    );
    assert_eq!(reserved(), "40000,49153-49154,50000-50010");
    let status = lab.netd("status");
    assert!(status.contains("ip_local_reserved_ports"), "{status}");
    // Somebody sets it anew: what is published comes back beside that.
    lab.host()
        .sysctl("net.ipv4.ip_local_reserved_ports", "45000")
        .expect("a sysctl");
    lab.netd("sandbox publish web -p 50011:84");
    lab.wait_until("it is put right", 5 * SOON, || {
        reserved() == "45000,49153-49154,50010-50011"
    });
    agent.kill();
    agent.start_again().expect("an agent");
    assert_eq!(reserved(), "45000,49153-49154,50010-50011");
    lab.netd("sandbox rm web");
    assert_eq!(reserved(), "45000");
    lab.netd("sandbox create --name web -p 80");
    lab.netd("down -f");
    agent.wait().expect("it ends");
    assert_eq!(reserved(), "45000");
}

#[test]
fn the_configured_address_is_where_ports_are_published() {
    let lab = Lab::new("live-default");
    lab.world()
        .write(
            "/run/lab/netd.toml",
            "publish.default_address = \"127.0.0.1\"\n",
        )
        .expect("a file");
    let _agent = lab.agent("--config /run/lab/netd.toml");
    lab.netd("sandbox create --name web -p 8080:7000 -p 8080:7000/udp -p 0.0.0.0:9000:7000 -p 0.0.0.0:9000:7000/udp");
    let web = lab.sandbox("web");
    let _server = EchoServer::start(&web, PORT);
    assert_eq!(
        asks(lab.host(), at("127.0.0.1", 8080)),
        lab.gateway("web", "bridge")
    );
    gets_no_answer(lab.outside(), at(HOST, 8080));
    assert_eq!(asks(lab.outside(), at(HOST, 9000)), ip(OUTSIDE));
}

#[test]
fn ports_follow_the_gateway_network_and_the_hosts_addresses() {
    let app = App::with("live-move", "", "-p 8080:7000 -p 8080:7000/udp");
    let (lab, outside) = (&app.lab, app.lab.outside());
    let _server = EchoServer::start(&app.web, PORT);
    assert_eq!(asks(outside, at(HOST, 8080)), ip(OUTSIDE));
    // A network that comes first by name takes over, and gives back.
    lab.netd("network create --ipv6 aaa");
    lab.netd("network connect aaa web");
    assert_eq!(asks(outside, at(HOST, 8080)), ip(OUTSIDE));
    assert_eq!(
        asks(lab.host(), at("127.0.0.1", 8080)),
        lab.gateway("web", "aaa")
    );
    lab.netd("network disconnect aaa web");
    assert_eq!(asks(outside, at(HOST, 8080)), ip(OUTSIDE));
    assert_eq!(
        asks(lab.host(), at("127.0.0.1", 8080)),
        lab.gateway("web", "app")
    );
    addresses_come_and_go(&app);
}

/// One that the host gets leads there, and one that it loses is nobody's.
#[track_caller]
fn addresses_come_and_go(app: &App) {
    let (lab, host) = (&app.lab, app.lab.host());
    let everywhere = [host, lab.outside(), &app.client];
    for (address, line) in [
        ("198.18.0.3", "198.18.0.3/24 dev eth0"),
        ("2001:db8:18::3", "2001:db8:18::3/64 dev eth0 nodad"),
    ] {
        let later = at(address, 8080);
        let answers = |limit| everywhere.map(|from| tcp_exchange(from, later, limit).is_ok());
        let comes = || {
            host.ok(&format!("ip address add {line}"));
            lab.wait_until(&format!("{address} answers"), SOON, || {
                answers(LATE) == [true; 3]
            });
            for from in everywhere {
                asks(from, later);
            }
        };
        comes();
        host.ok(&format!("ip address del {line}"));
        lab.wait_until(&format!("{address} is nobody's"), SOON, || {
            answers(EARLY) == [false; 3]
        });
        for from in everywhere {
            assert!(udp_exchange(from, later, EARLY).is_err(), "{address}");
        }
        comes();
    }
}

/// Ten thousand ports are no process, no descriptor and a few dozen entries, and all of it goes.
#[test]
fn ten_thousand_ports_are_a_few_entries() {
    let app = App::start("live-many");
    let (lab, outside) = (&app.lab, app.lab.outside());
    let pid = app.agent.pid();
    let costs = || {
        let host = lab.host();
        let pinned = format!("{}/maps/PORTS", pins());
        let entries = host.ok(&format!("bpftool -j map dump pinned {pinned}"));
        let entries: serde_json::Value = serde_json::from_str(&entries).expect("JSON");
        let entries = entries.as_array().expect("a list").len();
        let of = |line: &str| host.ok(&format!("sh -c '{line} | wc -l'"));
        (
            of(&format!("ls /proc/{pid}/fd")),
            of(&format!("cat /proc/{pid}/task/*/children")),
            entries,
        )
    };
    lab.netd("sandbox create --name many --network app");
    let before = costs();
    lab.netd("sandbox publish many -p 20000-29999:20000-29999 -p 20000-29999:20000-29999/udp");
    let (descriptors, children, entries) = costs();
    assert_eq!((&descriptors, &children), (&before.0, &before.1));
    // Two families, two protocols, and for each what an interval takes: at most two for each bit.
    let most = before.2 + 2 * 2 * 2 * 16;
    assert!(entries <= most, "{entries} of {most}");
    let many = lab.sandbox("many");
    for port in [20_000, 24_321, 29_999] {
        let _server = EchoServer::start(&many, port);
        assert_eq!(asks(outside, at(HOST, port)), ip(OUTSIDE));
    }
    lab.netd("sandbox unpublish many 20000-29999 20000-29999/udp");
    assert_eq!(costs(), before);
    drop(
        lab.host()
            .tcp_listen(at("0.0.0.0", 24_321))
            .expect("it is free again"),
    );
}

/// Each family by its own network, and both are told.
#[test]
fn a_network_of_each_family_carries_that_familys_ports() {
    let lab = Lab::new("live-families");
    let _agent = lab.agent("");
    lab.netd("network create four");
    lab.netd("network create --ipv4=false --ipv6 six");
    lab.netd("sandbox create --name web --network four -p 8080:7000 -p 8080:7000/udp");
    lab.netd("network connect six web");
    let ports = lab.netd("port web 7000/tcp");
    let mut ports: Vec<&str> = ports.lines().collect();
    ports.sort_unstable();
    assert_eq!(ports, ["0.0.0.0:8080", "[::]:8080"]);
    let _server = EchoServer::start(&lab.sandbox("web"), PORT);
    for (host, outside) in [(HOST, OUTSIDE), (HOST6, OUTSIDE6)] {
        assert_eq!(asks(lab.outside(), at(host, 8080)), ip(outside));
    }
    lab.netd("network disconnect six web");
    assert_eq!(asks(lab.outside(), at(HOST, 8080)), ip(OUTSIDE));
    gets_no_answer(lab.outside(), at(HOST6, 8080));
}
