//! tc egress of an uplink.

use aya_ebpf::{bindings::TC_ACT_UNSPEC, macros::classifier, programs::TcContext};

#[classifier]
pub fn to_uplink(_ctx: TcContext) -> i32 {
    TC_ACT_UNSPEC
}
