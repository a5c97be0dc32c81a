//! The BPF file system below netd's directory: mounted where there is none, cleaned up after.
//! Never hides files: only an empty directory is mounted over.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};

use super::{
    error::{During, failure, if_file_there},
    mountinfo,
};
use crate::kernel::KernelError;

/// Where systemd and bpftool expect it.
const STANDARD: &str = "/sys/fs/bpf";
/// The mount source: says who mounted it, so that nobody else's mount is ever undone.
const SOURCE: &str = "netd";
/// Iterators that the kernel puts into the root of each bpffs.
const PRELOADED: [&str; 2] = ["maps.debug", "progs.debug"];

/// Makes `directory` a directory of a BPF file system; says where one was mounted for that.
pub(super) fn prepare(directory: &Path) -> Result<Option<PathBuf>, KernelError> {
    let doing = || format!("prepare the BPF file system at {}", directory.display());
    let below = existing(directory);
    if is_bpffs(below).during(doing)? {
        fs::create_dir_all(directory).during(doing)?;
        return Ok(None);
    }
    let point = if directory.starts_with(STANDARD) && Path::new(STANDARD).is_dir() {
        Path::new(STANDARD)
    } else {
        fs::create_dir_all(directory).during(doing)?;
        directory
    };
    if fs::read_dir(point).during(doing)?.next().is_some() {
        let why = format!(
            "{} is not empty and not a BPF file system; give an empty directory, or one in {STANDARD}",
            point.display()
        );
        return Err(failure(doing(), why));
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some(SOURCE), point, Some("bpf"), flags, Some("mode=0700"))
        .during(|| format!("mount a BPF file system at {}", point.display()))?;
    fs::create_dir_all(directory).during(doing)?;
    Ok(Some(point.to_owned()))
}

/// Removes the directory, and the mount around it where netd made it, as far as nothing else is
/// left in them.
pub(super) fn dismantle(directory: &Path) -> Result<(), KernelError> {
    let doing = || format!("clean up {}", directory.display());
    let mounts = mountinfo::read().during(doing)?;
    let ours = |point: &Path| {
        let last = mounts.iter().rfind(|mount| mount.point == point);
        last.is_some_and(|mount| mount.kind == "bpf" && mount.source == SOURCE)
    };
    if !ours(directory) && is_unused(directory).during(doing)? {
        if_file_there(fs::remove_dir(directory)).during(doing)?;
    }
    for point in [directory, Path::new(STANDARD)] {
        if directory.starts_with(point) && ours(point) && is_unused(point).during(doing)? {
            umount2(point, MntFlags::empty())
                .during(|| format!("unmount the BPF file system at {}", point.display()))?;
        }
    }
    Ok(())
}

/// Whether `directory` is there, in a BPF file system.
pub(super) fn is_there(directory: &Path) -> io::Result<bool> {
    Ok(directory.is_dir() && is_bpffs(directory)?)
}

fn is_unused(point: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(point)? {
        let name = entry?.file_name();
        if !PRELOADED.iter().any(|known| name == *known) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_bpffs(path: &Path) -> io::Result<bool> {
    Ok(statfs(path)?.filesystem_type() == BPF_FS_MAGIC)
}

/// The nearest ancestor that exists.
fn existing(path: &Path) -> &Path {
    path.ancestors()
        .find(|ancestor| ancestor.exists())
        .unwrap_or(Path::new("/"))
}
