//! Load and attack: floods from inside and outside beside ordinary traffic, more flows than there are
//! source ports, maps that are full, frames of random octets. What is there goes on, what is new
//! succeeds where there is room, what is dropped is counted, and nothing crashes.

mod floods;
mod frames;
mod full;
mod junk;
mod many;
mod shots;

use std::{net::SocketAddr, time::Duration};

const PORT: u16 = 7000;
/// For what has to happen, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(60);

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().expect("an address"), port)
}

/// Nothing of netd's has panicked.
#[track_caller]
fn is_well(agent: &netd_tests::lab::Agent) {
    let log = agent.log();
    assert!(!log.contains("panicked"), "{log}");
}
