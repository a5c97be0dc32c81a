//! tc egress of an endpoint's host side: what the host's stack sends to a container.

use aya_ebpf::{bindings::TC_ACT_SHOT, macros::classifier, programs::TcContext};
use netd_common::{abi::Program, packet::to_endpoint::decide};

use crate::{
    ctx::{skb::Skb, work::work},
    tables::Maps,
    verdict::act,
};

#[classifier]
pub fn to_endpoint(ctx: TcContext) -> i32 {
    let skb = Skb { ctx: &ctx };
    let Some(work) = work() else {
        return TC_ACT_SHOT;
    };
    let mut maps = Maps { skb: &skb };
    let verdict = decide(&skb, skb.ifindex(), skb.ingress(), &mut maps, work);
    act(Program::ToEndpoint, &skb, verdict, work)
}
