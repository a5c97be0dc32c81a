//! Traffic of every kind on every path, with one published port.

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

/// Works of this section, in the order of the table.
pub const WORKS: [&str; 7] = [
    "tcp-stream",
    "tcp-stream-4",
    "tcp-rr",
    "tcp-crr",
    "udp-rate",
    "udp-rr",
    "udp-new-flows",
];
/// Those of them whose single operations are timed with client and server on cores of their own.
const TIMED: [&str; 2] = ["tcp-rr", "udp-rr"];

/// Measures.
pub fn run(plan: &Plan, recorder: &mut Recorder) -> Result<()> {
    let wanted = |path: &Path| plan.wants(path.name());
    let paths: Vec<Path> = Path::ALL.into_iter().filter(wanted).collect();
    let mut stands = Wanted {
        section: "traffic",
        modes: &modes::ALL,
        paths: &paths,
        ports: 1,
        scale: 1,
    }
    .set_up(plan, recorder);
    let jobs: Vec<Job> = paths.iter().flat_map(|path| jobs(plan, *path)).collect();
    take_turns(plan, recorder, Group::Traffic, &mut stands, &jobs)
}

/// What is measured on a path, one after the other.
fn jobs(plan: &Plan, path: Path) -> Vec<Job> {
    let job = |work, cores| Job {
        work,
        path,
        cores,
        during: plan.sample,
        limit: u64::MAX,
    };
    let wanted = |work: &&&'static str| plan.wants(work);
    let same = WORKS.iter().filter(wanted);
    let timed = TIMED.iter().filter(wanted);
    same.map(|work| job(work, Cores::Same))
        .chain(timed.map(|work| job(work, Cores::Different)))
        .collect()
}
