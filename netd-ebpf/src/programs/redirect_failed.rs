//! Tracepoint `kfree_skb`: a redirect may fail after the program has ended, since the device is down or
//! gone, or since nobody answers for the next hop. Then the kernel frees the packet, as it frees many
//! others: which it was is told by where in the kernel that happens and by the packet's address.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use netd_common::abi::{drops::DropEvent, freed::FreeingPlaces};

use crate::{
    counters,
    ctx::{events, handover},
    maps::FREEING_PLACES,
};

#[raw_tracepoint(tracepoint = "kfree_skb")]
pub fn redirect_failed(ctx: RawTracePointContext) -> i32 {
    // The first two arguments are the same on all kernels: the packet, and who frees it.
    let (packet, freed_by): (u64, u64) = (ctx.arg(0), ctx.arg(1));
    let Some(places) = FREEING_PLACES.get(0) else {
        return 0;
    };
    let mut event = DropEvent::default();
    let is_ours = (FreeingPlaces::hold(&places.redirect, freed_by)
        && handover::last(packet, &mut event))
        || (FreeingPlaces::hold(&places.neighbour, freed_by)
            && handover::waiting(packet, &mut event));
    if is_ours {
        counters::lost(&event);
        events::tell_lost(&event);
    }
    0
}
