//! Tail call of `from_endpoint` and `from_uplink`, whose work it goes on with: a fragment that came
//! before the first of its datagram is parked; when that one comes, it and all that wait for it come
//! in once more, in order.

use aya_ebpf::{bindings::TC_ACT_SHOT, macros::classifier, programs::TcContext};
use netd_common::{
    abi::{Program, fragment::arrival},
    packet::fragment::parking::decide,
};

use crate::{
    ctx::{parking::Lot, skb::Skb, work::work},
    tables::Maps,
    verdict::act,
};

#[classifier]
pub fn fragments(ctx: TcContext) -> i32 {
    let skb = Skb { ctx: &ctx };
    let Some(work) = work() else {
        return TC_ACT_SHOT;
    };
    let program = if work.fragment.arrival == arrival::OUTSIDE {
        Program::FromUplink
    } else {
        Program::FromEndpoint
    };
    let mut lot = Lot { skb: &skb, program };
    let verdict = decide(&mut Maps { skb: &skb }, &mut lot, work);
    act(program, &skb, verdict, work)
}
