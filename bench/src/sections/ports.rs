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

/// Works of this section: new flows, for which ports are looked up, and flows that exist.
pub const WORKS: [&str; 4] = ["tcp-crr", "udp-new-flows", "udp-rate", "tcp-rr"];
/// Published ports.
const SCALES: [u16; 4] = [1, 100, 1_000, 10_000];
/// Those of a quick run.
const QUICK: [u16; 2] = [1, 100];
/// Who dials.
const PATH: Path = Path::PublishedOutside;

/// Measures.
pub fn run(plan: &Plan, recorder: &mut Recorder) -> Result<()> {
    if !plan.wants(PATH.name()) {
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
            paths: &[PATH],
            ports: *ports,
            scale: (*ports).into(),
        };
        stands.extend(wanted.set_up(plan, recorder));
    }
    let jobs: Vec<Job> = WORKS
        .into_iter()
        .filter(|work| plan.wants(work))
        .map(|work| Job {
            work,
            path: PATH,
            cores: Cores::Same,
            during: plan.sample,
            limit: u64::MAX,
        })
        .collect();
    take_turns(plan, recorder, Group::Ports, &mut stands, &jobs)
}
