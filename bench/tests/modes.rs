//! Modes have the paths that are measured, and tables hold what they are filled with. Speeds are not
//! looked at.

use netd_bench::{
    drive::Driven,
    modes,
    topology::{Path, last_port, ports},
};
use netd_tests::lab::agent_binary;

/// Published ports.
const PORTS: u16 = 3;

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
