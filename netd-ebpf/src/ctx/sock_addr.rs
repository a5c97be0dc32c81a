//! The far end of a socket as the cgroup socket hooks show it (`struct bpf_sock_addr`). Ports and
//! IPv4 addresses are 32-bit fields whatever their meaning's width: the volatile accesses keep
//! LLVM from narrowing them, which kernels refuse.

use aya_ebpf::{EbpfContext, helpers::bpf_get_netns_cookie, programs::SockAddrContext};
use netd_common::{Addr, abi::name::Resolver, packet::dns::stub::Peer};

use crate::maps::RESOLVERS;

const IPPROTO_TCP: u32 = 6;
const IPPROTO_UDP: u32 = 17;

/// Whether the socket speaks TCP or UDP, as a resolver's clients do.
pub fn is_tcp_or_udp(ctx: &SockAddrContext) -> bool {
    // SAFETY: the kernel passes a valid context; `protocol` may be read as 32 bits.
    let protocol = unsafe { (&raw const (*ctx.sock_addr).protocol).read_volatile() };
    protocol == IPPROTO_TCP || protocol == IPPROTO_UDP
}

/// The far end in a hook of IPv4.
pub fn peer_v4(ctx: &SockAddrContext) -> Peer {
    // SAFETY: the kernel passes a valid context; `user_ip4` may be read in hooks of IPv4.
    let address = unsafe { (&raw const (*ctx.sock_addr).user_ip4).read_volatile() };
    Peer {
        address: Addr::v4(address.to_ne_bytes()),
        port: port(ctx),
    }
}

/// Replaces the far end in a hook of IPv4.
pub fn set_peer_v4(ctx: &SockAddrContext, peer: &Peer) {
    let address = u32::from_ne_bytes(peer.address.octets_v4());
    // SAFETY: the kernel passes a valid context; `user_ip4` may be written in hooks of IPv4.
    unsafe { (&raw mut (*ctx.sock_addr).user_ip4).write_volatile(address) };
    set_port(ctx, peer);
}

/// The far end in a hook of IPv6.
pub fn peer_v6(ctx: &SockAddrContext) -> Peer {
    let mut octets = [0; 16];
    let (words, _) = octets.as_chunks_mut::<4>();
    for (i, word) in words.iter_mut().enumerate() {
        // SAFETY: the kernel passes a valid context; each of the four words of `user_ip6` may be
        // read in hooks of IPv6.
        let value = unsafe { (&raw const (*ctx.sock_addr).user_ip6[i]).read_volatile() };
        *word = value.to_ne_bytes();
    }
    Peer {
        address: Addr(octets),
        port: port(ctx),
    }
}

/// Replaces the far end in a hook of IPv6.
pub fn set_peer_v6(ctx: &SockAddrContext, peer: &Peer) {
    let (words, _) = peer.address.0.as_chunks::<4>();
    for (i, word) in words.iter().enumerate() {
        let value = u32::from_ne_bytes(*word);
        // SAFETY: the kernel passes a valid context; each of the four words of `user_ip6` may be
        // written in hooks of IPv6.
        unsafe { (&raw mut (*ctx.sock_addr).user_ip6[i]).write_volatile(value) };
    }
    set_port(ctx, peer);
}

/// What 127.0.0.11:53 means in the socket's namespace; nothing where that is no sandbox with a
/// resolver.
pub fn resolver(ctx: &SockAddrContext) -> Option<Resolver> {
    // SAFETY: the helper takes the context of a socket address hook.
    let cookie = unsafe { bpf_get_netns_cookie(ctx.as_ptr()) };
    // SAFETY: copied out at once. The agent replaces an entry as a whole, and an element is freed
    // only after a grace period in which this program has ended.
    unsafe { RESOLVERS.get(cookie) }.copied()
}

fn port(ctx: &SockAddrContext) -> [u8; 2] {
    // SAFETY: the kernel passes a valid context; `user_port` may be read as 32 bits.
    let port = unsafe { (&raw const (*ctx.sock_addr).user_port).read_volatile() };
    let [first, second, ..] = port.to_ne_bytes();
    [first, second]
}

fn set_port(ctx: &SockAddrContext, peer: &Peer) {
    let [first, second] = peer.port;
    let port = u32::from_ne_bytes([first, second, 0, 0]);
    // SAFETY: the kernel passes a valid context; `user_port` may be written as 32 bits.
    unsafe { (&raw mut (*ctx.sock_addr).user_port).write_volatile(port) };
}
