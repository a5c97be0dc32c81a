//! Journeys 2 and 3: from a sandbox to the outside and back, both families. The outside sees the
//! host; what is not to leave does not.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use netd_tests::lab::{App, Capture, EchoServer, Namespace, addresses::*, is_kept_from, reaches};

const PORT: u16 = 7000;
const LIMIT: Duration = Duration::from_secs(10);

fn ip(address: &str) -> IpAddr {
    address.parse().expect("an address")
}

#[test]
fn the_outside_sees_the_host() {
    let app = App::start("out");
    let _server = EchoServer::start(app.lab.outside(), PORT);
    for (to, host) in [
        (PUBLIC, HOST),
        (OUTSIDE, HOST),
        (PUBLIC6, HOST6),
        (OUTSIDE6, HOST6),
    ] {
        assert_eq!(reaches(&app.client, ip(to), PORT), ip(host), "to {to}");
    }
    let flows = app.lab.netd("flow ls");
    assert!(flows.contains(PUBLIC) && flows.contains(PUBLIC6), "{flows}");
}

#[test]
fn each_hop_counts_once() {
    let app = App::start("out-ttl");
    // 64 at the outside, less the host.
    for to in [OUTSIDE, OUTSIDE6] {
        let ping = app.client.ok(&format!("ping -n -c 1 -W 5 {to}"));
        assert!(ping.contains("ttl=63"), "{ping}");
    }
}

#[test]
fn checksums_are_right_in_both_directions() {
    let app = App::start("out-sums");
    app.client.offload("eth0", false).expect("offload");
    app.lab.outside().offload("eth0", false).expect("offload");
    let _server = EchoServer::start(app.lab.outside(), PORT);
    let filter = format!("port {PORT} or icmp or icmp6");
    let outside = Capture::start(app.lab.outside(), "eth0", &filter).expect("tcpdump");
    let inside = Capture::start(&app.client, "eth0", &filter).expect("tcpdump");
    reaches(&app.client, ip(PUBLIC), PORT);
    reaches(&app.client, ip(PUBLIC6), PORT);
    for text in [outside.stop(), inside.stop()] {
        let text = text.expect("the capture");
        assert!(
            text.contains("(correct)") && text.contains("udp sum ok"),
            "{text}"
        );
        assert!(Capture::wrong_checksums(&text).is_empty(), "{text}");
    }
}

#[test]
fn large_transfers_arrive_whole() {
    let app = App::start("out-bulk");
    for to in [PUBLIC, PUBLIC6] {
        transfer(
            &app.client,
            app.lab.outside(),
            SocketAddr::new(ip(to), PORT),
        );
    }
}

/// Two megabytes each way in segments as large as the kernel likes (GSO).
#[track_caller]
fn transfer(from: &Namespace, to: &Namespace, at: SocketAddr) {
    const SIZE: usize = 2 << 20;
    let any = SocketAddr::new(IpAddr::from([0u16; 8]), at.port());
    let listener = to.tcp_listen(any).expect("a listener");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(LIMIT))?;
        let mut received = vec![0; SIZE];
        stream.read_exact(&mut received)?;
        stream.write_all(&received)?;
        std::io::Result::Ok(())
    });
    let sent: Vec<u8> = (0..SIZE).map(|at| (at * 31 % 251) as u8).collect();
    let mut stream = from.tcp_connect(at, LIMIT).expect("a connection");
    stream.write_all(&sent).expect("to send");
    let mut received = vec![0; SIZE];
    stream.read_exact(&mut received).expect("to receive");
    assert!(received == sent, "other bytes came back from {at}");
    server.join().expect("the server").expect("its side");
}

