//! Sandboxes that cannot reach the resolver's namespace: their 127.0.0.11 is a socket of the agent's
//! in their own. They know the same names, and so do others of them.

use std::time::{Duration, Instant};

use netd_tests::lab::{
    Agent, Lab,
    addresses::{HOST, OUTSIDE, PUBLIC},
};

use crate::{
    address, dig, inside,
    upstream::{Upstream, WWW},
};

/// A busy machine may take its time.
const SOON: Duration = Duration::from_secs(40);

/// A lab with the sandboxes `one` and `two` on a network of IPv6 alone.
fn six(name: &str) -> (Lab, Agent) {
    let lab = Lab::new(name);
    let agent = lab.agent("");
    lab.netd("network create --ipv4=false --ipv6 six");
    for sandbox in ["one", "two"] {
        lab.netd(&format!(
            "sandbox create --name {sandbox} --network name=six,alias=both"
        ));
    }
    (lab, agent)
}

#[test]
fn a_network_of_ipv6_alone_has_names() {
    let (lab, mut agent) = six("six");
    let upstream = Upstream::start(lab.outside(), PUBLIC);
    let two = address(&lab, "two", "six", "GlobalIPv6Address");
    assert_eq!(
        inside(&lab, "one", "grep nameserver /etc/resolv.conf"),
        "nameserver 127.0.0.11"
    );
    for question in ["two AAAA", "+tcp two AAAA", "TWO.six AAAA"] {
        assert_eq!(
            dig(&lab, "one", question).answers.concat(),
            two,
            "{question}"
        );
    }
    assert_eq!(dig(&lab, "one", "both AAAA").answers.len(), 2);
    assert_eq!(dig(&lab, "one", "two A").status, "NOERROR");
    assert_eq!(dig(&lab, "one", &format!("-x {two}")).answers, ["two.six."]);
    assert!(inside(&lab, "one", "getent ahosts two").starts_with(&two));
    // Forwarded by the host all the same.
    let www = std::net::Ipv4Addr::from(WWW).to_string();
    assert_eq!(dig(&lab, "one", "www.example.test").answers, [www]);
    let asked = upstream.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].from.to_string(), HOST);
    // In time, both ways.
    lab.netd("sandbox create --name three --network six");
    let three = address(&lab, "three", "six", "GlobalIPv6Address");
    let ask = |name: &str| inside(&lab, "one", &format!("dig +short {name} AAAA"));
    assert_eq!(ask("three"), three);
    assert_eq!(dig(&lab, "three", "one AAAA").answers.len(), 1);
    lab.netd("sandbox rm -f three");
    assert_eq!(ask("three"), "");
    // A new agent finds them again.
    agent.kill();
    agent.start_again().expect("the agent");
    assert_eq!(ask("two"), two);
}

