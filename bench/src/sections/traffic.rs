//! Traffic of every kind on every path, with one published port.

use anyhow::Result;

use crate::{
    drive::{Driven, Job},
    modes,
    plan::Plan,
    record::{Cores, Group},
    recorder::Recorder,
    topology::{self, Path},
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

/// Published ports in this section.
const PORTS: u16 = 1;

/// Measures.
pub fn run(plan: &Plan, recorder: &mut Recorder) -> Result<()> {
    let mut modes = Vec::new();
    for name in modes::ALL.into_iter().filter(|name| plan.wants(name)) {
        let mode = modes::start(name, &plan.netd, &topology::ports(PORTS))
            .and_then(|mode| Driven::start(mode, topology::last_port(PORTS)));
        match mode {
            Ok(mode) => modes.push(mode),
            Err(error) => recorder.gap(format!("traffic, {name}"), format!("{error:#}")),
        }
    }
    let mut absent = Vec::new();
    for path in paths(plan) {
        for (index, mode) in modes.iter_mut().enumerate() {
            if let Err(error) = mode.probe(path) {
                let what = format!("traffic, {}, {}", path.name(), mode.mode.name());
                recorder.gap(what, format!("{error:#}"));
                absent.push((path, index));
            }
        }
    }
    for round in 0..plan.rounds {
        recorder.say(&format!("traffic, round {} of {}", round + 1, plan.rounds));
        for job in paths(plan).flat_map(|path| jobs(plan, path)) {
            for (index, mode) in modes.iter_mut().enumerate() {
                if !absent.contains(&(job.path, index)) {
                    let sample = mode.sample(&job, Group::Traffic, PORTS.into(), round)?;
                    recorder.sample(sample);
                }
            }
        }
    }
    Ok(())
}

fn paths(plan: &Plan) -> impl Iterator<Item = Path> {
    Path::ALL.into_iter().filter(|path| plan.wants(path.name()))
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
