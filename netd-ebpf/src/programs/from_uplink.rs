//! tc ingress of an uplink: replies, published ports, and what is not netd's. For links without
//! Ethernet headers (tun) there is one that gives what is netd's such a header.

use aya_ebpf::{bindings::TC_ACT_UNSPEC, macros::classifier, programs::TcContext};
use netd_common::{
    DropReason,
    abi::{Program, tail_calls},
    packet::{Verdict, Work, from_uplink::decide},
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
    go_on(&skb, verdict, work)
}

#[classifier]
pub fn from_uplink_l3(ctx: TcContext) -> i32 {
    let bare = Skb::<true> { ctx: &ctx };
    let skb = Skb::<false> { ctx: &ctx };
    let Some(work) = work() else {
        return TC_ACT_UNSPEC;
    };
    let verdict = decide(&bare, bare.ifindex(), &mut Maps { skb: &skb }, work);
    if verdict == Verdict::Pass {
        return TC_ACT_UNSPEC;
    }
    match bare.grow() {
        Some(()) => go_on(&skb, verdict, work),
        None => act(
            Program::FromUplink,
            &bare,
            Verdict::Drop(DropReason::WriteFailed),
            work,
        ),
    }
}

#[inline(always)]
fn go_on(skb: &Skb<'_>, verdict: Verdict, work: &mut Work) -> i32 {
    if verdict == Verdict::IcmpError {
        skb.tail_call(&TAIL_CALLS, tail_calls::ICMP);
    }
    if verdict == Verdict::Fragment {
        skb.tail_call(&TAIL_CALLS, tail_calls::FRAGMENTS);
    }
    act(Program::FromUplink, skb, verdict, work)
}
