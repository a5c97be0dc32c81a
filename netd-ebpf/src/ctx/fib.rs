//! The host's routes (`bpf_fib_lookup`), asked as if the packet came from the bridge: with the
//! veth's or the uplink's index the kernel says that forwarding is disabled there.

use aya_ebpf::{
    bindings::{
        BPF_FIB_LKUP_RET_BLACKHOLE, BPF_FIB_LKUP_RET_FRAG_NEEDED, BPF_FIB_LKUP_RET_NO_NEIGH,
        BPF_FIB_LKUP_RET_PROHIBIT, BPF_FIB_LKUP_RET_SUCCESS, BPF_FIB_LKUP_RET_UNREACHABLE,
        BPF_FIB_LOOKUP_SRC, bpf_fib_lookup, bpf_fib_lookup__bindgen_ty_1,
        bpf_fib_lookup__bindgen_ty_2, bpf_fib_lookup__bindgen_ty_3, bpf_fib_lookup__bindgen_ty_4,
        bpf_fib_lookup__bindgen_ty_5,
    },
    helpers::bpf_fib_lookup as fib_lookup,
};
use netd_common::{
    Addr,
    packet::{tables::Route, view::View},
};

use crate::ctx::skb::{AF_INET, AF_INET6, Skb, words};

/// The part of an IPv6 header's first word that is traffic class and flow label.
const FLOW_INFO: [u8; 4] = [0x0f, 0xff, 0xff, 0xff];

/// Where a packet goes that comes by `bridge`.
#[inline(never)]
pub fn route(skb: &Skb<'_>, bridge: u32, source: &Addr, view: &View) -> Route {
    let mut params = params(bridge, source, view);
    match u32::try_from(ask(skb, &mut params, 0)) {
        // Size is another question: `too_big`.
        Ok(
            said @ (BPF_FIB_LKUP_RET_SUCCESS
            | BPF_FIB_LKUP_RET_NO_NEIGH
            | BPF_FIB_LKUP_RET_FRAG_NEEDED),
        ) => {
            // SAFETY: every bit pattern is a valid address; the gateway's where there is one, in
            // whose family `family` now is (IPv4 may go by an IPv6 gateway).
            let next_hop = unsafe { octets(&params.__bindgen_anon_4.ipv6_dst) };
            Route::Via {
                ifindex: params.ifindex,
                next_hop: address(params.family, next_hop),
                resolved: said != BPF_FIB_LKUP_RET_NO_NEIGH,
            }
        }
        Ok(
            BPF_FIB_LKUP_RET_BLACKHOLE | BPF_FIB_LKUP_RET_UNREACHABLE | BPF_FIB_LKUP_RET_PROHIBIT,
        ) => Route::Prohibited,
        _ => Route::None,
    }
}

/// What the host would send from by that route; none where the kernel does not tell, as those
/// before 6.8 do not.
#[inline(never)]
pub fn preferred_source(skb: &Skb<'_>, bridge: u32, view: &View) -> Addr {
    let mut params = params(bridge, &view.ip.source, view);
    match u32::try_from(ask(skb, &mut params, BPF_FIB_LOOKUP_SRC)) {
        Ok(BPF_FIB_LKUP_RET_SUCCESS | BPF_FIB_LKUP_RET_NO_NEIGH | BPF_FIB_LKUP_RET_FRAG_NEEDED) => {
            // SAFETY: every bit pattern is a valid address, in the family of the question.
            let source = unsafe { octets(&params.__bindgen_anon_3.ipv6_src) };
            let family = if view.ip.is_v4() { AF_INET } else { AF_INET6 };
            address(family, source)
        }
        _ => Addr::NONE,
    }
}

fn ask(skb: &Skb<'_>, params: &mut bpf_fib_lookup, flags: u32) -> i64 {
    // SAFETY: the context is the program's own; the kernel reads and writes our structure.
    unsafe {
        fib_lookup(
            skb.ctx.skb.skb.cast(),
            params,
            size_of::<bpf_fib_lookup>() as i32,
            flags,
        )
    }
}

/// The question. What has no ports has an identifier in their place, or zeroes; rules that ask for
/// ports ask for the protocol, too.
fn params(bridge: u32, source: &Addr, view: &View) -> bpf_fib_lookup {
    let (ip, transport) = (&view.ip, &view.transport);
    let [first, ..] = view.frame.words();
    // Filled where it stands: on kernels before 6.8 frames count in steps of 32 octets, 512 in all.
    let mut params = bpf_fib_lookup {
        family: AF_INET,
        l4_protocol: ip.protocol,
        sport: u16::from_ne_bytes(transport.source_port),
        dport: u16::from_ne_bytes(transport.destination_port),
        __bindgen_anon_1: bpf_fib_lookup__bindgen_ty_1 { tot_len: 0 },
        ifindex: bridge,
        __bindgen_anon_2: bpf_fib_lookup__bindgen_ty_2 { flowinfo: 0 },
        __bindgen_anon_3: bpf_fib_lookup__bindgen_ty_3 { ipv6_src: [0; 4] },
        __bindgen_anon_4: bpf_fib_lookup__bindgen_ty_4 { ipv6_dst: [0; 4] },
        __bindgen_anon_5: bpf_fib_lookup__bindgen_ty_5 { tbid: 0 },
        smac: [0; 6],
        dmac: [0; 6],
    };
    if ip.is_v4() {
        let [_, class, ..] = *first;
        // In memory order, since the octet stands first in the union.
        params.__bindgen_anon_2.flowinfo = u32::from_ne_bytes([class, 0, 0, 0]);
        params.__bindgen_anon_3.ipv4_src = u32::from_ne_bytes(source.octets_v4());
        params.__bindgen_anon_4.ipv4_dst = u32::from_ne_bytes(ip.destination.octets_v4());
    } else {
        params.family = AF_INET6;
        params.__bindgen_anon_2.flowinfo =
            u32::from_ne_bytes(*first) & u32::from_ne_bytes(FLOW_INFO);
        params.__bindgen_anon_3.ipv6_src = words(&source.0);
        params.__bindgen_anon_4.ipv6_dst = words(&ip.destination.0);
    }
    params
}

fn address(family: u8, octets: &[u8; 16]) -> Addr {
    if family == AF_INET {
        let [a, b, c, d, ..] = *octets;
        return Addr::v4([a, b, c, d]);
    }
    Addr::v6(*octets)
}

/// The same as octets, so that they are copied one by one: taken out of words, they would all be on
/// the stack at a time.
fn octets(words: &[u32; 4]) -> &[u8; 16] {
    // SAFETY: they are as long, and octets may stand anywhere and have any value.
    unsafe { &*core::ptr::from_ref(words).cast() }
}
