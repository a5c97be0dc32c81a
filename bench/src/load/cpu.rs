//! Which CPU threads run on.

use std::fs;

use anyhow::{Context, Result};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

/// The calling thread, and those that it starts from now on.
pub fn pin(cpu: usize) -> Result<()> {
    pin_task(0, cpu)
}

/// All threads of a process that runs, such as a server between two measurements.
pub fn pin_process(pid: u32, cpu: usize) -> Result<()> {
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        let name = entry?.file_name();
        let task: i32 = name.to_string_lossy().parse().context("a thread's id")?;
        match pin_task(task, cpu) {
            // A connection's thread that ended meanwhile.
            Err(_) if !fs::exists(format!("/proc/{pid}/task/{task}"))? => {}
            result => result?,
        }
    }
    Ok(())
}

fn pin_task(task: i32, cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu).with_context(|| format!("CPU {cpu}"))?;
    sched_setaffinity(Pid::from_raw(task), &set).with_context(|| format!("cannot pin to CPU {cpu}"))
}
