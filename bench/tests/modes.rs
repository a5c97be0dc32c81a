//! Modes have the paths that are measured, and tables hold what they are filled with. Speeds are not
//! looked at.

use std::time::Duration;

use netd_bench::{
    drive::Driven,
    floods::{self, Flood},
    load::FloodKind,
    modes,
    topology::{Path, last_port, ports},
};
use netd_tests::lab::{Namespace, agent_binary};

/// Published ports.
const PORTS: u16 = 3;
/// For packets to arrive, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(30);

fn driven(mode: &str) -> Driven {
    let mode = modes::start(mode, &agent_binary().unwrap(), &ports(PORTS)).unwrap();
    // This program is not the one that has the load generator.
    let program = env!("CARGO_BIN_EXE_netd-bench").to_owned();
    Driven::with(program, mode, last_port(PORTS)).unwrap()
}

/// That of host and loopback is asked for where it is built.
const PATHS: [Path; 4] = [
    Path::SameNetwork,
    Path::PublishedOutside,
    Path::Outwards,
    Path::PublishedNetwork,
];

#[test]
fn every_path_is_there() {
    for mode in ["none", "netd"] {
        let mut driven = driven(mode);
        for path in PATHS {
            driven
                .probe(path)
                .unwrap_or_else(|error| panic!("{path:?}: {error:#}"));
        }
    }
}

#[test]
fn flows_are_held() {
    let mut driven = driven("netd");
    driven.hold(500).unwrap();
    assert!(driven.mode.flows().unwrap() >= 500);
}

#[test]
fn floods_arrive() {
    for mode in ["none", "netd"] {
        let driven = driven(mode);
        let place = driven.mode.place();
        for flood in floods::ALL {
            let (at, counters) = arrivals(&driven, flood);
            let before = count(at, counters);
            let mut running = flood.start(&driven, 2_000).unwrap();
            let what = format!("{mode}: {} arrives", flood.name);
            place
                .lab
                .wait_until(&what, SOON, || count(at, counters) > before + 200);
            assert!(running.rate().unwrap() > 0.0);
        }
    }
}

/// Where the kernel counts the packets of a flood that have come to their end.
fn arrivals(driven: &Driven, flood: Flood) -> (&Namespace, &'static [&'static str]) {
    let place = driven.mode.place();
    match (flood.path, flood.kind) {
        // To nobody's address, in a namespace that forwards nothing.
        (Path::Outwards, _) => (&place.outside, &["IpInAddrErrors", "IpExtInNoRoutes"]),
        (_, FloodKind::Syn) => (&place.a, &["TcpInSegs"]),
        (_, FloodKind::Udp) => (&place.a, &["UdpInDatagrams"]),
        (_, FloodKind::Icmp) => (place.host(), &["IcmpInEchos"]),
    }
}

/// The sum of some of the namespace's counters.
fn count(namespace: &Namespace, counters: &[&str]) -> u64 {
    let text = namespace.ok(&format!("nstat -asz {}", counters.join(" ")));
    let words = text.lines().map(|line| line.split_whitespace().collect());
    words
        .filter(|words: &Vec<&str>| words.first().is_some_and(|name| counters.contains(name)))
        .map(|words| words[1].parse::<u64>().unwrap())
        .sum()
}
