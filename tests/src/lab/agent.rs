//! `netd run` in a lab's host.

use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::{
    namespace::Namespace,
    patience::patient,
    process::{Background, Finished},
};

/// How long the agent may take to get ready: it loads programs on a machine that may be busy, or
/// emulated (`cargo xtask vm`).
const READY: Duration = Duration::from_secs(120);
/// How long it may take to end.
const END: Duration = Duration::from_secs(10);
/// Lines of its log that a failed test shows.
const SHOWN: usize = 60;

/// A running agent; killed when dropped. When a test panics, the end of its log is printed.
pub struct Agent {
    process: Option<Background>,
    host: Namespace,
    arguments: String,
}

impl Agent {
    /// Starts it and waits until it is ready.
    pub(super) fn start(host: &Namespace, arguments: &str) -> Result<Agent> {
        let mut agent = Agent {
            process: None,
            host: host.clone(),
            arguments: arguments.to_owned(),
        };
        agent.start_again()?;
        Ok(agent)
    }

    /// Starts it with the same arguments after [`Agent::kill`] or [`Agent::stop`].
    pub fn start_again(&mut self) -> Result<()> {
        let process = self.host.spawn(&format!("netd run {}", self.arguments))?;
        let process = self.process.insert(process);
        let wait = format!("netd status --wait {}", patient(READY).as_secs());
        let ready = self.host.run_within(&wait, READY + END)?;
        if !ready.succeeded() || !process.is_running() {
            anyhow::bail!(
                "the agent did not get ready: {}\n--- its log\n{}",
                ready.describe(),
                process.stderr()
            );
        }
        Ok(())
    }

    /// Its process id.
    ///
    /// # Panics
    /// If it was stopped.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.running().pid()
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.process
            .as_ref()
            .map(|process| process.stdout() + &process.stderr())
            .unwrap_or_default()
    }

    /// Whether its programs hang on tcx, not on clsact as before Linux 6.6.
    pub fn has_tcx(&self) -> bool {
        self.log().contains("; tcx")
    }

    /// Kills it at once, as a crash would (SIGKILL), and waits until it is gone.
    #[track_caller]
    pub fn kill(&mut self) {
        self.end(Signal::SIGKILL);
    }

    /// Stops it in order (SIGTERM); how it ended.
    #[track_caller]
    pub fn stop(&mut self) -> Finished {
        self.end(Signal::SIGTERM)
    }

    /// Freezes it: no instruction of it runs until [`Agent::thaw`].
    #[track_caller]
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    #[track_caller]
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Waits until it ends by itself, as after `netd down`.
    pub fn wait(&mut self) -> Result<Finished> {
        self.process
            .take()
            .context("the agent does not run")?
            .wait(END)
    }

    /// Ends it by a signal; how it ended.
    #[track_caller]
    pub fn end(&mut self, signal: Signal) -> Finished {
        self.signal(signal);
        match self.wait() {
            Ok(finished) => finished,
            Err(error) => panic!("{error:#}"),
        }
    }

    #[track_caller]
    fn signal(&self, signal: Signal) {
        if let Err(error) = self.running().signal(signal) {
            panic!("{error:#}");
        }
    }

    #[track_caller]
    fn running(&self) -> &Background {
        match &self.process {
            Some(process) => process,
            None => panic!("the agent does not run"),
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let first = lines.len().saturating_sub(SHOWN);
            eprintln!("--- the agent's log\n{}", lines[first..].join("\n"));
        }
    }
}
