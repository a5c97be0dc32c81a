//! What netd does not know: asked of upstreams, for those who may.

use std::net::IpAddr;

use netd_tests::lab::{
    Lab,
    addresses::{HOST, OUTSIDE, PUBLIC},
};

use crate::{
    address, app, dig, inside,
    upstream::{BIG, Upstream, WWW},
    write_resolv_conf,
};

/// A change of resolv.conf counts when it was seen twice, a second apart; the rest is a busy
/// machine's.
const REPAIR: std::time::Duration = std::time::Duration::from_secs(15);

fn www() -> String {
    IpAddr::from(WWW).to_string()
}

#[test]
fn other_names_are_asked_of_the_hosts_servers_by_the_host() {
    let (lab, _agent) = app("forward");
    let upstream = Upstream::start(lab.outside(), PUBLIC);
    for (question, name, over_tcp) in [
        ("www.example.test", "www.example.test.", false),
        ("+tcp ftp.example.test", "ftp.example.test.", true),
    ] {
        assert_eq!(dig(&lab, "web", question).answers, [www()], "{question}");
        let asked = upstream.asked();
        assert_eq!(asked.len(), 1, "{asked:?}");
        assert_eq!(asked[0].from.to_string(), HOST);
        assert_eq!(
            (asked[0].name.as_str(), asked[0].over_tcp),
            (name, over_tcp)
        );
    }
    assert_eq!(dig(&lab, "web", "nosuch").status, "NXDOMAIN");
    assert_eq!(dig(&lab, "web", "broken.example.test").status, "SERVFAIL");
    // Too big for a datagram: dig asks again over TCP by itself.
    let big = dig(&lab, "web", "big.example.test");
    assert!(
        big.over_tcp && big.answers.len() == usize::from(BIG),
        "{big:?}"
    );
    // The search list of the host.
    assert!(inside(&lab, "web", "getent hosts www").starts_with(&www()));
    // Of known names nothing gets out, whatever the type.
    upstream.asked();
    for kind in ["A", "AAAA", "MX", "TXT", "HTTPS", "+tcp SOA"] {
        dig(&lab, "web", &format!("db {kind}"));
    }
    assert_eq!(upstream.asked(), []);
}

#[test]
fn dead_servers_are_passed_over_and_all_dead_is_an_error_in_time() {
    let lab = Lab::new("dead");
    // Nobody is at the first, the second has no server, the third is well.
    let _agent = lab.agent(&format!(
        "--dns-upstream 198.18.0.99 --dns-upstream {OUTSIDE} --dns-upstream {PUBLIC}"
    ));
    lab.netd("network create app");
    lab.netd("sandbox create --name web --network app");
    let upstream = Upstream::start(lab.outside(), PUBLIC);
    assert_eq!(dig(&lab, "web", "www.example.test").answers, [www()]);
    assert_eq!(dig(&lab, "web", "+tcp www.example.test").answers, [www()]);
    // dig gives up after 6 s, and has an answer before.
    assert_eq!(dig(&lab, "web", "mute.example.test").status, "SERVFAIL");
    drop(upstream);
    assert_eq!(dig(&lab, "web", "ftp.example.test").status, "SERVFAIL");
    // What is known stays known.
    assert_eq!(dig(&lab, "web", "www.example.test").answers, [www()]);
}

#[test]
fn an_answer_is_kept_for_its_time_and_for_all_who_ask_the_same_servers() {
    let (lab, _agent) = app("kept");
    let upstream = Upstream::start(lab.outside(), PUBLIC);
    let first = dig(&lab, "web", "WWW.example.test");
    assert_eq!((first.answers, first.ttls), (vec![www()], vec![60]));
    for (sandbox, question) in [
        ("web", "www.example.test"),
        ("db", "www.EXAMPLE.test"),
        ("db", "+tcp www.example.test"),
    ] {
        let again = dig(&lab, sandbox, question);
        assert_eq!(again.answers, [www()]);
        assert!(again.ttls[0] <= 60, "{again:?}");
    }
    assert_eq!(upstream.asked().len(), 1);
    // A whole answer is fetched at once where a datagram was cut off, and then known.
    for _ in 0..2 {
        let big = dig(&lab, "web", "big.example.test");
        assert_eq!(big.answers.len(), usize::from(BIG));
    }
    assert_eq!(upstream.asked().len(), 2);
    // An error is not kept, nor is what the zone says nothing about.
    for name in ["broken.example.test", "nosuch.example.test"] {
        for _ in 0..2 {
            dig(&lab, "web", name);
            assert_eq!(upstream.asked().len(), 1, "{name}");
        }
    }
}

