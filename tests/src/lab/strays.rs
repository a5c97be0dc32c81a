//! Ends processes that a test left in its lab. They are known by their namespaces, which are the
//! lab's own, so nothing else on the machine can be hit.

use std::{fs, os::unix::fs::MetadataExt, time::Duration};

use nix::{
    sys::signal::{Signal, kill as send},
    unistd::Pid,
};

/// Rounds over the process table: one that forks meanwhile is caught by the next.
const ROUNDS: u32 = 20;

/// Kills every process whose mount namespace is `mount` or whose network namespace is one of
/// `networks`. Never this process itself.
pub fn kill(mount: u64, networks: &[u64]) {
    for _ in 0..ROUNDS {
        let strays = find(mount, networks);
        if strays.is_empty() {
            return;
        }
        for pid in strays {
            // It may have ended meanwhile.
            let _ = send(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Their process ids. Zombies have no namespaces any more and are not found.
pub fn find(mount: u64, networks: &[u64]) -> Vec<i32> {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid != own)
        .filter(|pid| {
            let inode = |kind: &str| {
                fs::metadata(format!("/proc/{pid}/ns/{kind}"))
                    .map(|data| data.ino())
                    .ok()
            };
            inode("mnt") == Some(mount) || inode("net").is_some_and(|net| networks.contains(&net))
        })
        .collect()
}
