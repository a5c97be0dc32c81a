//! Verdicts about a made-up record.

use super::*;
use crate::{example, record::Record};

fn verdict(record: &Record, row: &str, against: &str) -> Verdict {
    let judgements = judge(&Cells::of(record));
    let one = judgements
        .iter()
        .find(|judgement| judgement.row == row && judgement.against == against);
    one.expect("such a target").verdict
}

#[test]
fn bounds_are_judged() {
    let record = example::record();
    let of = |row, against| verdict(&record, row, against);
    assert_eq!(of("tcp-rr, same-network", "none"), Verdict::Met);
    assert_eq!(of("tcp-rr, outwards", "nftables"), Verdict::Met);
    assert_eq!(
        of("tcp-crr, published-outside, at 10000", "netd at 1"),
        Verdict::Met
    );
    assert_eq!(
        of("udp-new-flows, published-outside, at 10000", "iptables-nft"),
        Verdict::Met
    );
    assert_eq!(
        of("publish-range, 10 endpoints, at 10000", ""),
        Verdict::Met
    );
    assert_eq!(of("create, at 1000", "netd at 10"), Verdict::Met);
    assert_eq!(of("resident, at 1000", ""), Verdict::Met);
    assert_eq!(of("tcp-stream-4, outwards", "none"), Verdict::NotMeasured);
}

#[test]
fn a_slower_netd_misses() {
    let mut record = example::record();
    for sample in &mut record.samples {
        if sample.mode == JUDGED && sample.row.work == "tcp-rr" {
            sample.value *= 0.5;
        }
    }
    assert_eq!(
        verdict(&record, "tcp-rr, same-network", "none"),
        Verdict::Missed
    );
    assert_eq!(
        verdict(&record, "tcp-crr, same-network", "none"),
        Verdict::Met
    );
}

#[test]
fn a_median_within_its_spread_of_the_bound_is_met() {
    let near = Summary {
        median: 0.98,
        low: 0.95,
        high: 1.01,
        count: 5,
    };
    assert_eq!(Bound::AtLeast(1.0).verdict(near), Verdict::Met);
    assert_eq!(Bound::AtLeast(1.02).verdict(near), Verdict::Missed);
    assert_eq!(Bound::AtMost(0.96).verdict(near), Verdict::Met);
    assert_eq!(Bound::AtMost(0.94).verdict(near), Verdict::Missed);
}
