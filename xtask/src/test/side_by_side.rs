//! Test binaries of a package, some at a time. cargo runs one after the other, and where tests wait as
//! much as they compute, the longest of each binary waits alone.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
    thread,
};

use anyhow::{Context, Result, bail};

use super::Count;
use crate::{built::executables, shell, workspace};

/// What runs side by side.
pub struct Binaries {
    /// A package of the workspace.
    pub package: &'static str,
    /// Its directory below the workspace's.
    pub directory: &'static str,
    /// Names of the binaries that run before the others and one at a time.
    pub alone: &'static [&'static str],
    /// How many of the others run at a time.
    pub at_once: usize,
    /// Tests that each runs at a time.
    pub threads: usize,
}

impl Binaries {
    /// Builds them and runs all, each line behind its binary's name; fails if one does.
    pub fn run(&self) -> Result<Count> {
        let build = ["test", "--no-run", "--package", self.package];
        shell::run(shell::cargo().args(build))?;
        let mut all = executables(&build, "lib")?;
        all.extend(executables(&build, "test")?);
        for name in self.alone {
            if !all.contains_key(*name) {
                bail!("{} has no test binary {name}", self.package);
            }
        }
        let (alone, others): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|(name, _)| self.alone.contains(&name.as_str()));
        let mut end = self.pool(alone, 1)?;
        end.add(self.pool(others, self.at_once)?);
        if !end.failed.is_empty() {
            bail!("failed: {}", end.failed.join(", "));
        }
        if end.count.passed == 0 {
            bail!("{} ran no test", self.package);
        }
        Ok(end.count)
    }

    fn pool(&self, binaries: Vec<(String, PathBuf)>, at_once: usize) -> Result<End> {
        let waiting = Mutex::new(binaries.into_iter());
        let next = || waiting.lock().ok()?.next();
        let work = || -> Result<End> {
            let mut end = End::default();
            while let Some((name, path)) = next() {
                let (count, succeeded) = self.one(&name, &path)?;
                end.count.add(count);
                if !succeeded {
                    end.failed.push(name);
                }
            }
            Ok(end)
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
            let mut end = End::default();
            for worker in workers {
                let done = worker.join();
                end.add(done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            Ok(end)
        })
    }

    /// As cargo would run it.
    fn one(&self, name: &str, path: &Path) -> Result<(Count, bool)> {
        let directory = workspace::root().join(self.directory);
        let mut child = Command::new(path)
            .arg(format!("--test-threads={}", self.threads))
            .current_dir(&directory)
            .env("CARGO_MANIFEST_DIR", &directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", path.display()))?;
        let mut count = Count::default();
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).split(b'\n') {
                let line = line?;
                let line = String::from_utf8_lossy(&line);
                println!("{name} | {line}");
                count.read(&line);
            }
        }
        Ok((count, child.wait()?.success()))
    }
}

/// How binaries ended.
#[derive(Default)]
struct End {
    count: Count,
    failed: Vec<String>,
}

impl End {
    fn add(&mut self, other: End) {
        self.count.add(other.count);
        self.failed.extend(other.failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `true` and `false` end as a binary does whose tests pass or fail; neither has a test.
    #[test]
    fn all_run_and_those_that_fail_are_named() {
        let binaries = Binaries {
            package: "xtask",
            directory: "xtask",
            alone: &[],
            at_once: 2,
            threads: 1,
        };
        let named = [("a", "true"), ("b", "false"), ("c", "true"), ("d", "false")];
        let paths = named.map(|(name, program)| {
            let path = shell::find(program).expect("coreutils");
            (name.to_owned(), path)
        });
        let mut end = binaries.pool(paths.into(), 2).expect("all start");
        end.failed.sort();
        assert_eq!(end.failed, ["b", "d"]);
        assert_eq!(end.count, Count::default());
        let gone = vec![("gone".to_owned(), PathBuf::from("/gone"))];
        assert!(binaries.pool(gone, 1).is_err());
    }
}
