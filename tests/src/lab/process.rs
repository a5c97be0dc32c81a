//! Programs in a lab: run to their end within a limit, or kept in the background and ended with the
//! value that holds them.

use std::{
    io::Read,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::patience::patient;

/// How often the end of a process is looked for.
const POLL: Duration = Duration::from_millis(5);
/// How long after a program's end its last output may take to be read, on a machine that is busy.
const DRAINED: Duration = Duration::from_secs(10);

/// A program that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The command line.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Finished {
    /// Exit status 0.
    pub fn succeeded(&self) -> bool {
        self.status.success()
    }

    /// Everything about it, for the message of a failed test.
    pub fn describe(&self) -> String {
        format!(
            "`{}` ended with {}\n--- stdout\n{}\n--- stderr\n{}",
            self.command,
            self.status,
            self.stdout.trim_end(),
            self.stderr.trim_end()
        )
    }
}

/// A program that runs on. Killed when dropped.
pub struct Background {
    command: String,
    child: Child,
    stdout: Stream,
    stderr: Stream,
}

/// What a program wrote so far, read by a thread so that it never blocks on a full pipe.
struct Stream {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Stream {
    fn of(pipe: Option<impl Read + Send + 'static>) -> Stream {
        let text = Arc::new(Mutex::new(Vec::new()));
        let reader = pipe.map(|mut pipe| {
            let text = Arc::clone(&text);
            std::thread::spawn(move || {
                let mut part = [0; 4096];
                while let Ok(read @ 1..) = pipe.read(&mut part) {
                    let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
                    text.extend_from_slice(&part[..read]);
                }
            })
        });
        Stream { text, reader }
    }

    fn so_far(&self) -> String {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Waits for the end of the pipe, but not for a grandchild that holds it open.
    fn finish(&mut self) -> String {
        let deadline = Instant::now() + patient(DRAINED);
        while let Some(reader) = &self.reader {
            if reader.is_finished() || Instant::now() > deadline {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.so_far()
    }
}

impl Background {
    /// Starts the program in the namespaces of the calling thread. The kernel kills it when that
    /// thread ends, so that even a killed test leaves no process.
    pub(super) fn start(words: &[String], environment: &[(String, String)]) -> Result<Background> {
        let shown = words.join(" ");
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .args(words)
            .envs(environment.iter().cloned())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{shown}`"))?;
        let stdout = Stream::of(child.stdout.take());
        let stderr = Stream::of(child.stderr.take());
        Ok(Background {
            command: shown,
            child,
            stdout,
            stderr,
        })
    }

    /// Its process id, which is the program's own: nothing stands in between.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.so_far()
    }

    /// What it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.so_far()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid()).context("pid")?;
        kill(Pid::from_raw(pid), signal)
            .with_context(|| format!("cannot send {signal} to `{}`", self.command))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// If it still runs after `limit`; it is killed then.
    pub fn wait(mut self, limit: Duration) -> Result<Finished> {
        let deadline = Instant::now() + patient(limit);
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Finished {
                    command: self.command.clone(),
                    status,
                    stdout: self.stdout.finish(),
                    stderr: self.stderr.finish(),
                });
            }
            if Instant::now() > deadline {
                bail!(
                    "`{}` still ran after {limit:?}\n--- stdout\n{}\n--- stderr\n{}",
                    self.command,
                    self.stdout.so_far().trim_end(),
                    self.stderr.so_far().trim_end()
                );
            }
            std::thread::sleep(POLL);
        }
    }

    /// Waits until standard output or standard error holds `text`.
    ///
    /// # Errors
    /// If it ended before, or `limit` has passed.
    pub fn wait_for(&mut self, text: &str, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + patient(limit);
        loop {
            let running = self.is_running();
            if self.stdout().contains(text) || self.stderr().contains(text) {
                return Ok(());
            }
            if !running || Instant::now() > deadline {
                bail!(
                    "`{}` did not say `{text}`\n--- stdout\n{}\n--- stderr\n{}",
                    self.command,
                    self.stdout().trim_end(),
                    self.stderr().trim_end()
                );
            }
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
