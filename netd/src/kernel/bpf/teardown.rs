//! `netd down`: detaches and unpins everything, from the pins alone. Needs no object, and no agent
//! that ran with the same ABI.

use std::path::Path;

use super::{
    attach::{Filter, remove_version},
    bpffs,
    error::During,
    open::versions,
};
use crate::kernel::KernelError;

/// Detaches all programs and removes all pins of all ABI versions below netd's directory; unmounts
/// the BPF file system where netd had to mount it and nobody else uses it. That nothing is there
/// is success. Filters of clsact are those of the caller's network namespace.
pub fn unpin_all(bpffs: &Path) -> Result<(), KernelError> {
    let doing = || format!("look for pins in {}", bpffs.display());
    if !bpffs::is_there(bpffs).during(doing)? {
        return Ok(());
    }
    for layout in versions(bpffs)?.into_values() {
        remove_version(&layout, Filter::Any)?;
    }
    bpffs::dismantle(bpffs)
}