/// Interfaces on a link of the host: no veth of netd's, so no program of its is on the way.
#[test]
fn a_macvlan_network_has_names() {
    let lab = Lab::new("macvlan");
    let agent = lab.agent("");
    let upstream = Upstream::start(lab.outside(), PUBLIC);
    lab.netd(&format!(
        "network create -d macvlan -o parent=eth0 --subnet 198.18.0.0/24 --ip-range 198.18.0.128/27 \
         --gateway {OUTSIDE} lan"
    ));
    lab.netd("network create -d macvlan --internal --subnet 10.77.0.0/24 -o parent=eth0 shut");
    for (name, words) in [
        ("one", "--network name=lan,alias=both"),
        ("two", "--network name=lan,alias=both"),
        ("own", &format!("--network lan --dns {PUBLIC}")),
        ("shy", "--network shut"),
        ("coy", "--network shut"),
    ] {
        lab.netd(&format!("sandbox create --name {name} {words}"));
    }
    let [two, own] = ["two", "own"].map(|name| address(&lab, name, "lan", "IPAddress"));
    for question in ["two", "+tcp two", "TWO.lan"] {
        assert_eq!(
            dig(&lab, "one", question).answers.concat(),
            two,
            "{question}"
        );
    }
    assert_eq!(dig(&lab, "one", "both").answers.len(), 2);
    for kind in ["AAAA", "MX", "TXT", "HTTPS"] {
        let empty = dig(&lab, "one", &format!("two {kind}"));
        assert_eq!((empty.status.as_str(), empty.answers.len()), ("NOERROR", 0));
    }
    assert_eq!(dig(&lab, "one", &format!("-x {two}")).answers, ["two.lan."]);
    assert!(inside(&lab, "one", "getent ahosts two").starts_with(&two));
    assert_eq!(upstream.asked(), []);
    // The host's servers are asked by the host, a sandbox's own by way of its network.
    let www = std::net::Ipv4Addr::from(WWW).to_string();
    for (sandbox, by) in [("one", HOST), ("own", &own)] {
        assert_eq!(dig(&lab, sandbox, "www.example.test").answers.concat(), www);
        let asked = upstream.asked();
        assert_eq!(asked.len(), 1, "{asked:?}");
        assert_eq!(asked[0].from.to_string(), by, "{sandbox}");
    }
    // Internal: its names and no others.
    let coy = address(&lab, "coy", "shut", "IPAddress");
    assert_eq!(dig(&lab, "shy", "coy").answers.concat(), coy);
    assert_eq!(dig(&lab, "shy", "www.example.test").status, "SERVFAIL");
    assert_eq!(upstream.asked(), []);
    // A bridge network besides, and the datapath answers: the agent may stand still.
    lab.netd("network create app");
    lab.netd("network connect app one");
    let one = lab.sandbox("one");
    agent.freeze();
    let frozen = one.ok("dig +time=2 +tries=1 +short @127.0.0.11 two");
    agent.thaw();
    assert_eq!(frozen, two);
}

#[test]
fn names_follow_a_sandbox_from_one_way_to_the_other() {
    let (lab, agent) = six("moves");
    lab.netd("network create app");
    lab.netd("sandbox create --name web --network app");
    let two = address(&lab, "two", "six", "GlobalIPv6Address");
    let web = address(&lab, "web", "app", "IPAddress");
    let short = |question: &str| inside(&lab, "one", &format!("dig +short {question}"));
    assert_eq!(
        (short("two AAAA"), short("web")),
        (two.clone(), String::new())
    );
    lab.netd("network connect app one");
    assert_eq!(
        (short("two AAAA"), short("web")),
        (two.clone(), web.clone())
    );
    // Now the datapath answers.
    let one = lab.sandbox("one");
    agent.freeze();
    let frozen = one.ok("dig +time=2 +tries=1 +short @127.0.0.11 two AAAA");
    agent.thaw();
    assert_eq!(frozen, two);
    lab.netd("network disconnect app one");
    assert_eq!((short("two AAAA"), short("web")), (two, String::new()));
}

/// The agent's sockets would keep somebody else's namespace alive: they let go of it.
#[test]
fn a_namespace_that_its_container_left_ends() {
    let (lab, _agent) = six("left");
    let mut container = lab
        .host()
        .spawn("unshare --net sh -c 'ip link set lo up; echo ready; exec sleep 600'")
        .expect("a container");
    container.wait_for("ready", SOON).expect("it is there");
    let pid = container.pid();
    lab.netd(&format!(
        "sandbox create --name theirs --pid {pid} --network six"
    ));
    let two = address(&lab, "two", "six", "GlobalIPv6Address");
    assert_eq!(inside(&lab, "theirs", "dig +short two AAAA"), two);
    container
        .signal(nix::sys::signal::Signal::SIGKILL)
        .expect("it ends");
    let start = Instant::now();
    while lab.netd("sandbox ls").contains("theirs") {
        assert!(start.elapsed() < SOON, "its sandbox is still there");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(inside(&lab, "one", "dig +short theirs AAAA"), "");
}
