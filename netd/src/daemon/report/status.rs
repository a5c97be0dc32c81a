//! How the agent is: counts from the state, the rest as the host told it.

use std::path::PathBuf;

use netd_common::abi::ABI_VERSION;

use crate::{
    frontends::api::reports::{
        MapReport, ProgramReport, StatusReport, SysctlReport, VersionReport,
    },
    kernel::MapFill,
    model::HostFacts,
    state::State,
};

/// The API versions that are served.
const API: (u32, u32) = (1, 1);

/// What does not change while the agent runs.
#[derive(Clone, Debug)]
pub struct Process {
    /// Agent, API, kernel.
    pub version: VersionReport,
    /// `tcx` or `clsact`.
    pub hook: String,
    /// `--run-dir`.
    pub run_dir: PathBuf,
    /// `--state-dir`.
    pub state_dir: PathBuf,
    /// `--bpffs`.
    pub bpffs: PathBuf,
}

/// What the host told just now.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Programs at their hooks.
    pub programs: Vec<ProgramReport>,
    /// What netd changed.
    pub sysctls: Vec<SysctlReport>,
}

/// What the agent itself knows.
pub struct Standing<'a> {
    /// The state.
    pub state: &'a State,
    /// The host as last read.
    pub facts: &'a HostFacts,
    /// Seconds since it is ready.
    pub uptime: u64,
}

/// How full maps are.
pub fn maps(fills: &[MapFill]) -> Vec<MapReport> {
    let report = |map: &MapFill| MapReport {
        name: map.name.to_owned(),
        used: map.used,
        capacity: map.capacity,
    };
    fills.iter().map(report).collect()
}

/// The report, but for how full the maps are, which takes long and is not looked at here.
pub fn status(process: &Process, standing: Standing<'_>, host: Host) -> StatusReport {
    let Standing {
        state,
        facts,
        uptime,
    } = standing;
    StatusReport {
        version: process.version.clone(),
        pid: std::process::id(),
        uptime,
        revision: state.revision(),
        hook: process.hook.clone(),
        run_dir: process.run_dir.display().to_string(),
        state_dir: process.state_dir.display().to_string(),
        bpffs: process.bpffs.display().to_string(),
        uplinks: facts.uplinks.keys().map(ToString::to_string).collect(),
        networks: state.networks().count() as u64,
        sandboxes: state.sandboxes().count() as u64,
        endpoints: state.endpoints().count() as u64,
        programs: host.programs,
        maps: Vec::new(),
        sysctls: host.sysctls,
    }
}

/// What is served, on the running kernel.
pub fn version() -> VersionReport {
    let kernel = nix::sys::utsname::uname();
    VersionReport {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api_min: API.0,
        api_max: API.1,
        abi: ABI_VERSION,
        kernel: kernel.map_or_else(
            |_| "unknown".to_owned(),
            |kernel| kernel.release().to_string_lossy().into_owned(),
        ),
    }
}
