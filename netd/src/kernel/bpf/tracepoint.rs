//! Programs at tracepoints of the kernel. They see what happens in all its namespaces, and several
//! agents' may be attached at once; each counts its own.

use std::{fs, path::Path};

use netd_common::abi::Program;

use super::{
    error::if_file_there,
    pin::{LinkState, Pin, inspect},
    programs::Programs,
};

/// The tracepoint of [`Program::RedirectFailed`]: the kernel frees a packet that was lost.
pub(super) const NAME: &str = "kfree_skb";

/// Makes a link, then lets it take the place of the old one's pin, as at a cgroup: for a moment both run,
/// and the first forgets the packet that it counts.
pub(super) fn attach(
    programs: &mut Programs,
    program: Program,
    pin: &Path,
    new: &Path,
) -> anyhow::Result<()> {
    let wanted = programs.id(program);
    match inspect(pin)? {
        Some(Pin::Link(state)) if Some(state.program) == wanted && is_at(&state) => return Ok(()),
        _ => {}
    }
    let link = programs.attach_to_tracepoint(program, NAME)?;
    if_file_there(fs::remove_file(new))?;
    link.pin(new)?;
    fs::rename(new, pin)?;
    Ok(())
}

/// Whether a link is at the tracepoint.
pub(super) fn is_at(state: &LinkState) -> bool {
    state.kind == "raw_tracepoint"
}
