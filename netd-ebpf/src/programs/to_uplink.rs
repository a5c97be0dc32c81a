//! tc egress of an uplink: what the host's stack forwards for a container, or sends itself.

use aya_ebpf::{bindings::TC_ACT_UNSPEC, macros::classifier, programs::TcContext};
use netd_common::{DropReason, abi::Program, packet::to_uplink::decide};

use crate::{
    counters,
    ctx::{events, skb::Skb, work::work},
    tables::Maps,
    verdict::act,
};

#[classifier]
pub fn to_uplink(ctx: TcContext) -> i32 {
    carry::<false>(&ctx)
}

/// At links without Ethernet headers.
#[classifier]
pub fn to_uplink_l3(ctx: TcContext) -> i32 {
    carry::<true>(&ctx)
}

#[inline(always)]
fn carry<const BARE: bool>(ctx: &TcContext) -> i32 {
    let packet = Skb::<BARE> { ctx };
    let skb = Skb::<false> { ctx };
    let Some(work) = work() else {
        return TC_ACT_UNSPEC;
    };
    let verdict = decide(&packet, skb.is_forwarded(), &mut Maps { skb: &skb }, work);
    if let Some(reason) = DropReason::from_number(work.outcome.noted as u16) {
        let network = work.outcome.network;
        counters::count(Program::ToUplink, reason as u16, network, packet.octets());
        events::tell(Program::ToUplink, reason, &packet, work);
    }
    act(Program::ToUplink, &packet, verdict, work)
}
