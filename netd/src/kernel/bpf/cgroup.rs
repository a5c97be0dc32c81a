//! Socket programs at the root of cgroup2. Several agents may be attached there at once, one per
//! host namespace: links of cgroups stack, and the programs tell namespaces apart.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use netd_common::abi::Program;

use super::{
    mountinfo,
    pin::{LinkState, replace_link},
    programs::Programs,
};

/// The root cgroup.
pub(super) struct Cgroup {
    path: PathBuf,
    /// The kernel's id of it: the inode number of its directory.
    id: u64,
}

impl Cgroup {
    /// Where cgroup2 is mounted.
    pub(super) fn find() -> anyhow::Result<Cgroup> {
        let mounts = mountinfo::read().context("read /proc/thread-self/mountinfo")?;
        let root = mountinfo::cgroup2_root(&mounts)
            .context("the root of cgroup2 is not mounted (mount -t cgroup2 none DIRECTORY)")?;
        let meta =
            fs::metadata(&root.point).with_context(|| format!("read {}", root.point.display()))?;
        Ok(Cgroup {
            path: root.point.clone(),
            id: meta.ino(),
        })
    }

    /// Makes a link unless there is one, over the old one's pin. That both run for a moment is as good as one:
    /// what the first has rewritten the second does not recognise.
    pub(super) fn attach(
        &self,
        programs: &mut Programs,
        program: Program,
        pin: &Path,
        new: &Path,
    ) -> anyhow::Result<()> {
        let wanted = programs.id(program);
        let in_order = |state: &LinkState| Some(state.program) == wanted && self.is_at(state);
        replace_link(pin, new, in_order, || {
            programs.attach_to_cgroup(program, File::open(&self.path)?)
        })
    }

    /// Whether a link is at this cgroup.
    pub(super) fn is_at(&self, state: &LinkState) -> bool {
        state.kind == "cgroup" && state.cgroup == self.id
    }
}
