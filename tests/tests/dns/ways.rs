//! Sandboxes that cannot reach the resolver's namespace: their 127.0.0.11 is a socket of the agent's
//! in their own. They know the same names, and so do others of them.

use std::time::{Duration, Instant};

use netd_tests::lab::{
    Agent, Lab,
    addresses::{HOST, PUBLIC},
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
