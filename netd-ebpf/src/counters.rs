//! Counters of endpoints and of drops, per CPU. A counter that is missing is not counted.

use aya_ebpf::bindings::BPF_NOEXIST;
use netd_common::{
    DropReason,
    abi::{
        Program,
        drops::{DropCount, DropEvent, DropKey},
    },
    packet::{Outcome, Verdict},
};

use crate::{
    ctx::counter,
    maps::{DROPS, ENDPOINT_STATS},
};

/// A packet that goes on.
pub fn carried(program: Program, verdict: Verdict, outcome: &Outcome, octets: u64) {
    if matches!(verdict, Verdict::Pass | Verdict::Kept) {
        return;
    }
    match program {
        Program::FromEndpoint => sent(outcome.endpoint, octets),
        Program::ToEndpoint => received(outcome.endpoint, octets),
        _ => {}
    }
    if verdict == Verdict::Peer {
        received(outcome.receiver, octets);
    }
}

/// A packet that ends here.
pub fn dropped(program: Program, reason: DropReason, outcome: &Outcome, octets: u64) {
    let stats = ENDPOINT_STATS.get_ptr_mut(outcome.endpoint);
    counter::update(stats, |stats| match program {
        Program::FromEndpoint | Program::Dns => stats.tx_drops += 1,
        _ => stats.rx_drops += 1,
    });
    count(program, reason as u16, outcome.network, octets);
}

/// A packet that was carried, and that the kernel could not deliver. (Who was to get it keeps its count.)
pub fn lost(event: &DropEvent) {
    let stats = ENDPOINT_STATS.get_ptr_mut(event.endpoint);
    counter::update(stats, |stats| stats.tx_drops += 1);
    let key = DropKey {
        reason: event.reason,
        program: event.program,
        network: event.network,
    };
    add(key, event.octets.into());
}

/// Adds a packet to the counter of a reason.
pub fn count(program: Program, reason: u16, network: u32, octets: u64) {
    let key = DropKey {
        reason,
        program: program as u16,
        network,
    };
    add(key, octets);
}

fn add(key: DropKey, octets: u64) {
    if DROPS.get_ptr(key).is_none() {
        // Another CPU may be faster, and a full table counts no further reasons.
        let _ = DROPS.insert(key, DropCount::default(), BPF_NOEXIST.into());
    }
    counter::update(DROPS.get_ptr_mut(key), |count| {
        count.packets += 1;
        count.bytes += octets;
    });
}

/// A packet of a container goes on.
pub fn sent(endpoint: u32, octets: u64) {
    counter::update(ENDPOINT_STATS.get_ptr_mut(endpoint), |stats| {
        stats.tx_packets += 1;
        stats.tx_bytes += octets;
    });
}

fn received(endpoint: u32, octets: u64) {
    counter::update(ENDPOINT_STATS.get_ptr_mut(endpoint), |stats| {
        stats.rx_packets += 1;
        stats.rx_bytes += octets;
    });
}
