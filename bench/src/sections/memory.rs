//! Memory: what the agent has by number of endpoints, and what the kernel has for its maps. A map's
//! figure is what the kernel says it holds (`memlock` of the map's fdinfo, by bpftool): before
//! Linux 6.4 it tells nothing for most kinds.

use std::{thread, time::Duration};

use anyhow::Result;

use crate::{
    agent::Host,
    plan::Plan,
    record::{Cores, Group, Row, Sample, Unit},
    recorder::Recorder,
};

/// Works of this section, in the order of the table.
pub const WORKS: [&str; 6] = [
    "resident",
    "proportional",
    "resident-restarted",
    "peak-restarted",
    "map-memory",
    "flow-memory",
];

const SCALES: [u32; 4] = [0, 10, 100, 1_000];
const QUICK_SCALES: [u32; 2] = [0, 10];
/// The agent gives memory back every ten seconds: what it has is looked at after that.
const SETTLED: Duration = Duration::from_secs(11);
/// A flow has an entry for each direction.
const HALVES: u64 = 2;

/// Measures: once, since there is nothing to take turns with.
pub fn run(plan: &Plan, recorder: &mut Recorder) -> Result<()> {
    if !plan.wants("netd") {
        return Ok(());
    }
    let mut host = Host::start("memory", &plan.netd)?;
    let mut put = |work: &str, path: &str, scale: u32, octets: u64| {
        if plan.wants(work) {
            recorder.sample(sample(work, path, scale, octets));
        }
    };
    let scales: &[u32] = if plan.quick { &QUICK_SCALES } else { &SCALES };
    for scale in scales {
        host.grow(*scale)?;
        settle(plan);
        let memory = host.memory()?;
        put("resident", "", *scale, memory.resident);
        put("proportional", "", *scale, memory.proportional);
        let maps = host.maps()?;
        let total = maps.iter().map(|(_, octets, _)| octets).sum();
        put("map-memory", "", *scale, total);
        for (name, octets, entries) in &maps {
            put("map-memory", name, *scale, *octets);
            if name.ends_with("FLOWS") && *entries > 0 {
                put("flow-memory", name, *scale, HALVES * octets / entries);
            }
        }
    }
    host.restart()?;
    settle(plan);
    let memory = host.memory()?;
    put("resident-restarted", "", host.sandboxes(), memory.resident);
    put("peak-restarted", "", host.sandboxes(), memory.peak);
    Ok(())
}

fn settle(plan: &Plan) {
    if !plan.quick {
        thread::sleep(SETTLED);
    }
}

fn sample(work: &str, path: &str, scale: u32, octets: u64) -> Sample {
    Sample {
        row: Row {
            group: Group::Memory,
            work: work.to_owned(),
            path: path.to_owned(),
            scale: scale.into(),
            cores: Cores::Any,
            unit: Unit::Octets,
        },
        mode: "netd".to_owned(),
        round: 0,
        value: octets as f64,
        latency: None,
        lost: 0,
    }
}
