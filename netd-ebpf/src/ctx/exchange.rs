//! A DNS message between packet and scratch memory, and the names map. Each call is one helper;
//! what to load, store or look up is decided elsewhere.

use core::ptr;

use aya_ebpf::{
    btf_maps::PerCpuArray,
    helpers::{bpf_csum_diff, bpf_skb_change_tail, bpf_skb_load_bytes, bpf_skb_store_bytes},
    macros::btf_map,
};
use netd_common::{
    abi::name::{Name, NameKey, Scopes},
    packet::dns::{Exchange, Names},
};

use crate::{
    ctx::skb::Skb,
    maps::{NAMES, SCOPES},
};

/// Scratch memory of program `dns` alone, so not among the maps that are pinned.
#[btf_map]
static EXCHANGE: PerCpuArray<Exchange, 1> = PerCpuArray::new();

/// This CPU's scratch memory.
pub fn scratch() -> Option<&'static mut Exchange> {
    let exchange = EXCHANGE.get_ptr_mut(0)?;
    // SAFETY: a tc program stays on its CPU with softirqs off and `dns` does not call itself, so
    // nothing else has this slot meanwhile; every bit pattern is a valid `Exchange`.
    Some(unsafe { &mut *exchange })
}

/// Copies the message at `offset` of the packet into scratch memory.
pub fn load(skb: &Skb<'_>, offset: usize, exchange: &mut Exchange) -> Option<()> {
    let len = exchange.octets();
    // SAFETY: the message has room for `MAX_DNS_MESSAGE` octets, the most that `octets` tells.
    let result = unsafe {
        bpf_skb_load_bytes(
            skb.ctx.skb.skb.cast(),
            offset as u32,
            exchange.message.as_mut_ptr().cast(),
            len,
        )
    };
    (result == 0).then_some(())
}

/// Copies the message to `offset` of the packet.
pub fn store(skb: &Skb<'_>, offset: usize, exchange: &Exchange) -> Option<()> {
    let len = exchange.octets();
    // SAFETY: the message has `MAX_DNS_MESSAGE` octets, the most that `octets` tells.
    let result = unsafe {
        bpf_skb_store_bytes(
            skb.ctx.skb.skb.cast(),
            offset as u32,
            exchange.message.as_ptr().cast(),
            len,
            0,
        )
    };
    (result == 0).then_some(())
}

/// The one's complement difference that takes the message's octets from a sum.
pub fn minus(exchange: &Exchange) -> Option<u32> {
    let message = exchange.message.as_ptr().cast_mut().cast();
    // Not both messages at once: older kernels take 512 octets in all.
    // SAFETY: the message has `MAX_DNS_MESSAGE` octets, the most that `words` tells; the helper
    // only reads.
    let sum = unsafe { bpf_csum_diff(message, exchange.words(), ptr::null_mut(), 0, 0) };
    u32::try_from(sum).ok()
}

/// The difference `seed`, and the one that adds the message's octets to a sum.
pub fn plus(exchange: &Exchange, seed: u32) -> Option<u32> {
    let message = exchange.message.as_ptr().cast_mut().cast();
    // SAFETY: as in `minus`.
    let sum = unsafe { bpf_csum_diff(ptr::null_mut(), 0, message, exchange.words(), seed) };
    u32::try_from(sum).ok()
}

/// Makes the packet `len` octets long.
pub fn resize(skb: &Skb<'_>, len: u32) -> Option<()> {
    // SAFETY: the context is the program's own; no pointer into the packet is kept.
    let result = unsafe { bpf_skb_change_tail(skb.ctx.skb.skb, len, 0) };
    (result == 0).then_some(())
}

/// Where a sandbox's questions are looked up (`SCOPES`).
pub fn scopes(sandbox: u32) -> Option<&'static Scopes> {
    // SAFETY: the memory stays an entry of this map until the program has ended. Another sandbox's
    // scopes in it, where this one goes away just now, answer a question of a sandbox that ends.
    unsafe { SCOPES.get(sandbox) }
}

/// `NAMES`.
pub struct NameMap;

impl Names for NameMap {
    fn name(&mut self, key: &NameKey) -> Option<&Name> {
        // SAFETY: the memory stays an entry of this map until the program has ended; that it is
        // still the same one, `Exchange::answer` checks.
        unsafe { NAMES.get(key) }
    }
}
