//! Packets that the kernel drops after a program has handed them over are counted and told, also while no
//! agent runs; what arrives and is dropped by the receiver is not.

use std::{net::SocketAddr, time::Duration};

use netd_tests::lab::{App, EchoServer, Namespace, addresses::*, reaches, udp_exchange};
use serde_json::Value;

use crate::{PORT, SOON, at};

const REASON: &str = "redirect-failed";
/// Datagrams of each kind.
const SENT: u64 = 10;
/// On the uplink's subnets; nobody has them.
const NOBODY: [&str; 2] = ["198.18.0.77", "2001:db8:18::77"];
/// A port where nobody listens.
const CLOSED: u16 = 9;

fn say(from: &Namespace, to: SocketAddr) {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    for _ in 0..SENT {
        let socket = from.udp_bind(any.parse().expect("any")).expect("a socket");
        socket.send_to(b"hello", to).expect("to send");
    }
}

#[test]
fn what_is_lost_after_the_verdict_is_counted() {
    let mut app = App::with("lost", "", "-p 8080:7000/udp");
    let lab = &app.lab;
    let (web, web6) = (lab.address("web", "app"), lab.address6("web", "app"));
    let _server = EchoServer::start(&app.web, PORT);
    let _outside = EchoServer::start(lab.outside(), PORT);
    let status = lab.netd("status");
    assert!(
        status.contains("redirect_failed at kernel tracepoint"),
        "{status}"
    );

    // The receiver's own drops are not netd's.
    for address in [web, web6, PUBLIC.parse().expect("an address")] {
        say(&app.client, SocketAddr::new(address, CLOSED));
        reaches(&app.client, address, PORT);
    }
    assert_eq!(lab.drops(REASON), 0, "{}", lab.netd("drops"));

    // Nobody answers for the next hop: the kernel gives up after some seconds.
    let follow = lab.host().spawn("netd drops --follow -f json");
    let follow = follow.expect("netd drops");
    for nobody in NOBODY {
        say(&app.client, at(nobody, CLOSED));
    }
    lab.wait_until("those to nobody are counted", SOON, || {
        lab.drops(REASON) >= 2 * SENT
    });
    assert_eq!(lab.drops(REASON), 2 * SENT, "{}", lab.netd("drops"));
    let events = || -> Vec<Value> {
        let text = follow.stdout();
        let line = |line: &str| serde_json::from_str(line).expect("JSON");
        text.lines().map(line).collect()
    };
    let to_nobody = |event: &Value| {
        let [v4, v6] = NOBODY;
        event["reason"] == REASON
            && event["program"] == "from_endpoint"
            && event["sandbox"] == "client"
            && [format!("{v4}:{CLOSED}"), format!("[{v6}]:{CLOSED}")]
                .contains(&event["destination"].as_str().unwrap_or_default().to_owned())
    };
    lab.wait_until("they are told", SOON, || events().iter().any(to_nobody));

    // No agent: nobody sees that the container's interface is down, then that its link is gone.
    let (before, host_side) = (lab.drops(REASON), lab.host_side("web", "app"));
    app.agent.kill();
    app.web.ok("ip link set eth0 down");
    say(&app.client, SocketAddr::new(web, CLOSED));
    say(lab.outside(), at(HOST, 8080));
    lab.host().ok(&format!("ip link delete {host_side}"));
    say(&app.client, SocketAddr::new(web, CLOSED));
    app.agent.start_again().expect("the agent");
    let lab = &app.lab;
    assert_eq!(
        lab.drops(REASON),
        before + 3 * SENT,
        "{}",
        lab.netd("drops")
    );
    // The successor has brought the link back.
    lab.wait_until(
        "the container is reached again",
        Duration::from_secs(20),
        || {
            let server = SocketAddr::new(web, PORT);
            udp_exchange(&app.client, server, Duration::from_millis(500)).is_ok()
        },
    );
    assert_eq!(
        lab.drops(REASON),
        before + 3 * SENT,
        "{}",
        lab.netd("drops")
    );
}
