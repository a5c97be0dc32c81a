//! Who runs on which core. Pinning is what makes figures of one run comparable.

use std::fs;

use anyhow::{Context, Result};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

/// Where clients run, and servers when both share a core.
pub const FIRST: usize = 0;

/// Another core, for whoever is not to share the first; the same one where there is no other.
pub fn second() -> usize {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    (FIRST + 1).min(count - 1)
}

/// Pins the calling thread.
pub fn pin_thread(core: usize) -> Result<()> {
    pin(Pid::from_raw(0), core)
}

/// Pins every thread of a process; threads that it starts later follow those that start them.
pub fn pin_process(pid: u32, core: usize) -> Result<()> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .with_context(|| format!("process {pid} is gone"))?;
    for task in tasks {
        let name = task?.file_name();
        let thread: i32 = name.to_string_lossy().parse()?;
        pin(Pid::from_raw(thread), core)?;
    }
    Ok(())
}

fn pin(thread: Pid, core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    sched_setaffinity(thread, &set).with_context(|| format!("cannot pin {thread} to core {core}"))
}
