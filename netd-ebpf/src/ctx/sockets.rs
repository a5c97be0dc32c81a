//! The host's own sockets, as far as a packet could reach them.

use aya_ebpf::{
    bindings::bpf_sock_tuple,
    helpers::{bpf_sk_lookup_udp, bpf_sk_release, bpf_skc_lookup_tcp},
};
use netd_common::{abi::flow::FlowKey, packet::view::protocol};

use crate::ctx::skb::{Skb, words};

/// The namespace of the packet's interface (BPF_F_CURRENT_NETNS).
const OWN_NAMESPACE: u64 = u64::MAX;
/// Octets of `struct bpf_sock_tuple`, by family: that is how the kernel tells them apart.
const OCTETS_V4: u32 = 12;
const OCTETS_V6: u32 = 36;

/// Whether a socket takes packets with this tuple. In TCP one that waits for its end counts, too.
// Not inlined: its stack would stay with the caller.
#[inline(never)]
pub fn takes(skb: &Skb<'_>, key: &FlowKey) -> bool {
    let ([s0, s1], [d0, d1]) = (key.source_port, key.destination_port);
    let ports = u32::from_ne_bytes([s0, s1, d0, d1]);
    // Addresses, then ports, in words; those of IPv4 are one word each.
    let (mut tuple, octets) = if key.source.is_v4() {
        let word = |octets| u32::from_ne_bytes(octets);
        let source = word(key.source.octets_v4());
        let destination = word(key.destination.octets_v4());
        let tuple = [source, destination, ports, 0, 0, 0, 0, 0, 0];
        (tuple, OCTETS_V4)
    } else {
        let [a, b, c, d] = words(&key.source.0);
        let [e, f, g, h] = words(&key.destination.0);
        ([a, b, c, d, e, f, g, h, ports], OCTETS_V6)
    };
    let context = skb.ctx.skb.skb.cast();
    let tuple = (&raw mut tuple).cast::<bpf_sock_tuple>();
    // SAFETY: the context is the program's own, and the tuple has as many octets as the larger of its
    // shapes. What was found is referenced, and given back at once.
    unsafe {
        let socket = if key.protocol == protocol::TCP {
            bpf_skc_lookup_tcp(context, tuple, octets, OWN_NAMESPACE, 0)
        } else {
            bpf_sk_lookup_udp(context, tuple, octets, OWN_NAMESPACE, 0)
        };
        if socket.is_null() {
            return false;
        }
        bpf_sk_release(socket.cast());
    }
    true
}
