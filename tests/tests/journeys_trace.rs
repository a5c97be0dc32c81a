//! `--log-level trace`: the programs tell what they do with each packet, in the agent's log; otherwise
//! they hold no log call, and a restart switches without a lost packet.

use std::{net::SocketAddr, time::Duration};

use netd_tests::lab::{EchoServer, Lab, Traffic, reaches};

const PORT: u16 = 7000;
/// Part of what the programs tell of a datagram.
const MARK: &str = ", protocol 17, ";
const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn the_programs_log_can_be_switched_on() {
    let lab = Lab::new("trace");
    let mut quiet = lab.agent("");
    lab.netd("network create --ipv6 app");
    for name in ["web", "client"] {
        lab.netd(&format!("sandbox create --name {name} --network app"));
    }
    let (web, client) = (lab.sandbox("web"), lab.sandbox("client"));
    let _server = EchoServer::start(&web, PORT);
    let address = lab.address("web", "app");
    reaches(&client, address, PORT);
    assert!(!quiet.log().contains(MARK), "{}", quiet.log());

    // The other object takes over under traffic, and the first one again.
    let traffic = Traffic::udp(&client, SocketAddr::new(address, PORT)).expect("UDP");
    traffic.flows_on(20);
    quiet.stop();
    let mut loud = lab.agent("--log-level trace");
    traffic.flows_on(20);
    lab.wait_until("the log tells of packets", LIMIT, || {
        loud.log().contains(MARK)
    });
    loud.stop();
    let quiet = lab.agent("");
    traffic.flows_on(20);
    traffic.end();
    assert!(!quiet.log().contains(MARK), "{}", quiet.log());
}
