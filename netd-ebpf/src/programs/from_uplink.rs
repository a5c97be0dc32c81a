//! tc ingress of an uplink: replies, published ports, and what is not netd's.

use aya_ebpf::{bindings::TC_ACT_UNSPEC, macros::classifier, programs::TcContext};
use netd_common::{
    abi::{Program, tail_calls},
    packet::{Verdict, from_uplink::decide},
};

use crate::{
    ctx::{skb::Skb, work::work},
    maps::TAIL_CALLS,
    tables::Maps,
    verdict::act,
};

#[classifier]
pub fn from_uplink(ctx: TcContext) -> i32 {
    let skb = Skb { ctx: &ctx };
    let Some(work) = work() else {
        return TC_ACT_UNSPEC;
    };
    let verdict = decide(&skb, skb.ifindex(), &mut Maps { skb: &skb }, work);
    if verdict == Verdict::IcmpError {
        skb.tail_call(&TAIL_CALLS, tail_calls::ICMP);
    }
    if verdict == Verdict::Fragment {
        skb.tail_call(&TAIL_CALLS, tail_calls::FRAGMENTS);
    }
    act(Program::FromUplink, &skb, verdict, work)
}
