//! Bind hooks at the root cgroup2: published ports are held against processes of the host, also
//! while the agent is dead.

use aya_ebpf::{macros::cgroup_sock, programs::SockContext};
use netd_common::packet::{dns::stub::Peer, hold::is_held};

use crate::ctx::bind::Bound;

const REFUSE: i32 = 0;
const ALLOW: i32 = 1;
/// -EADDRINUSE.
const ADDRESS_IN_USE: i32 = -98;

#[cgroup_sock(post_bind4)]
pub fn sock_post_bind4(ctx: SockContext) -> i32 {
    let bound = Bound { ctx: &ctx };
    let address = bound.address_v4();
    decide(bound, &address)
}

#[cgroup_sock(post_bind6)]
pub fn sock_post_bind6(ctx: SockContext) -> i32 {
    let bound = Bound { ctx: &ctx };
    let address = bound.address_v6();
    decide(bound, &address)
}

fn decide(mut bound: Bound<'_>, address: &Peer) -> i32 {
    if !is_held(address, &mut bound) {
        return ALLOW;
    }
    bound.set_error(ADDRESS_IN_USE);
    REFUSE
}
