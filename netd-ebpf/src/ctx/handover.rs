//! Packets that programs hand to the kernel, remembered until it may have freed them: the last one of
//! each CPU in its working memory, those that wait for their next hop's MAC in `WAITING`.

use aya_ebpf::{
    bindings::BPF_ANY,
    btf_maps::PerCpuArray,
    helpers::{bpf_ktime_get_coarse_ns, bpf_ktime_get_ns},
    macros::btf_map,
};
use netd_common::{
    DropReason,
    abi::{Program, drops::DropEvent},
    limits::WAITING_SECONDS,
    packet::{Verdict, Work, drop_event::fill},
};

use crate::{
    ctx::{skb::Skb, work},
    maps::WAITING,
};

/// Where an entry of `WAITING` is made, the stack being too small; so not among the maps that are pinned.
#[btf_map]
static KEPT: PerCpuArray<DropEvent, 1> = PerCpuArray::new();

const NANOSECONDS: u64 = 1_000_000_000;

/// A redirect is what the program returns.
#[inline(always)]
pub fn note<const BARE: bool>(
    program: Program,
    skb: &Skb<'_, BARE>,
    verdict: Verdict,
    work: &mut Work,
) {
    work.handed_over = skb.address();
    work.handed_by = program as u32;
    if verdict == Verdict::Neighbour && work.outcome.unresolved != 0 {
        keep(program, skb, work);
    }
}

/// The kernel lets the packet wait.
// Not inlined: rare.
#[inline(never)]
fn keep<const BARE: bool>(program: Program, skb: &Skb<'_, BARE>, work: &Work) {
    let Some(event) = KEPT.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: a tc program stays on its CPU with softirqs off, so nothing else has this slot meanwhile;
    // any bytes are a valid value.
    let event = unsafe { &mut *event };
    // Only events have it.
    event.untold = 0;
    // SAFETY: the helper has no argument and cannot fail.
    event.time = unsafe { bpf_ktime_get_coarse_ns() };
    event.ifindex = skb.ifindex();
    event.octets = skb.octets() as u32;
    event.source_port = [0; 2];
    event.destination_port = [0; 2];
    fill(skb, program, DropReason::RedirectFailed, work, event);
    let kept: &DropEvent = event;
    // Without room for it, it is not counted should it be lost.
    let _ = WAITING.insert(skb.address(), kept, BPF_ANY.into());
}

/// Nanoseconds of CLOCK_MONOTONIC. The clock as of the last tick is not for tracepoints.
pub fn now() -> u64 {
    // SAFETY: the helper has no argument and cannot fail.
    unsafe { bpf_ktime_get_ns() }
}

/// What there is to tell of the packet at `address`, if it is the last that a program handed over on this
/// CPU. Asked once: the address will be another packet's.
pub fn last(address: u64, event: &mut DropEvent) -> bool {
    let Some(work) = work::handed_over(address) else {
        return false;
    };
    let Some(program) = Program::from_number(work.handed_by as u16) else {
        return false;
    };
    event.octets = work.view.ip.length;
    if work.outcome.endpoint != 0 {
        event.ifindex = work.source.ifindex;
    }
    let gone: &[u8] = &[];
    fill(&gone, program, DropReason::RedirectFailed, work, event);
    true
}

/// The same, if it waits for a MAC.
pub fn waiting(address: u64, event: &mut DropEvent) -> bool {
    // SAFETY: copied out at once.
    let Some(kept) = (unsafe { WAITING.get(address) }) else {
        return false;
    };
    *event = *kept;
    // It may be gone already: then another had its memory.
    let _ = WAITING.remove(address);
    now().wrapping_sub(event.time) < WAITING_SECONDS * NANOSECONDS
}
