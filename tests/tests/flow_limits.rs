//! What netd.toml says about flows: source ports, how many an endpoint may have, how long they last.

use std::{
    io::{BufRead, BufReader, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

use netd_tests::lab::{EchoServer, Lab, Namespace, addresses::*};

const PORT: u16 = 7000;
/// For an answer on a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_secs(30);
/// For an answer that does not come.
const SHORT: Duration = Duration::from_millis(700);

fn ip(address: &str) -> IpAddr {
    address.parse().expect("an address")
}

/// A lab whose agent has these flags, and its sandbox.
fn begin(name: &str, flags: &str) -> (Lab, netd_tests::lab::Agent, Namespace) {
    let lab = Lab::new(name);
    let agent = lab.agent(flags);
    lab.netd("network create app");
    lab.netd("sandbox create --name client --network app");
    let client = lab.sandbox("client");
    (lab, agent, client)
}

fn dial(client: &Namespace) -> TcpStream {
    let at = SocketAddr::new(ip(PUBLIC), PORT);
    client.tcp_connect(at, LIMIT).expect("a connection")
}

/// The port that the server sees, if it answers in time.
fn ask(stream: &mut TcpStream, limit: Duration) -> std::io::Result<u16> {
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(b"x\n")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    let peer = answer.split('|').next().and_then(|peer| peer.parse().ok());
    let peer: SocketAddr = peer.ok_or_else(|| std::io::Error::other(answer))?;
    Ok(peer.port())
}

#[test]
fn source_ports_are_those_of_the_configuration() {
    let (lab, _agent, client) = begin("flow-ports", "--flow-ports 5000-5000,5002-5002");
    let _server = EchoServer::start(lab.outside(), PORT);
    let (mut one, mut two) = (dial(&client), dial(&client));
    let mut seen = [&mut one, &mut two].map(|stream| ask(stream, LIMIT).expect("an answer"));
    seen.sort_unstable();
    assert_eq!(seen, [5000, 5002]);
    // A third has none, and is told of in the counters.
    let at = SocketAddr::new(ip(PUBLIC), PORT);
    client.tcp_connect(at, SHORT).expect_err("no port is left");
    assert!(lab.drops("ports-exhausted") > 0, "{}", lab.netd("drops"));
    // Only towards this server.
    let elsewhere = SocketAddr::new(ip(OUTSIDE), PORT);
    client.tcp_connect(elsewhere, LIMIT).expect("a connection");
}

#[test]
fn an_endpoint_has_as_many_flows_as_it_may_and_gets_them_back() {
    let flags = "--flow-per-endpoint 2 --flow-tcp-closing 1";
    let (lab, _agent, client) = begin("flow-quota", flags);
    lab.netd("sandbox create --name other --network app");
    let other = lab.sandbox("other");
    let _server = EchoServer::start(lab.outside(), PORT);
    let (mut one, mut two) = (dial(&client), dial(&client));
    for stream in [&mut one, &mut two] {
        ask(stream, LIMIT).expect("an answer");
    }
    let mut three = dial(&client);
    ask(&mut three, SHORT).expect_err("one too many");
    assert!(lab.drops("endpoint-flows") > 0, "{}", lab.netd("drops"));
    ask(&mut one, LIMIT).expect("what there is goes on");
    ask(&mut dial(&other), LIMIT).expect("so do others");
    // With one over there is room again: the data is sent until it gets through.
    drop(two);
    three.set_read_timeout(Some(LIMIT)).expect("a limit");
    let mut answer = String::new();
    let read = BufReader::new(&three).read_line(&mut answer);
    read.expect("an answer to what was asked before");
    assert!(answer.ends_with("|x\n"), "{answer}");
}

#[test]
fn flows_end_when_the_configuration_says() {
    let flags = "--flow-udp-new 1 --flow-icmp 1";
    let (lab, _agent, client) = begin("flow-times", flags);
    let _server = EchoServer::start(lab.outside(), PORT);
    client.ok(&format!("ping -n -c 1 -W 20 {PUBLIC}"));
    let socket = client.udp_bind("0.0.0.0:0".parse().expect("an address"));
    let socket = socket.expect("a socket");
    socket.send_to(b"x", (PUBLIC, PORT)).expect("to send");
    let mut connection = dial(&client);
    ask(&mut connection, LIMIT).expect("an answer");
    lab.wait_until("only the connection is left", LIMIT, || {
        let flows = lab.netd("flow ls");
        !flows.contains("udp") && !flows.contains("icmp")
    });
    assert!(
        lab.netd("flow ls").contains("tcp"),
        "{}",
        lab.netd("flow ls")
    );
    ask(&mut connection, LIMIT).expect("an answer");
}
