//! `netd down` and the end of objects: the host is as it was before netd came.

use std::collections::BTreeSet;

use netd_tests::lab::{App, EchoServer, Lab, addresses::*, reaches};

const SYSCTLS: [&str; 6] = [
    "net.ipv4.ip_forward",
    "net.ipv4.conf.all.forwarding",
    "net.ipv4.conf.default.forwarding",
    "net.ipv6.conf.all.forwarding",
    "net.ipv6.conf.all.accept_ra",
    "net.ipv4.ip_local_reserved_ports",
];

/// Everything that netd could leave on a host.
#[derive(Debug, PartialEq, Eq)]
struct Host {
    links: BTreeSet<String>,
    addresses: String,
    routes: String,
    rules: String,
    qdiscs: BTreeSet<String>,
    pins: Vec<String>,
    namespaces: Vec<String>,
    sandboxes: Vec<String>,
    sysctls: Vec<String>,
    mounts: BTreeSet<String>,
}

impl Host {
    fn of(lab: &Lab) -> Host {
        let host = lab.host();
        let lines = |text: String| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
        let sysctl = |name: &str| host.read_sysctl(name).expect("a sysctl");
        Host {
            links: lines(host.ok("ip -o link show")),
            addresses: host.ok("ip -o address show"),
            routes: host.ok("ip route show table all") + &host.ok("ip -6 route show table all"),
            rules: host.ok("ip rule show") + &host.ok("nft list ruleset"),
            qdiscs: lines(host.ok("tc qdisc show")),
            pins: lab.world().list("/sys/fs/bpf/netd"),
            namespaces: lab.world().list("/run/netd/netns"),
            sandboxes: lab.world().list("/run/netd/sandboxes"),
            sysctls: SYSCTLS.map(sysctl).to_vec(),
            mounts: lines(host.ok("findmnt -rn -o TARGET")),
        }
    }
}

/// Numbers of the BPF links that netd has in this lab.
fn bpf_links(lab: &Lab) -> Vec<String> {
    let list = "sh -c 'for pin in /sys/fs/bpf/netd/v1/links/*; do bpftool link show pinned $pin | head -n 1 | cut -d: -f1; done'";
    lab.host().ok(list).lines().map(str::to_owned).collect()
}

#[track_caller]
fn are_gone(lab: &Lab, bpf_links: &[String]) {
    for number in bpf_links {
        let shown = lab.host().run(&format!("bpftool link show id {number}"));
        assert!(
            !shown.expect("bpftool").succeeded(),
            "BPF link {number} is left"
        );
    }
}

#[test]
fn down_undoes_everything() {
    let lab = Lab::new("down");
    let before = Host::of(&lab);
    let mut app = App::in_lab(lab, "", "-p 8080:80 -p 40000:80/udp");
    let numbers = bpf_links(&app.lab);
    assert!(numbers.len() > 4, "{numbers:?}");
    let refused = app.lab.netd_refuses("down");
    assert!(refused.stderr.starts_with("netd: "), "{}", refused.stderr);
    assert!(refused.stderr.contains("-f"), "{}", refused.stderr);
    let said = app.lab.netd("down -f");
    assert!(!said.is_empty(), "down says what it undid");
    let ended = app.agent.wait().expect("the agent ends");
    assert!(ended.succeeded(), "{}", ended.describe());
    assert_eq!(Host::of(&app.lab), before);
    are_gone(&app.lab, &numbers);
}

#[test]
fn down_without_an_agent_undoes_everything() {
    let lab = Lab::new("down-dead");
    let before = Host::of(&lab);
    let mut app = App::in_lab(lab, "", "-p 8080:80");
    let numbers = bpf_links(&app.lab);
    app.agent.kill();
    app.lab.netd("down -f");
    assert_eq!(Host::of(&app.lab), before);
    are_gone(&app.lab, &numbers);
    // Once more is no error.
    app.lab.netd("down -f");
}

#[test]
fn after_down_it_starts_again_with_its_state() {
    let mut app = App::start("down-up");
    let (web, web6) = (
        app.lab.address("web", "app"),
        app.lab.address6("web", "app"),
    );
    app.lab.netd("network create kept");
    app.lab.netd("down -f");
    app.agent.wait().expect("the agent ends");
    app.agent.start_again().expect("the agent");
    app.lab.netd("network inspect kept");
    assert_eq!(app.lab.address("web", "app"), web);
    let (web_again, client) = (app.lab.sandbox("web"), app.lab.sandbox("client"));
    let _server = EchoServer::start(&web_again, 7000);
    reaches(&client, web, 7000);
    reaches(&client, web6, 7000);
    app.lab.netd("down -f --purge");
    app.agent.wait().expect("the agent ends");
    app.agent.start_again().expect("the agent");
    app.lab.netd_refuses("network inspect kept");
}

#[test]
fn what_is_removed_leaves_nothing() {
    let lab = Lab::new("removed");
    let _agent = lab.agent("");
    let before = Host::of(&lab);
    for _ in 0..2 {
        lab.netd("network create --ipv6 app");
        lab.netd("sandbox create --name web --network app -p 8080:80");
        lab.netd_refuses("network rm app");
        lab.netd("sandbox rm -f web");
        lab.netd("network rm app");
    }
    let after = Host::of(&lab);
    assert_eq!(after.links.len(), before.links.len(), "{:#?}", after.links);
    assert_eq!(after, before);
}

#[test]
fn a_removed_sandbox_ends_its_flows_and_names() {
    let app = App::start("removed-flows");
    let _server = EchoServer::start(app.lab.outside(), 7000);
    reaches(&app.web, PUBLIC.parse().expect("an address"), 7000);
    let address = app.lab.address("web", "app").to_string();
    assert!(app.lab.netd("flow ls").contains(&address));
    app.lab.netd("sandbox rm -f web");
    assert!(!app.lab.netd("flow ls").contains(&address));
    let names = app
        .client
        .run("dig @127.0.0.11 +short +tries=1 +time=2 web A");
    assert!(!names.expect("dig").stdout.contains(&address));
}
