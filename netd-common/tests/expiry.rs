//! When a flow is over: what one half tells of it without the other.

use netd_common::{
    abi::flow::{Flow, FlowKey, flow_flags},
    packet::flow::{Timeouts, expired, may_have_expired},
};

const SECOND: u64 = 1_000_000_000;
const NOW: u64 = 100_000 * SECOND;
/// FIN, SYN, RST and ACK, as far as timeouts depend on them.
const FLAGS: [u16; 5] = [0, 0x10, 0x11, 0x14, 0x02];

fn half(idle: u64, tcp_flags: u16, flags: u16) -> Flow {
    Flow {
        last_seen: NOW - idle * SECOND,
        tcp_flags,
        flags,
        ..Flow::default()
    }
}

/// All halves and twins; how many of them are over, and how many are told to be in use by one half.
fn counts(timeouts: &Timeouts) -> (u32, u32) {
    let (mut over, mut spared) = (0, 0);
    for protocol in [1, 6, 17, 58, 132] {
        let key = FlowKey {
            protocol,
            ..FlowKey::default()
        };
        let idle = [0, 2, 11, 31, 61, 181, 211, 9_000];
        for (ours, flags) in idle.iter().flat_map(|idle| FLAGS.map(|f| (*idle, f))) {
            for (theirs, twin_flags) in idle.iter().flat_map(|idle| FLAGS.map(|f| (*idle, f))) {
                for established in [0, flow_flags::ESTABLISHED] {
                    let flow = half(ours, flags, established);
                    let twin = half(theirs, twin_flags, established);
                    let may = may_have_expired(&key, &flow, timeouts, NOW);
                    for twin in [None, Some(&twin)] {
                        let is_over = expired(&key, &flow, twin, timeouts, NOW);
                        assert!(may || !is_over, "{key:?} {flow:?} {twin:?}");
                        over += u32::from(is_over);
                    }
                    spared += u32::from(!may);
                }
            }
        }
    }
    (over, spared)
}

#[test]
fn no_flow_that_is_over_is_told_to_be_in_use() {
    let odd = Timeouts {
        tcp_established: 1,
        tcp_opening: 200,
        tcp_closing: 300,
        ..Timeouts::default()
    };
    for timeouts in [Timeouts::default(), odd] {
        let (over, spared) = counts(&timeouts);
        assert!(
            over > 1_000 && spared > 1_000,
            "{over} over, {spared} spared"
        );
    }
}
