//! Socket hooks at the root cgroup2: 127.0.0.11 inside sandboxes.

use aya_ebpf::{macros::cgroup_sock_addr, programs::SockAddrContext};

const ALLOW: i32 = 1;

#[cgroup_sock_addr(connect4)]
pub fn sock_connect4(_ctx: SockAddrContext) -> i32 {
    ALLOW
}

#[cgroup_sock_addr(sendmsg4)]
pub fn sock_sendmsg4(_ctx: SockAddrContext) -> i32 {
    ALLOW
}

#[cgroup_sock_addr(recvmsg4)]
pub fn sock_recvmsg4(_ctx: SockAddrContext) -> i32 {
    ALLOW
}

#[cgroup_sock_addr(getpeername4)]
pub fn sock_getpeer4(_ctx: SockAddrContext) -> i32 {
    ALLOW
}
