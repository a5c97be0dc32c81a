//! Tail call of `from_endpoint`, whose work it goes on with: a question to the resolver. Answered on
//! the spot where the map has the name, else sent to the agent's namespace, the destination
//! unchanged.

use aya_ebpf::{bindings::TC_ACT_SHOT, macros::classifier, programs::TcContext};
use netd_common::{
    DropReason,
    abi::Program,
    packet::{
        Packet as _, Verdict, Work,
        dns::{
            Datagram,
            datagram::{turned_v4, turned_v6},
            onward::{back, to_resolver},
        },
        view::ETHERNET,
    },
};

use crate::{
    counters,
    ctx::{
        exchange::{self, NameMap},
        skb::Skb,
        work::work,
    },
    tables::Maps,
    verdict::act,
};

#[classifier]
pub fn dns(ctx: TcContext) -> i32 {
    let skb = Skb { ctx: &ctx };
    let Some(work) = work() else {
        return TC_ACT_SHOT;
    };
    // The question's; `act` sees the answer's.
    let octets = skb.octets();
    let verdict = decide(&skb, work);
    let action = act(Program::Dns, &skb, verdict, work);
    if action != TC_ACT_SHOT {
        counters::sent(work.outcome.endpoint, octets);
    }
    action
}

fn decide(skb: &Skb<'_>, work: &mut Work) -> Verdict {
    let Some((datagram, delta)) = compose(skb, work) else {
        return to_resolver(&mut Maps { skb }, work).unwrap_or_else(Verdict::Drop);
    };
    match write(skb, &datagram, delta) {
        Some(()) => back(work),
        None => Verdict::Drop(DropReason::WriteFailed),
    }
}

/// Writes the answer into the scratch memory: where it goes, and the difference between the
/// messages. The packet is only read. (The scratch memory is looked up for each step: see
/// `Exchange`.)
fn compose(skb: &Skb<'_>, work: &Work) -> Option<(Datagram, u32)> {
    let datagram = Datagram::of(&work.view, skb)?;
    exchange::scratch()?.expect(datagram.message_len)?;
    exchange::load(skb, datagram.message(), exchange::scratch()?)?;
    let question = exchange::minus(exchange::scratch()?)?;
    exchange::scratch()?.read_name()?;
    exchange::scratch()?.read_question()?;
    let scopes = exchange::scopes(work.source.sandbox)?;
    let turn = exchange::scratch()?.next_turn();
    exchange::scratch()?.answer(scopes, &mut NameMap, turn)?;
    let delta = exchange::plus(exchange::scratch()?, question)?;
    Some((datagram, delta))
}

/// Makes the packet the answer's, but for its MACs.
fn write(skb: &Skb<'_>, datagram: &Datagram, delta: u32) -> Option<()> {
    let len = exchange::scratch()?.octets() as usize;
    let turn = datagram.turn(skb, len, delta)?;
    exchange::resize(skb, turn.len)?;
    if datagram.is_v4 {
        skb.store(ETHERNET, &turned_v4(skb.read(ETHERNET)?, len))?;
    } else {
        skb.store(ETHERNET, &turned_v6(skb.read(ETHERNET)?, len))?;
    }
    skb.store(datagram.transport(), &turn.transport)?;
    let checksum = datagram.transport() + Datagram::UDP_CHECKSUM;
    skb.checksum(checksum, turn.content_delta, true)?;
    skb.pseudo_checksum(checksum, turn.pseudo_delta, true, datagram.is_v4)?;
    exchange::store(skb, datagram.message(), exchange::scratch()?)
}
