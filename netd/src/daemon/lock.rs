//! One agent per run directory: a lock that ends with the process, however it ends.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

/// Held while it lives.
pub struct Lock(#[expect(dead_code, reason = "held, not read")] Flock<File>);

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("another agent runs in {}{}", run_dir.display(), pid_text(.pid))]
    Held {
        /// The run directory.
        run_dir: PathBuf,
        /// Who holds it, if it is known.
        pid: Option<u32>,
    },
    /// The directory or file cannot be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn pid_text(pid: &Option<u32>) -> String {
    pid.map_or(String::new(), |pid| format!(" (pid {pid})"))
}

impl Lock {
    /// Takes the lock of a run directory, making the directory where it is missing.
    pub fn take(run_dir: &Path) -> Result<Lock, LockError> {
        let path = run_dir.join("netd.pid");
        let failed = |source: io::Error| LockError::Io {
            path: path.clone(),
            source,
        };
        fs::create_dir_all(run_dir).map_err(failed)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        let mut lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(
            |(_, errno)| match errno {
                Errno::EWOULDBLOCK => LockError::Held {
                    run_dir: run_dir.to_owned(),
                    pid: read_pid(&path),
                },
                errno => failed(errno.into()),
            },
        )?;
        lock.set_len(0).map_err(failed)?;
        writeln!(lock, "{}", std::process::id()).map_err(failed)?;
        Ok(Lock(lock))
    }

    /// Waits until the process that holds the lock has ended, at most `limit`: its last words come
    /// a moment before its end.
    pub fn wait_until_free(run_dir: &Path, limit: Duration) {
        const LOOK_EVERY: Duration = Duration::from_millis(10);
        let begin = Instant::now();
        while begin.elapsed() < limit && matches!(Lock::take(run_dir), Err(LockError::Held { .. }))
        {
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

fn read_pid(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Lock, LockError};

    #[test]
    fn the_second_is_told_who_has_it() {
        let name = format!("netd-lock-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let first = Lock::take(&directory).unwrap();
        let second = Lock::take(&directory).map(|_| ()).unwrap_err();
        let LockError::Held { pid, .. } = &second else {
            panic!("{second}");
        };
        assert_eq!(*pid, Some(std::process::id()));
        drop(first);
        drop(Lock::take(&directory).unwrap());
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
