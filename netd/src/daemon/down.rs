//! `netd down`: the same steps whether an agent does it or, without one, the command itself, since all
//! that netd made on the host is found by pins and marks.

use std::{fs, io, path::Path};

use super::{
    lock::{Lock, LockError},
    store::{self, StoreError},
};
use crate::{
    frontends::{
        api::{
            ApiError, Code,
            reports::{DownReport, DownRequest},
        },
        config::Config,
    },
    kernel::down,
};

/// Undoes links, programs, pins, namespaces, sysctls and files. Goes on after a failure.
pub fn undo(run_dir: &Path, bpffs: &Path) -> DownReport {
    let undone = down::down(run_dir, bpffs);
    DownReport {
        undone: undone.done,
        failed: undone.failed.iter().map(ToString::to_string).collect(),
    }
}

/// Removes the store; the caller has closed it.
pub fn purge(state_dir: &Path, report: &mut DownReport) {
    let file = store::file(state_dir);
    let doing = format!("remove {}", file.display());
    match fs::remove_file(&file) {
        Ok(()) => report.undone.push(doing),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => report.failed.push(format!("{doing}: {error}")),
    }
}

/// The refusal where sandboxes would lose their network unasked.
pub fn refuse_in_use(sandboxes: usize, request: &DownRequest) -> Result<(), ApiError> {
    if sandboxes == 0 || request.force {
        return Ok(());
    }
    let text = format!("{sandboxes} sandboxes exist, which would lose their network");
    Err(ApiError::new(Code::InUse, text).hint("netd sandbox rm, or netd down -f"))
}

/// Without an agent. The store is only read, to know whether there are sandboxes.
pub fn without_agent(config: &Config, request: &DownRequest) -> Result<DownReport, ApiError> {
    let _lock = Lock::take(&config.run_dir).map_err(|error| {
        let code = match error {
            LockError::Held { .. } => Code::InUse,
            LockError::Io { .. } => Code::HostFailure,
        };
        ApiError::new(code, error.to_string())
    })?;
    if !request.force && store::file(&config.state_dir).exists() {
        let stored = store::Store::open(&config.state_dir);
        let (_, stored) = stored.map_err(|error: StoreError| {
            ApiError::new(Code::StoreFailure, error.to_string())
                .hint("netd down -f goes on without looking into it")
        })?;
        refuse_in_use(stored.sandboxes.len(), request)?;
    }
    let mut report = undo(&config.run_dir, &config.bpffs);
    if request.purge {
        purge(&config.state_dir, &mut report);
    }
    Ok(report)
}