#[test]
fn own_servers_are_asked_through_the_sandboxs_own_network() {
    let (lab, _agent) = app("own");
    let db = address(&lab, "db", "app", "IPAddress");
    let outside = Upstream::start(lab.outside(), PUBLIC);
    let inner = Upstream::start(&lab.sandbox("db"), "0.0.0.0");
    lab.netd(&format!(
        "sandbox create --name own --network app --dns {db}"
    ));
    let own = address(&lab, "own", "app", "IPAddress");
    assert_eq!(
        inside(&lab, "own", "grep nameserver /etc/resolv.conf"),
        "nameserver 127.0.0.11"
    );
    for question in ["www.example.test", "+tcp ftp.example.test"] {
        assert_eq!(dig(&lab, "own", question).answers, [www()]);
        let asked = inner.asked();
        assert_eq!(asked.len(), 1, "{asked:?}");
        assert_eq!(asked[0].from.to_string(), own);
    }
    // What its servers say is for nobody else.
    assert_eq!(dig(&lab, "web", "www.example.test").answers, [www()]);
    assert_eq!((inner.asked().len(), outside.asked().len()), (0, 1));
    // Names of the network are netd's all the same.
    assert_eq!(dig(&lab, "own", "db").answers, [db]);
    assert_eq!((inner.asked(), outside.asked()), (vec![], vec![]));
}

#[test]
fn the_default_network_has_the_hosts_servers_and_no_names() {
    let lab = Lab::new("default");
    let _agent = lab.agent("");
    let upstream = Upstream::start(lab.outside(), PUBLIC);
    for name in ["one", "two"] {
        lab.netd(&format!("sandbox create --name {name}"));
    }
    let resolv_conf = inside(&lab, "one", "cat /etc/resolv.conf");
    assert!(
        resolv_conf.contains(&format!("nameserver {PUBLIC}")),
        "{resolv_conf}"
    );
    assert_eq!(dig(&lab, "one", "www.example.test").answers, [www()]);
    assert_eq!(dig(&lab, "one", "two").status, "NXDOMAIN");
    assert_eq!(upstream.asked().len(), 2);
}

#[test]
fn who_may_ask_outside_follows_the_networks() {
    let (lab, _agent) = app("may");
    let _upstream = Upstream::start(lab.outside(), PUBLIC);
    lab.netd("network create --internal inner");
    lab.netd("sandbox create --name shy --network inner");
    let status = || dig(&lab, "shy", "+tcp www.example.test").status;
    assert_eq!(status(), "SERVFAIL");
    lab.netd("network connect app shy");
    assert_eq!(status(), "NOERROR");
    lab.netd("network disconnect app shy");
    assert_eq!(status(), "SERVFAIL");
}

#[test]
fn with_ndots_single_labels_stay_here() {
    let (lab, _agent) = app("ndots");
    let upstream = Upstream::start(lab.outside(), PUBLIC);
    lab.netd(
        "sandbox create --name picky --network app --dns-option ndots:1 --dns-search example.test",
    );
    let empty = dig(&lab, "picky", "nosuch");
    assert_eq!((empty.status.as_str(), empty.answers.len()), ("NOERROR", 0));
    assert_eq!(upstream.asked(), []);
    // The C library goes on with its search list.
    assert!(inside(&lab, "picky", "getent ahosts www").starts_with(&www()));
    assert!(
        upstream
            .asked()
            .iter()
            .all(|asked| asked.name == "www.example.test.")
    );
}