#[test]
fn a_socket_keeps_its_port_whomever_it_asks() {
    let app = App::start("out-mapping");
    let outside = EchoServer::start(app.lab.outside(), PORT);
    let attacker = EchoServer::start(app.lab.attacker(), PORT);
    let socket = app
        .client
        .udp_bind("0.0.0.0:0".parse().expect("an address"))
        .expect("a socket");
    socket.set_read_timeout(Some(LIMIT)).expect("a limit");
    let seen = [OUTSIDE, PUBLIC, ATTACKER].map(|to| {
        socket.send_to(b"x", (to, PORT)).expect("to send");
        let mut answer = [0; 100];
        let (length, by) = socket.recv_from(&mut answer).expect("an answer");
        assert_eq!(by.ip(), ip(to));
        String::from_utf8_lossy(&answer[..length]).into_owned()
    });
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[1], seen[2]);
    drop((outside, attacker));
}

#[test]
fn many_sandboxes_with_the_same_port_are_told_apart() {
    let app = App::start("out-collision");
    let _server = EchoServer::start(app.lab.outside(), PORT);
    let at = SocketAddr::new(ip(PUBLIC), PORT);
    let socket = |sandbox: &Namespace| {
        let socket = sandbox.udp_bind("0.0.0.0:5353".parse().expect("an address"));
        let socket = socket.expect("a socket");
        socket.set_read_timeout(Some(LIMIT)).expect("a limit");
        socket
    };
    let (web, client) = (socket(&app.web), socket(&app.client));
    let ask = |socket: &std::net::UdpSocket, text: &str| {
        socket.send_to(text.as_bytes(), at).expect("to send");
        let mut answer = [0; 100];
        let length = socket.recv(&mut answer).expect("an answer");
        String::from_utf8_lossy(&answer[..length]).into_owned()
    };
    let (of_web, of_client) = (ask(&web, "web"), ask(&client, "client"));
    assert!(of_web.ends_with("|web") && of_client.ends_with("|client"));
    let port = |answer: &str| answer.split('|').next().map(str::to_owned);
    assert_ne!(port(&of_web), port(&of_client));
    // And they stay what they are.
    assert_eq!(ask(&web, "web"), of_web);
    assert_eq!(ask(&client, "client"), of_client);
}

#[test]
fn an_internal_network_leads_nowhere() {
    let app = App::with("internal", "--internal", "");
    let _server = EchoServer::start(app.lab.outside(), PORT);
    let _web = EchoServer::start(&app.web, PORT);
    for to in [PUBLIC, OUTSIDE, PUBLIC6, OUTSIDE6] {
        is_kept_from(&app.client, ip(to), PORT);
    }
    reaches(&app.client, app.lab.address("web", "app"), PORT);
    // With a route of its own a sandbox gets no further.
    let inspected = app.lab.netd_json("network inspect app");
    let gateway = inspected[0]["IPAM"]["Config"][0]["Gateway"].as_str();
    let route = format!("ip route add default via {}", gateway.expect("a gateway"));
    app.client.ok(&route);
    is_kept_from(&app.client, ip(PUBLIC), PORT);
    assert!(
        app.lab.drops("internal-network") > 0,
        "{}",
        app.lab.netd("drops")
    );
}

#[test]
fn without_masquerade_the_outside_sees_the_sandbox() {
    let app = App::with(
        "unmasked",
        "-o com.docker.network.bridge.enable_ip_masquerade=false --subnet 10.77.0.0/24 \
         --subnet fd00:77::/64",
        "",
    );
    let _server = EchoServer::start(app.lab.outside(), PORT);
    // The outside knows the way back, as it must without translation.
    let outside = app.lab.outside();
    outside.ok(&format!("ip route add 10.77.0.0/24 via {HOST}"));
    outside.ok(&format!("ip -6 route add fd00:77::/64 via {HOST6}"));
    let [own, own6] = [
        app.lab.address("client", "app"),
        app.lab.address6("client", "app"),
    ];
    assert_eq!(reaches(&app.client, ip(PUBLIC), PORT), own);
    assert_eq!(reaches(&app.client, ip(PUBLIC6), PORT), own6);
}
