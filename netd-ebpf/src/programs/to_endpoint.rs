//! tc egress of an endpoint's host side.

use aya_ebpf::{bindings::TC_ACT_UNSPEC, macros::classifier, programs::TcContext};

#[classifier]
pub fn to_endpoint(_ctx: TcContext) -> i32 {
    TC_ACT_UNSPEC
}
