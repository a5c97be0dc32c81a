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
        Ok(BPF_FIB_LKUP_RET_SUCCESS | BPF_FIB_LKUP_RET_NO_NEIGH | BPF_FIB_LKUP_RET_FRAG_NEEDED) => {
            // SAFETY: every bit pattern is a valid address; the gateway's where there is one, in
            // whose family `family` now is (IPv4 may go by an IPv6 gateway).
            let next_hop = unsafe { params.__bindgen_anon_4.ipv6_dst };
            Route::Via {
                ifindex: params.ifindex,
                next_hop: address(params.family, &next_hop),
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
            let source = unsafe { params.__bindgen_anon_3.ipv6_src };
            let family = if view.ip.is_v4() { AF_INET } else { AF_INET6 };
            address(family, &source)
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
    let (source, destination, family, class) = if ip.is_v4() {
        let word = |address: &Addr| [u32::from_ne_bytes(address.octets_v4()), 0, 0, 0];
        let [_, class, ..] = *first;
        // In memory order, since the octet stands first in the union.
        let class = u32::from_ne_bytes([class, 0, 0, 0]);
        (word(source), word(&ip.destination), AF_INET, class)
    } else {
        let class = u32::from_ne_bytes(*first) & u32::from_ne_bytes(FLOW_INFO);
        (words(&source.0), words(&ip.destination.0), AF_INET6, class)
    };
    bpf_fib_lookup {
        family,
        l4_protocol: ip.protocol,
        sport: u16::from_ne_bytes(transport.source_port),
        dport: u16::from_ne_bytes(transport.destination_port),
        __bindgen_anon_1: bpf_fib_lookup__bindgen_ty_1 { tot_len: 0 },
        ifindex: bridge,
        __bindgen_anon_2: bpf_fib_lookup__bindgen_ty_2 { flowinfo: class },
        __bindgen_anon_3: bpf_fib_lookup__bindgen_ty_3 { ipv6_src: source },
        __bindgen_anon_4: bpf_fib_lookup__bindgen_ty_4 {
            ipv6_dst: destination,
        },
        __bindgen_anon_5: bpf_fib_lookup__bindgen_ty_5 { tbid: 0 },
        smac: [0; 6],
        dmac: [0; 6],
    }
}

fn address(family: u8, [a, b, c, d]: &[u32; 4]) -> Addr {
    if family == AF_INET {
        return Addr::v4(a.to_ne_bytes());
    }
    let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (a.to_ne_bytes(), b.to_ne_bytes());
    let ([c0, c1, c2, c3], [d0, d1, d2, d3]) = (c.to_ne_bytes(), d.to_ne_bytes());
    Addr::v6([
        a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3,
    ])
}
