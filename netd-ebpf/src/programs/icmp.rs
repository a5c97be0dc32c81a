//! Tail call of `from_endpoint` and `from_uplink`, whose work it goes on with: an ICMP error about a
//! flow, or a packet whose sender is to be told why it is not carried. Counted as theirs.

use aya_ebpf::{bindings::TC_ACT_SHOT, macros::classifier, programs::TcContext};
use netd_common::{
    DropReason,
    abi::Program,
    packet::{Verdict, icmp_error::decide},
};

use crate::{
    ctx::{quote, skb::Skb, work::work},
    tables::Maps,
    verdict::{act, answer_refused},
};

#[classifier]
pub fn icmp(ctx: TcContext) -> i32 {
    let skb = Skb { ctx: &ctx };
    let Some(work) = work() else {
        return TC_ACT_SHOT;
    };
    let program = if work.quote.zone == 0 {
        Program::FromUplink
    } else {
        Program::FromEndpoint
    };
    match decide(&skb, &mut Maps { skb: &skb }, work) {
        Verdict::Answer => answer_refused(program, &skb, work),
        Verdict::Drop(reason) => act(program, &skb, Verdict::Drop(reason), work),
        verdict => match quote::turn_back(&skb, work) {
            Some(()) => act(program, &skb, verdict, work),
            None => act(program, &skb, Verdict::Drop(DropReason::WriteFailed), work),
        },
    }
}
