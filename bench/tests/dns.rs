//! The resolvers of section `dns`, each asked for a moment: every answer is checked, none is lost.
//! Needs root, netd's binary and aardvark-dns.

use std::{path::PathBuf, time::Duration};

use netd_bench::{
    dns::{self, Bed},
    sections::dns::{Asker, WORKS},
};

const NAMES: u16 = 3;
const MOMENT: Duration = Duration::from_millis(100);

/// `netd` in the directory above the test's own.
fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("netd")
}

fn answers(bed: &Bed) {
    let mut asker = Asker::new(bed).unwrap();
    for work in WORKS {
        for sample in asker.samples(work, 0, MOMENT).unwrap() {
            eprintln!(
                "{} {work}: {:.0} {:?}, p99 {:?}",
                sample.mode,
                sample.value,
                sample.row.unit,
                sample.latency.as_ref().map(|l| l.p99)
            );
            assert!(sample.value > 0.0);
            assert_eq!((sample.lost, sample.row.scale), (0, u64::from(NAMES)));
        }
    }
}

#[test]
fn netd() {
    answers(&dns::netd(&binary(), NAMES).unwrap());
}

#[test]
fn aardvark_dns() {
    answers(&dns::aardvark(&binary(), NAMES).unwrap());
}
