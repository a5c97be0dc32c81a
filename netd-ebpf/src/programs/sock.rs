//! Socket hooks at the root cgroup2. Inside sandboxes: 127.0.0.11, also in its v4-mapped form, which
//! IPv6 sockets use (the JVM's do). On the host: published ports by loopback and the host's own
//! addresses. Sockets of other namespaces are left alone; no call is ever refused.

use aya_ebpf::{macros::cgroup_sock_addr, programs::SockAddrContext};
use netd_common::{
    limits::RESOLVER_PORT,
    packet::{
        dial::{self, Families},
        dns::stub::{self, Peer},
    },
};

use crate::ctx::{
    dial::Socket,
    sock_addr::{is_tcp_or_udp, peer_v4, peer_v6, resolver, set_peer_v4, set_peer_v6},
};

const ALLOW: i32 = 1;

#[cgroup_sock_addr(connect4)]
pub fn sock_connect4(ctx: SockAddrContext) -> i32 {
    forward_v4(&ctx)
}

#[cgroup_sock_addr(sendmsg4)]
pub fn sock_sendmsg4(ctx: SockAddrContext) -> i32 {
    forward_v4(&ctx)
}

#[cgroup_sock_addr(recvmsg4)]
pub fn sock_recvmsg4(ctx: SockAddrContext) -> i32 {
    backward_v4(&ctx)
}

#[cgroup_sock_addr(getpeername4)]
pub fn sock_getpeer4(ctx: SockAddrContext) -> i32 {
    backward_v4(&ctx)
}

#[cgroup_sock_addr(connect6)]
pub fn sock_connect6(ctx: SockAddrContext) -> i32 {
    forward_v6(&ctx, Families::Mapped)
}

/// Never for 127.0.0.11: the kernel runs sendmsg4 for a v4-mapped destination (`udpv6_sendmsg`).
#[cgroup_sock_addr(sendmsg6)]
pub fn sock_sendmsg6(ctx: SockAddrContext) -> i32 {
    forward_v6(&ctx, Families::Same)
}

#[cgroup_sock_addr(recvmsg6)]
pub fn sock_recvmsg6(ctx: SockAddrContext) -> i32 {
    backward_v6(&ctx)
}

#[cgroup_sock_addr(getpeername6)]
pub fn sock_getpeer6(ctx: SockAddrContext) -> i32 {
    backward_v6(&ctx)
}

fn forward_v4(ctx: &SockAddrContext) -> i32 {
    if is_tcp_or_udp(ctx)
        && let Some(peer) = forward::<false>(ctx, &peer_v4(ctx), Families::Same)
    {
        set_peer_v4(ctx, &peer);
    }
    ALLOW
}

fn forward_v6(ctx: &SockAddrContext, families: Families) -> i32 {
    if is_tcp_or_udp(ctx)
        && let Some(peer) = forward::<true>(ctx, &peer_v6(ctx), families)
    {
        set_peer_v6(ctx, &peer);
    }
    ALLOW
}

fn backward_v4(ctx: &SockAddrContext) -> i32 {
    if let Some(peer) = backward::<false>(ctx, &peer_v4(ctx)) {
        set_peer_v4(ctx, &peer);
    }
    ALLOW
}

fn backward_v6(ctx: &SockAddrContext) -> i32 {
    if let Some(peer) = backward::<true>(ctx, &peer_v6(ctx)) {
        set_peer_v6(ctx, &peer);
    }
    ALLOW
}

fn forward<const V6: bool>(
    ctx: &SockAddrContext,
    dialled: &Peer,
    families: Families,
) -> Option<Peer> {
    stub::forward(dialled, || resolver(ctx))
        .or_else(|| dial::forward(dialled, families, &mut Socket::<V6> { ctx }))
}

fn backward<const V6: bool>(ctx: &SockAddrContext, seen: &Peer) -> Option<Peer> {
    stub::backward(seen, RESOLVER_PORT, || resolver(ctx))
        .or_else(|| dial::backward(seen, &mut Socket::<V6> { ctx }))
}
