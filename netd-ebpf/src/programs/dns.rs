//! Tail call of `from_endpoint`: a question to the resolver.

use aya_ebpf::{bindings::TC_ACT_UNSPEC, macros::classifier, programs::TcContext};

#[classifier]
pub fn dns(_ctx: TcContext) -> i32 {
    TC_ACT_UNSPEC
}
