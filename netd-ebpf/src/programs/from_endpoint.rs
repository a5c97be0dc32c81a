//! tc ingress of an endpoint's host side, and of the resolver's: what a container sends.

use aya_ebpf::{bindings::TC_ACT_SHOT, macros::classifier, programs::TcContext};
use netd_common::{
    abi::{Program, tail_calls},
    packet::{Verdict, from_endpoint::decide},
};

use crate::{
    ctx::{skb::Skb, work::work},
    maps::TAIL_CALLS,
    tables::Maps,
    verdict::act,
};

#[classifier]
pub fn from_endpoint(ctx: TcContext) -> i32 {
    let skb = Skb { ctx: &ctx };
    let Some(work) = work() else {
        return TC_ACT_SHOT;
    };
    let verdict = decide(&skb, skb.ifindex(), &mut Maps { skb: &skb }, work);
    if verdict == Verdict::Dns {
        skb.tail_call(&TAIL_CALLS, tail_calls::DNS);
    }
    if verdict == Verdict::IcmpError {
        skb.tail_call(&TAIL_CALLS, tail_calls::ICMP);
    }
    if verdict == Verdict::Fragment {
        skb.tail_call(&TAIL_CALLS, tail_calls::FRAGMENTS);
    }
    act(Program::FromEndpoint, &skb, verdict, work)
}
