//! Fragments that wait, between packet and map. Each call is one or two helpers; which fragment waits
//! where, and for how long, is decided elsewhere.

use aya_ebpf::{
    bindings::{BPF_F_RECOMPUTE_CSUM, BPF_NOEXIST},
    btf_maps::PerCpuArray,
    check_bounds_signed,
    helpers::{bpf_skb_change_tail, bpf_skb_load_bytes, bpf_skb_store_bytes},
    macros::btf_map,
};
use netd_common::{
    DropReason,
    abi::{
        Program,
        fragment::{FragmentKey, Parked},
    },
    limits::MAX_PARKED_OCTETS,
    packet::{Outcome, Work, fragment::parking::Places, view::ETHERNET},
};

use crate::{
    counters,
    ctx::{events, skb::Skb},
    maps::PARKED,
};

/// Scratch memory of program `fragments` alone, so not among the maps that are pinned.
#[btf_map]
static PARKING: PerCpuArray<Parked, 1> = PerCpuArray::new();

/// `PARKED`, and the packet.
pub struct Lot<'a> {
    /// The packet in hand.
    pub skb: &'a Skb<'a>,
    /// The hook's program, for counters.
    pub program: Program,
}

impl Places for Lot<'_> {
    fn since(&mut self, place: u32) -> Option<u64> {
        let parked = PARKED.get_ptr(place)?;
        // SAFETY: the memory stays an entry of this map until the program has ended; any bytes are a
        // valid value. Another fragment's moment in it, where another CPU frees the place just now,
        // is a moment.
        Some(unsafe { (*parked).since })
    }

    fn is_of(&mut self, place: u32, key: &FragmentKey) -> bool {
        match PARKED.get_ptr(place) {
            // SAFETY: as in `since`.
            Some(parked) => unsafe { (*parked).key == *key },
            None => false,
        }
    }

    fn park(&mut self, place: u32, now: u64, work: &Work) -> bool {
        let Some(parked) = PARKING.get_ptr_mut(0) else {
            return false;
        };
        let length = i64::from(work.view.ip.length);
        // In the form that the verifier follows: LLVM would test a copy of the length.
        if !check_bounds_signed(length, 1, MAX_PARKED_OCTETS as i64) {
            return false;
        }
        // SAFETY: a tc program stays on its CPU with softirqs off and `fragments` does not call
        // itself, so nothing else has this slot meanwhile; every bit pattern is a valid `Parked`.
        let parked = unsafe { &mut *parked };
        parked.key = work.fragment;
        parked.network = work.outcome.network;
        parked.endpoint = work.outcome.endpoint;
        parked.since = now;
        parked.length = length as u32;
        parked.is_copy = work.passes;
        // SAFETY: the context is the program's own; there is room for `MAX_PARKED_OCTETS` octets.
        let failed = unsafe {
            bpf_skb_load_bytes(
                self.skb.ctx.skb.skb.cast(),
                ETHERNET as u32,
                parked.bytes.as_mut_ptr().cast(),
                length as u32,
            ) != 0
        };
        let parked: &Parked = parked;
        !failed && PARKED.insert(place, parked, BPF_NOEXIST.into()).is_ok()
    }

    fn free(&mut self, place: u32) -> bool {
        PARKED.remove(place).is_ok()
    }

    fn expire(&mut self, place: u32) {
        let Some(parked) = PARKED.get_ptr(place) else {
            return;
        };
        // SAFETY: as in `since`. Where another CPU frees the place just now, `free` says so.
        let parked = unsafe { &*parked };
        let (network, length, is_copy) = (parked.network, parked.length, parked.is_copy);
        if is_copy != 0 {
            self.free(place);
            return;
        }
        let reason = DropReason::FragmentTimeout;
        if events::tell_parked(self.program, reason, parked, || self.free(place)) {
            let outcome = Outcome {
                network,
                ..Outcome::default()
            };
            counters::dropped(self.program, reason, &outcome, length.into());
        }
    }

    fn release(&mut self, place: u32) {
        // The bytes are the packet's before the place is free, and with it its memory.
        if self.become_parked(place).is_some() && self.free(place) {
            self.again();
        }
    }

    fn again(&mut self) {
        self.skb.copy_into(self.skb.ifindex());
    }
}

impl Lot<'_> {
    /// The packet in hand becomes the parked one. Its Ethernet header stays: that of the first one is
    /// from the same sender.
    fn become_parked(&self, place: u32) -> Option<()> {
        let parked = PARKED.get_ptr(place)?;
        // SAFETY: as in `since`.
        let length = i64::from(unsafe { (*parked).length });
        if !check_bounds_signed(length, 1, MAX_PARKED_OCTETS as i64) {
            return None;
        }
        let skb = self.skb.ctx.skb.skb;
        // SAFETY: the context is the program's own, no pointer into the packet is kept, and there are
        // `MAX_PARKED_OCTETS` octets.
        let failed = unsafe {
            bpf_skb_change_tail(skb, ETHERNET as u32 + length as u32, 0) != 0
                || bpf_skb_store_bytes(
                    skb.cast(),
                    ETHERNET as u32,
                    (*parked).bytes.as_ptr().cast(),
                    length as u32,
                    BPF_F_RECOMPUTE_CSUM.into(),
                ) != 0
        };
        (!failed).then_some(())
    }
}
