//! Traffic to a published port, by how many are published. What is dialled is the last one, since
//! lists of rules are walked from their beginning.

use anyhow::Result;

use super::stands::{Wanted, take_turns};
use crate::{
    drive::Job,
    modes,
    plan::Plan,
    record::{Cores, Group},
    recorder::Recorder,
    topology::Path,
};

/// Works of this section, dialled from outside: new flows, for which ports are looked up, and flows
/// that exist.
pub const WORKS: [&str; 6] = [
    "tcp-crr",
    "udp-new-flows",
    "udp-rate",
    "tcp-rr",
    "udp-rr",
    "tcp-stream",
];
/// Those of them that are also dialled from elsewhere: what exists does not ask for ports again.
const NEW: [&str; 2] = ["tcp-crr", "udp-new-flows"];
/// Published ports.
const SCALES: [u16; 4] = [1, 100, 1_000, 10_000];
/// Those of a quick run.
const QUICK: [u16; 2] = [1, 100];
/// Who dials.
const PATHS: [Path; 3] = [
    Path::PublishedOutside,
    Path::PublishedNetwork,
    Path::PublishedLoopback,
];

/// Measures.
pub fn run(plan: &Plan, recorder: &mut Recorder) -> Result<()> {
    let wanted = |path: &Path| plan.wants(path.name());
    let paths: Vec<Path> = PATHS.into_iter().filter(wanted).collect();
    if paths.is_empty() {
        return Ok(());
    }
    let scales: &[u16] = if plan.quick { &QUICK } else { &SCALES };
    let mut stands = Vec::new();
    for ports in scales {
        // Without ports to look up, `none` is the same at every number of them.
        let first = usize::from(*ports != scales[0]);
        let wanted = Wanted {
            section: "ports",
            modes: &modes::ALL[first..],
            paths: &paths,
            ports: *ports,
            scale: (*ports).into(),
        };
        stands.extend(wanted.set_up(plan, recorder));
    }
    let jobs: Vec<Job> = paths.iter().flat_map(|path| jobs(plan, *path)).collect();
    take_turns(plan, recorder, Group::Ports, &mut stands, &jobs)
}

fn jobs(plan: &Plan, path: Path) -> Vec<Job> {
    let works = match path {
        Path::PublishedOutside => &WORKS[..],
        _ => &NEW[..],
    };
    works
        .iter()
        .filter(|work| plan.wants(work))
        .map(|work| Job {
            work,
            path,
            cores: Cores::Same,
            during: plan.sample,
            limit: u64::MAX,
        })
        .collect()
}
