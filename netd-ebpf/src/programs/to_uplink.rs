//! tc egress of an uplink: what the host's stack forwards for a container, or sends itself.

use aya_ebpf::{bindings::TC_ACT_UNSPEC, macros::classifier, programs::TcContext};
use netd_common::{abi::Program, packet::to_uplink::decide};

use crate::{
    counters,
    ctx::{skb::Skb, work::work},
    tables::Maps,
    verdict::act,
};

#[classifier]
pub fn to_uplink(ctx: TcContext) -> i32 {
    let skb = Skb { ctx: &ctx };
    let Some(work) = work() else {
        return TC_ACT_UNSPEC;
    };
    let verdict = decide(&skb, skb.is_forwarded(), &mut Maps { skb: &skb }, work);
    if work.outcome.noted != 0 {
        let (reason, network) = (work.outcome.noted as u16, work.outcome.network);
        counters::count(Program::ToUplink, reason, network, skb.octets());
    }
    act(Program::ToUplink, &skb, verdict, work)
}
