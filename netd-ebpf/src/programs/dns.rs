//! Tail call of `from_endpoint`: a question to the resolver. Answered on the spot where the map
//! has the name, else sent to the agent's namespace, the destination unchanged.

use aya_ebpf::{
    bindings::{BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR, TC_ACT_SHOT},
    macros::classifier,
    programs::TcContext,
};
use netd_common::{
    abi::endpoint::Endpoint,
    packet::{
        Packet,
        dns::{
            Datagram,
            datagram::{turned_v4, turned_v6},
        },
    },
};

use crate::{
    ctx::exchange::{self, NameMap},
    maps::CONFIG,
};

/// What became of a question.
enum Outcome {
    /// The packet is the answer.
    Answered,
    /// The packet is as it came.
    Agent,
    /// The packet is half written.
    Broken,
}

#[classifier]
pub fn dns(ctx: TcContext) -> i32 {
    let Some((ifindex, endpoint)) = exchange::asker(&ctx) else {
        return TC_ACT_SHOT;
    };
    let outcome = answer(&ctx, &endpoint);
    #[cfg(feature = "log")]
    aya_log_ebpf::trace!(
        &ctx,
        "dns: sandbox {} {}",
        endpoint.sandbox,
        match outcome {
            Outcome::Answered => "answered",
            Outcome::Agent => "asks the agent",
            Outcome::Broken => "dropped",
        }
    );
    match outcome {
        Outcome::Answered => exchange::to_peer(&ctx, ifindex),
        Outcome::Agent => to_resolver(&ctx, &endpoint),
        Outcome::Broken => TC_ACT_SHOT,
    }
}

fn to_resolver(ctx: &TcContext, endpoint: &Endpoint) -> i32 {
    let Some(config) = CONFIG.get(0) else {
        return TC_ACT_SHOT;
    };
    if config.resolver_ifindex == 0
        || exchange::store_macs(ctx, &config.resolver_mac, &endpoint.gateway_mac).is_none()
    {
        return TC_ACT_SHOT;
    }
    exchange::to_peer(ctx, config.resolver_ifindex)
}

fn answer(ctx: &TcContext, endpoint: &Endpoint) -> Outcome {
    let Some((datagram, delta)) = compose(ctx, endpoint) else {
        return Outcome::Agent;
    };
    match write(ctx, endpoint, &datagram, delta) {
        Some(()) => Outcome::Answered,
        None => Outcome::Broken,
    }
}

/// Writes the answer into the scratch memory: where it goes, and the difference between the
/// messages. The packet is only read. (The scratch memory is looked up for each step:
/// see `Exchange`.)
fn compose(ctx: &TcContext, endpoint: &Endpoint) -> Option<(Datagram, u32)> {
    let datagram = Datagram::parse(&Skb(ctx))?;
    exchange::scratch()?.expect(datagram.message_len)?;
    exchange::load(ctx, datagram.message(), exchange::scratch()?)?;
    let question = exchange::minus(exchange::scratch()?)?;
    exchange::scratch()?.read_name()?;
    exchange::scratch()?.read_question()?;
    let scopes = exchange::scopes(endpoint.sandbox)?;
    exchange::scratch()?.answer(scopes, &mut NameMap, exchange::random())?;
    let delta = exchange::plus(exchange::scratch()?, question)?;
    Some((datagram, delta))
}

/// Makes the packet the answer's.
fn write(ctx: &TcContext, endpoint: &Endpoint, datagram: &Datagram, delta: u32) -> Option<()> {
    let exchange = exchange::scratch()?;
    let len = exchange.octets() as usize;
    let turn = datagram.turn(&Skb(ctx), len, delta)?;
    exchange::resize(ctx, turn.len)?;
    exchange::store_macs(ctx, &endpoint.mac, &endpoint.gateway_mac)?;
    if datagram.is_v4 {
        let header = turned_v4(ctx.load(Datagram::IP).ok()?, len);
        ctx.store(Datagram::IP, &header, 0).ok()?;
    } else {
        let header = turned_v6(ctx.load(Datagram::IP).ok()?, len);
        ctx.store(Datagram::IP, &header, 0).ok()?;
    }
    ctx.store(datagram.transport(), &turn.transport, 0).ok()?;
    let checksum = datagram.transport() + Datagram::UDP_CHECKSUM;
    // A checksum of 0 means none and stays so.
    let flags = u64::from(BPF_F_MARK_MANGLED_0);
    ctx.l4_csum_replace(checksum, 0, turn.content_delta.into(), flags)
        .ok()?;
    let pseudo = flags | u64::from(BPF_F_PSEUDO_HDR);
    ctx.l4_csum_replace(checksum, 0, turn.pseudo_delta.into(), pseudo)
        .ok()?;
    exchange::store(ctx, datagram.message(), exchange::scratch()?)
}

struct Skb<'a>(&'a TcContext);

impl Packet for Skb<'_> {
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.0.load(offset).ok()
    }

    fn length(&self) -> usize {
        self.0.len() as usize
    }
}
