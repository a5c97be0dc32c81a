//! Socket hooks at the root cgroup2: 127.0.0.11 inside sandboxes, also in its v4-mapped form, which
//! IPv6 sockets use (the JVM's do). Sockets of namespaces without a resolver are left alone; no
//! call is ever refused.

use aya_ebpf::{macros::cgroup_sock_addr, programs::SockAddrContext};
use netd_common::{
    limits::RESOLVER_PORT,
    packet::dns::stub::{backward, forward},
};

use crate::ctx::sock_addr::{is_tcp_or_udp, peer_v4, peer_v6, resolver, set_peer_v4, set_peer_v6};

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
    if is_tcp_or_udp(&ctx)
        && let Some(peer) = forward(&peer_v6(&ctx), || resolver(&ctx))
    {
        set_peer_v6(&ctx, &peer);
    }
    ALLOW
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
        && let Some(peer) = forward(&peer_v4(ctx), || resolver(ctx))
    {
        set_peer_v4(ctx, &peer);
    }
    ALLOW
}

fn backward_v4(ctx: &SockAddrContext) -> i32 {
    if let Some(peer) = backward(&peer_v4(ctx), RESOLVER_PORT, || resolver(ctx)) {
        set_peer_v4(ctx, &peer);
    }
    ALLOW
}

fn backward_v6(ctx: &SockAddrContext) -> i32 {
    if let Some(peer) = backward(&peer_v6(ctx), RESOLVER_PORT, || resolver(ctx)) {
        set_peer_v6(ctx, &peer);
    }
    ALLOW
}
