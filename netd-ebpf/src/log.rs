//! What became of each packet, in the agent's log (`--log-level trace`). Only in the object with
//! feature `log`: the other has no log call at all.

use aya_log_ebpf::trace;
use netd_common::{
    DropReason,
    abi::Program,
    packet::{Outcome, Verdict},
};

use crate::ctx::skb::Skb;

/// A packet that goes on.
#[inline(never)]
pub fn carried(program: Program, skb: &Skb<'_>, verdict: Verdict, outcome: &Outcome) {
    trace!(
        skb.ctx,
        "program {} network {} endpoint {}: {} to interface {} of endpoint {}, {} octets",
        program as u16,
        outcome.network,
        outcome.endpoint,
        word(verdict),
        outcome.ifindex,
        outcome.receiver,
        skb.octets()
    );
}

/// A packet that ends here.
#[inline(never)]
pub fn dropped(program: Program, skb: &Skb<'_>, reason: DropReason, outcome: &Outcome) {
    trace!(
        skb.ctx,
        "program {} network {} endpoint {}: dropped for reason {}, {} octets",
        program as u16,
        outcome.network,
        outcome.endpoint,
        reason as u16,
        skb.octets()
    );
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Host => "host",
        Verdict::Peer => "peer",
        Verdict::Neighbour => "neighbour",
        Verdict::Answer => "answer",
        Verdict::Dns => "dns",
        Verdict::Drop(_) => "drop",
    }
}
