//! What the datapath leaves to the agent's server, and the way there.

use std::time::{Duration, Instant};

use netd_tests::lab::{Lab, addresses::PUBLIC};

use crate::{address, app, dig, inside, upstream::Upstream};

/// Damage that netlink tells of is repaired within 2 s; the rest is a busy machine's.
const REPAIR: Duration = Duration::from_secs(10);

/// A firewall that lets nothing in and nothing through, netd's own interfaces included.
const NOTHING: &str = "table inet filter {
    chain input { type filter hook input priority 0; policy drop; }
    chain forward { type filter hook forward priority 0; policy drop; }
}
";

/// More addresses than an entry of the names map holds.
fn crowd(lab: &Lab) -> Vec<String> {
    let mut addresses: Vec<String> = (0..12)
        .map(|number| {
            let name = format!("member{number}");
            lab.netd(&format!(
                "sandbox create --name {name} --network name=app,alias=crowd"
            ));
            address(lab, &name, "app", "IPAddress")
        })
        .collect();
    addresses.sort();
    addresses
}

#[test]
fn many_addresses_and_tcp_are_the_agents() {
    let (lab, _agent) = app("agent");
    let members = crowd(&lab);
    for question in ["crowd", "+noedns crowd", "+tcp crowd"] {
        let dug = dig(&lab, "web", question);
        assert_eq!(dug.answers, members, "{question}");
        assert_eq!(
            (dug.status.as_str(), dug.flags.as_str()),
            ("NOERROR", "qr rd ra")
        );
        assert_eq!(dug.over_tcp, question.contains("+tcp"));
    }
    // They are rotated.
    let first = || {
        inside(&lab, "web", "dig +short crowd")
            .lines()
            .next()
            .map(str::to_owned)
    };
    let firsts: std::collections::BTreeSet<_> = (0..20).map(|_| first()).collect();
    assert!(firsts.len() > 1, "{firsts:?}");
    let db = address(&lab, "db", "app", "IPAddress");
    assert_eq!(dig(&lab, "web", "+tcp db").answers.concat(), db);
    assert_eq!(
        dig(&lab, "web", &format!("+tcp -x {db}")).answers,
        ["db.app."]
    );
    // Nobody has these addresses, and only netd can know.
    let free = dig(
        &lab,
        "web",
        &format!("-x {}.250", db.rsplit_once('.').expect("an address").0),
    );
    assert_eq!(free.status, "NXDOMAIN");
}

#[test]
fn the_way_to_the_agent_needs_nothing_of_the_host() {
    let (lab, _agent) = app("way");
    let members = crowd(&lab);
    // A server that answers everything on the host, and a firewall that lets nothing in.
    let other = Upstream::start(lab.host(), "0.0.0.0");
    lab.host()
        .ok("dig +time=2 +tries=1 @127.0.0.1 www.example.test");
    assert_eq!(other.asked().len(), 1, "it is alive");
    lab.world()
        .write("/run/rules.nft", NOTHING)
        .expect("a file");
    lab.host().ok("nft -f /run/rules.nft");
    let gateway = address(&lab, "web", "app", "Gateway");
    lab.host()
        .fails(&format!("netd exec web -- ping -c 1 -W 1 {gateway}"));
    for question in ["crowd", "+tcp crowd"] {
        assert_eq!(dig(&lab, "web", question).answers, members, "{question}");
    }
    assert_eq!(other.asked(), []);
}

#[test]
fn an_internal_network_has_names_and_asks_nobody_else() {
    let (lab, _agent) = app("internal");
    let upstream = Upstream::start(lab.outside(), PUBLIC);
    lab.netd("network create --internal inner");
    for name in ["one", "two"] {
        lab.netd(&format!("sandbox create --name {name} --network inner"));
    }
    let two = address(&lab, "two", "inner", "IPAddress");
    assert_eq!(dig(&lab, "one", "two").answers.concat(), two);
    assert_eq!(dig(&lab, "one", "+tcp two").answers.concat(), two);
    for question in ["www.example.test", "+tcp www.example.test", "nosuch"] {
        assert_eq!(dig(&lab, "one", question).status, "SERVFAIL", "{question}");
    }
    assert_eq!(upstream.asked(), []);
}

#[test]
fn hostile_messages_stop_nothing() {
    let (lab, mut agent) = app("hostile");
    let web = lab.sandbox("web");
    let to: std::net::SocketAddr = "127.0.0.11:53".parse().expect("an address");
    let socket = web.udp_bind(([0, 0, 0, 0], 0).into()).expect("a socket");
    let mut bytes = 0x9e37_79b9_u32;
    for length in (0..1400).chain([4096, 16_000]) {
        let message: Vec<u8> = std::iter::repeat_with(|| {
            bytes = bytes.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (bytes >> 24) as u8
        })
        .take(length)
        .collect();
        let _ = socket.send_to(&message, to);
    }
    let db = address(&lab, "db", "app", "IPAddress");
    for question in ["db", "+tcp db"] {
        assert_eq!(dig(&lab, "web", question).answers.concat(), db);
    }
    agent.kill();
    assert!(!agent.log().contains("panicked"), "{}", agent.log());
}

#[test]
fn a_killed_agents_names_stay_and_its_server_comes_back() {
    let (lab, mut agent) = app("killed");
    let members = crowd(&lab);
    let db = address(&lab, "db", "app", "IPAddress");
    let web = lab.sandbox("web");
    agent.kill();
    let ask = |question: &str| {
        web.ok(&format!(
            "dig +time=2 +tries=1 +short @127.0.0.11 {question}"
        ))
    };
    assert_eq!(ask("db"), db);
    agent.start_again().expect("the agent starts again");
    assert_eq!(ask("db"), db);
    assert_eq!(ask("+tcp db"), db);
    assert_eq!(dig(&lab, "web", "crowd").answers, members);
}

#[test]
fn a_deleted_way_to_the_server_is_repaired() {
    let (lab, _agent) = app("repair");
    let members = crowd(&lab);
    assert_eq!(dig(&lab, "web", "+tcp crowd").answers, members);
    lab.host().ok("ip link del netd-dns");
    let start = Instant::now();
    let ask = "netd exec web -- dig +time=1 +tries=1 +short +tcp crowd";
    while lab.host().run(ask).expect("dig").stdout.lines().count() != members.len() {
        assert!(start.elapsed() < REPAIR, "not repaired");
    }
    assert_eq!(dig(&lab, "web", "crowd").answers, members);
}
