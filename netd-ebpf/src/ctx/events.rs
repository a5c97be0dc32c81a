//! Drop events: one record in the ring for a dropped packet, as long as there are few. What is told and
//! how often is decided elsewhere.

use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP, helpers::bpf_ktime_get_coarse_ns, maps::ring_buf::RingBufEntry,
};
use netd_common::{
    DropReason,
    abi::{Program, drops::DropEvent, fragment::Parked},
    packet::{
        Work,
        drop_event::{fill, fill_parked},
    },
};

use crate::{
    ctx::{counter, handover::now, skb::Skb},
    maps::{DROP_EVENTS, EVENT_BUDGETS},
};

/// The reader looks by itself: an interrupt for each event would cost more than the drop.
const NO_WAKEUP: u64 = BPF_RB_NO_WAKEUP as u64;

/// Tells of the packet in hand, whose decision is in `work`.
// Not inlined: a drop is rare, and its stack would stay with the hook.
#[inline(never)]
pub fn tell<const BARE: bool>(
    program: Program,
    reason: DropReason,
    skb: &Skb<'_, BARE>,
    work: &Work,
) {
    let Some(mut entry) = begin(reason, tick()) else {
        return;
    };
    let event = entry_of(&mut entry);
    event.ifindex = skb.ifindex();
    event.octets = skb.octets() as u32;
    fill(skb, program, reason, work, event);
    entry.submit(NO_WAKEUP);
}

/// Tells of a parked fragment, if it is still there when `free` has been asked; whether it was.
pub fn tell_parked(
    program: Program,
    reason: DropReason,
    parked: &Parked,
    free: impl FnOnce() -> bool,
) -> bool {
    let Some(mut entry) = begin(reason, tick()) else {
        return free();
    };
    let event = entry_of(&mut entry);
    fill_parked(program, reason, parked, event);
    let was_there = free();
    if was_there {
        entry.submit(NO_WAKEUP);
    } else {
        entry.discard(NO_WAKEUP);
    }
    was_there
}

/// Tells of a packet that the kernel freed after a program had handed it over.
pub fn tell_lost(lost: &DropEvent) {
    let Some(mut entry) = begin(DropReason::RedirectFailed, now()) else {
        return;
    };
    let event = entry_of(&mut entry);
    *event = DropEvent {
        time: event.time,
        untold: event.untold,
        ..*lost
    };
    entry.submit(NO_WAKEUP);
}

/// A record, zeroed but for its moment and what it stands for, if there may be one more.
#[inline(always)]
fn begin(reason: DropReason, now: u64) -> Option<RingBufEntry<DropEvent>> {
    let budget = EVENT_BUDGETS.get_ptr_mut(reason as u32);
    let mut may = false;
    counter::update(budget, |budget| may = budget.take(now));
    if !may {
        return None;
    }
    let Some(mut entry) = DROP_EVENTS.reserve(0) else {
        counter::update(budget, |budget| budget.lose());
        return None;
    };
    let event = entry.write(DropEvent::default());
    event.time = now;
    counter::update(budget, |budget| event.untold = budget.take_untold());
    Some(entry)
}

/// Nanoseconds of CLOCK_MONOTONIC, as of the last tick.
fn tick() -> u64 {
    // SAFETY: the helper has no argument and cannot fail.
    unsafe { bpf_ktime_get_coarse_ns() }
}

fn entry_of(entry: &mut RingBufEntry<DropEvent>) -> &mut DropEvent {
    // SAFETY: `begin` has written it.
    unsafe { entry.assume_init_mut() }
}
