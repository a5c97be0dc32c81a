//! `netd down` as far as an agent does it; without one `main` does it from pins and marks.

use std::path::PathBuf;

use clap::Args;

use super::{Connection, Failure, Printed};
use crate::frontends::{
    api::reports::{DownReport, DownRequest},
    config::Settings,
};

/// `netd down`.
#[derive(Debug, Args)]
pub struct DownArgs {
    /// Also while sandboxes exist: they have no network until the next start
    #[arg(short, long)]
    pub force: bool,
    /// Remove the state too
    #[arg(long)]
    pub purge: bool,
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Run directory of the agent
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
    /// State directory of the agent
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Directory of the agent's pins
    #[arg(long, value_name = "DIR")]
    bpffs: Option<PathBuf>,
}

impl DownArgs {
    /// The directories as settings, to be laid over the file's.
    pub fn settings(&self) -> Settings {
        Settings {
            run_dir: self.run_dir.clone(),
            state_dir: self.state_dir.clone(),
            bpffs: self.bpffs.clone(),
            ..Settings::default()
        }
    }

    /// Asks the agent at a socket. `None`: there is no agent.
    pub fn ask_agent(&self, socket: PathBuf) -> Option<Result<Printed, Failure>> {
        let request = DownRequest {
            force: self.force,
            purge: self.purge,
        };
        let client = match Connection::at(socket).client() {
            Ok(client) => client,
            Err(failure) => return Some(Err(failure)),
        };
        match client.post::<DownReport>("/down", &request) {
            Err(failure) if failure.no_agent => None,
            Err(failure) => Some(Err(failure)),
            Ok(report) => Some(Ok(show(&report))),
        }
    }
}

/// What was undone, one line each; what was not goes to stderr and makes the exit code 1.
pub fn show(report: &DownReport) -> Printed {
    let mut printed = Printed::default();
    report.undone.iter().for_each(|line| printed.line(line));
    if report.undone.is_empty() && report.failed.is_empty() {
        printed.line("nothing of netd is on this host");
    }
    for failed in &report.failed {
        printed.failure(&Failure::refused(failed));
    }
    printed
}