/// A host without name servers: the fallback is in the files of the default network, with a warning,
/// and is who the agent asks.
#[test]
fn without_name_servers_the_fallback_is_asked() {
    let lab = Lab::new("fallback");
    write_resolv_conf(&lab, "search example.test\n");
    let mut agent = lab.agent("");
    let create = |name: &str| {
        let made = lab
            .host()
            .run(&format!("netd sandbox create --name {name}"))
            .expect("netd");
        assert!(made.succeeded(), "{}", made.describe());
        made.stderr
    };
    let warning = create("plain");
    assert!(
        warning.contains("no name server that the sandbox can reach: using 8.8.8.8 and 8.8.4.4"),
        "{warning}"
    );
    let resolv_conf = inside(&lab, "plain", "cat /etc/resolv.conf");
    assert_eq!(
        resolv_conf,
        "nameserver 8.8.8.8\nnameserver 8.8.4.4\nsearch example.test"
    );
    agent.stop();
    drop(agent);
    let upstream = Upstream::start(lab.outside(), PUBLIC);
    let _agent = lab.agent(&format!("--dns-fallback {PUBLIC}"));
    assert!(create("other").contains(PUBLIC));
    lab.netd("network create app");
    lab.netd("sandbox create --name web --network app");
    for sandbox in ["other", "web"] {
        assert_eq!(dig(&lab, sandbox, "www.example.test").answers, [www()]);
        assert_eq!(upstream.asked().len(), 1, "{sandbox}");
    }
}

#[test]
fn a_changed_resolv_conf_is_followed_and_edits_stay() {
    let (lab, _agent) = app("follow");
    lab.netd("sandbox create --name plain");
    let first = Upstream::start(lab.outside(), PUBLIC);
    let second = Upstream::start(lab.outside(), OUTSIDE);
    assert_eq!(dig(&lab, "web", "www.example.test").answers, [www()]);
    assert_eq!((first.asked().len(), second.asked().len()), (1, 0));
    let web = lab.netd_json("sandbox inspect web");
    let path = web[0]["HostsPath"].as_str().expect("a path").to_owned();
    let hosts = lab.world().read(&path).expect("hosts");
    lab.world()
        .write(&path, &format!("{hosts}192.0.2.9\tmine\n"))
        .expect("a file");
    write_resolv_conf(&lab, &format!("search other.test\nnameserver {OUTSIDE}\n"));
    let start = std::time::Instant::now();
    while !inside(&lab, "plain", "cat /etc/resolv.conf").contains(OUTSIDE) {
        assert!(start.elapsed() < REPAIR, "not followed");
    }
    let seen = inside(&lab, "web", "cat /etc/resolv.conf");
    assert_eq!(
        seen,
        "search other.test\nnameserver 127.0.0.11\noptions ndots:0"
    );
    // What the former servers said is not what these say.
    assert_eq!(dig(&lab, "web", "www.example.test").answers, [www()]);
    assert_eq!((first.asked().len(), second.asked().len()), (0, 1));
    // Another address is another line; the user's stays.
    lab.netd("network create more");
    lab.netd("network connect more web");
    let more = address(&lab, "web", "more", "IPAddress");
    let hosts = inside(&lab, "web", "cat /etc/hosts");
    assert!(hosts.contains(&format!("{more}\t")), "{hosts}");
    assert_eq!(
        inside(&lab, "web", "getent hosts mine"),
        "192.0.2.9       mine"
    );
}

#[test]
fn a_loopback_server_of_the_host_is_asked_by_the_host() {
    let (lab, _agent) = app("loopback");
    lab.netd("sandbox create --name plain --dns-search .");
    let stub = Upstream::start(lab.host(), "127.0.0.53");
    let real = Upstream::start(lab.outside(), PUBLIC);
    // systemd-resolved's two files.
    lab.world()
        .write(
            "/run/systemd/resolve/resolv.conf",
            &format!("nameserver {PUBLIC}\n"),
        )
        .expect("a file");
    write_resolv_conf(&lab, "nameserver 127.0.0.53\noptions edns0 trust-ad\n");
    let start = std::time::Instant::now();
    while !inside(&lab, "plain", "cat /etc/resolv.conf").contains("trust-ad") {
        assert!(start.elapsed() < REPAIR, "not followed");
    }
    assert_eq!(dig(&lab, "web", "www.example.test").answers, [www()]);
    assert_eq!((stub.asked().len(), real.asked().len()), (1, 0));
    let seen = inside(&lab, "plain", "cat /etc/resolv.conf");
    assert!(seen.contains(&format!("nameserver {PUBLIC}")), "{seen}");
    assert_eq!(dig(&lab, "plain", "www.example.test").answers, [www()]);
    assert_eq!((stub.asked().len(), real.asked().len()), (0, 1));
}
