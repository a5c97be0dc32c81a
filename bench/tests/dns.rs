//! The resolvers of section `dns`, each asked for a moment: every answer is checked, none is lost.
//! Needs root, netd's binary and aardvark-dns.

use std::time::Duration;

use netd_bench::{
    dns::{self, Bed},
    sections::dns::{Asker, WORKS},
};
use netd_tests::lab::agent_binary;

const NAMES: u16 = 3;
const MOMENT: Duration = Duration::from_millis(100);

fn answers(bed: &Bed) {
    let mut asker = Asker::new(bed).unwrap();
    for work in WORKS {
        for sample in asker.samples(work, 0, MOMENT).unwrap() {
            assert!(sample.value > 0.0);
            assert_eq!((sample.lost, sample.row.scale), (0, u64::from(NAMES)));
        }
    }
}

#[test]
fn netd() {
    answers(&dns::netd(&agent_binary().unwrap(), NAMES).unwrap());
}

#[test]
fn aardvark_dns() {
    answers(&dns::aardvark(&agent_binary().unwrap(), NAMES).unwrap());
}
