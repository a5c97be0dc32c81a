//! Programs at tracepoints of the kernel. They see what happens in all its namespaces, and several
//! agents' may be attached at once; each counts its own.

use std::path::Path;

use netd_common::abi::Program;

use super::{
    pin::{LinkState, replace_link},
    programs::Programs,
};

/// The tracepoint of [`Program::RedirectFailed`]: the kernel frees a packet that was lost.
pub(super) const NAME: &str = "kfree_skb";

/// Makes a link unless there is one, over the old one's pin. While both run, the first forgets the packet that
/// it counts.
pub(super) fn attach(
    programs: &mut Programs,
    program: Program,
    pin: &Path,
    new: &Path,
) -> anyhow::Result<()> {
    let wanted = programs.id(program);
    let in_order = |state: &LinkState| Some(state.program) == wanted && is_at(state);
    replace_link(pin, new, in_order, || {
        programs.attach_to_tracepoint(program, NAME)
    })
}

/// Whether a link is at the tracepoint.
pub(super) fn is_at(state: &LinkState) -> bool {
    state.kind == "raw_tracepoint"
}
