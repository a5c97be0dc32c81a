//! What became of each packet, in the agent's log (`--log-level trace`). Only in the object with
//! feature `log`: the other has no log call at all.

use core::net::Ipv6Addr;

use aya_log_ebpf::trace;
use netd_common::{
    DropReason,
    abi::Program,
    packet::{Verdict, Work},
};

use crate::ctx::skb::Skb;

/// A packet that goes on.
#[inline(never)]
pub fn carried<const BARE: bool>(
    program: Program,
    skb: &Skb<'_, BARE>,
    verdict: Verdict,
    work: &Work,
) {
    trace!(
        skb.ctx,
        "program {} network {} endpoint {}: {} to interface {} of endpoint {}",
        program as u16,
        work.outcome.network,
        work.outcome.endpoint,
        word(verdict),
        work.outcome.ifindex,
        work.outcome.receiver,
    );
    tuple(skb, work);
}

/// A packet that ends here.
#[inline(never)]
pub fn dropped<const BARE: bool>(
    program: Program,
    skb: &Skb<'_, BARE>,
    reason: DropReason,
    work: &Work,
) {
    trace!(
        skb.ctx,
        "program {} network {} endpoint {}: dropped for reason {}",
        program as u16,
        work.outcome.network,
        work.outcome.endpoint,
        reason as u16,
    );
    tuple(skb, work);
}

/// The packet as it came, as far as it was read; IPv4 addresses in mapped form.
#[inline(never)]
fn tuple<const BARE: bool>(skb: &Skb<'_, BARE>, work: &Work) {
    let (ip, transport) = (&work.view.ip, &work.view.transport);
    trace!(
        skb.ctx,
        "  {:i} {} to {:i} {}, protocol {}, {} octets",
        Ipv6Addr::from(ip.source.0),
        u16::from_be_bytes(transport.source_port),
        Ipv6Addr::from(ip.destination.0),
        u16::from_be_bytes(transport.destination_port),
        ip.protocol,
        skb.octets()
    );
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Host => "host",
        Verdict::Peer => "peer",
        Verdict::Neighbour => "neighbour",
        Verdict::Flood => "flood",
        Verdict::Answer => "answer",
        Verdict::Dns => "dns",
        Verdict::IcmpError => "icmp",
        Verdict::Fragment => "fragment",
        Verdict::Kept => "kept",
        Verdict::Drop(_) => "drop",
    }
}
