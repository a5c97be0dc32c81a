//! What is dropped is told one by one: with reason, program, network, sandbox and tuple; of a flood
//! only some, with the number of the rest; and an agent that comes later goes on telling.

use std::time::Duration;

use netd_tests::lab::{App, addresses::*};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(15);

fn events(text: &str) -> Vec<Value> {
    let line = |line: &str| serde_json::from_str(line).expect("JSON");
    text.lines().map(line).collect()
}

#[test]
fn a_dropped_packet_is_told() {
    let mut app = App::start("drop-events");
    let lab = &app.lab;
    lab.netd("network create --internal inner");
    lab.netd("sandbox create --name kept --network inner");
    let kept = lab.sandbox("kept");
    kept.ok(&format!("ip route add {PUBLIC} via {}", inner_gateway(lab)));
    let follow = lab
        .host()
        .spawn("netd drops --follow -f json")
        .expect("netd drops");
    let text = lab.host().spawn("netd drops --follow").expect("netd drops");
    let source = lab.address("kept", "inner");
    let seen = |output: &str| {
        output.contains("internal-network") && output.contains(&format!("{PUBLIC}:9"))
    };
    // Who follows is told of what comes then: so again and again.
    lab.wait_until("the drop is told", LIMIT, || {
        say(&kept, PUBLIC);
        seen(&follow.stdout()) && seen(&text.stdout())
    });
    let told = events(&follow.stdout());
    let event = told
        .iter()
        .find(|event| event["destination"] == format!("{PUBLIC}:9"))
        .expect("the event");
    assert_eq!(event["reason"], "internal-network");
    assert_eq!(event["program"], "from_endpoint");
    assert_eq!(event["network"], "inner");
    assert_eq!(event["sandbox"], "kept");
    assert_eq!(event["protocol"], "udp");
    let from = event["source"].as_str().expect("a source");
    assert!(from.starts_with(&format!("{source}:")), "{from}");
    assert_eq!(event["bytes"], 20 + 8 + 5);
    let line = text.stdout();
    assert!(
        line.contains("internal-network from_endpoint network=inner sandbox=kept udp"),
        "{line}"
    );

    // A successor of the agent reads the same ring.
    app.agent.kill();
    for _ in 0..50 {
        say(&kept, PUBLIC);
    }
    app.agent.start_again().expect("the agent");
    let lab = &app.lab;
    let follow = lab
        .host()
        .spawn("netd drops --follow -f json")
        .expect("netd drops");
    lab.wait_until("the drop is told again", LIMIT, || {
        say(&kept, PUBLIC);
        seen(&follow.stdout())
    });
}

fn inner_gateway(lab: &netd_tests::lab::Lab) -> String {
    // An internal network gives no default route; its bridge has the first address.
    let inspected = lab.netd_json("network inspect inner");
    let gateway = inspected[0]["IPAM"]["Config"][0]["Gateway"].as_str();
    let gateway = gateway.expect("a gateway");
    gateway.split('/').next().expect("an address").to_owned()
}

fn say(from: &netd_tests::lab::Namespace, to: &str) {
    let to: std::net::IpAddr = to.parse().expect("an address");
    let socket = from
        .udp_bind("0.0.0.0:0".parse().expect("any"))
        .expect("a socket");
    socket.send_to(b"hello", (to, 9)).expect("to send");
}

#[test]
fn of_a_flood_some_is_told_and_the_rest_counted() {
    let app = App::with(
        "drop-flood",
        "-o com.docker.network.bridge.enable_icc=false",
        "",
    );
    let lab = &app.lab;
    let follow = lab
        .host()
        .spawn("netd drops --follow -f json")
        .expect("netd drops");
    let web = lab.address("web", "app").to_string();
    lab.wait_until("drops are told", LIMIT, || {
        say(&app.client, &web);
        follow.stdout().contains("icc-off")
    });
    const FLOOD: u64 = 5_000;
    let before = lab.drops("icc-off");
    for _ in 0..FLOOD {
        say(&app.client, &web);
    }
    let mut dropped = 0;
    lab.wait_until("all of them are counted", LIMIT, || {
        lab.drops("icc-off") >= before + FLOOD
    });
    // The next one says how many there were besides.
    lab.wait_until("the rest is told by its number", LIMIT, || {
        say(&app.client, &web);
        let told = events(&follow.stdout());
        told.iter()
            .any(|event| event["untold"].as_u64().unwrap_or(0) > 100)
    });
    for event in events(&follow.stdout()) {
        dropped += 1 + event["untold"].as_u64().expect("a number");
    }
    let told = events(&follow.stdout()).len() as u64;
    assert!(told < FLOOD / 4, "{told} of {FLOOD} events");
    assert!(dropped <= lab.drops("icc-off"), "{dropped}");
}
