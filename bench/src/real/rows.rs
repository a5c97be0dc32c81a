//! What is measured with an engine: what changes cost, and questions for names.

use std::time::Duration;

use anyhow::{Context, Result};

use super::engine::Engine;
use crate::{
    dns::Bed,
    plan::Plan,
    record::{Cores, Group, Row, Sample, Unit},
    recorder::Recorder,
    sections::dns::{Asker, WORKS},
};

/// Containers that are there before anything is measured, and while names are asked for.
const CONTAINERS: u64 = 10;
/// How often a change is measured; its median is the row's one value.
const TIMES: u32 = 5;
/// The first of the host's ports that are published.
const FIRST_PORT: u64 = 20_000;
/// Ports published at once: one by one, and as a range. Docker's proxy has a process for each, which
/// takes it some 90 ms.
const PORTS: [u64; 2] = [1, 100];

/// Time to make and start a container with an endpoint (all of it: image, processes, network), and
/// what published ports add to that.
pub fn control(engine: &Engine, plan: &Plan, recorder: &mut Recorder) -> Result<()> {
    let (containers, times) = if plan.quick {
        (2, 1)
    } else {
        (CONTAINERS, TIMES)
    };
    for number in 1..=containers {
        engine.container(&format!("c{number}"), "")?;
    }
    let plain = median(engine, "", times)?;
    if plan.wants("create") {
        recorder.sample(sample(engine, "create", containers, plain));
    }
    // What published ports add; two containers may differ by more than a single one takes.
    let mut added = |work: &str, count, taken: Duration| match taken.checked_sub(plain) {
        Some(more) => recorder.sample(sample(engine, work, count, more)),
        None => recorder.gap(
            format!("{work} {count} with {}", engine.mode),
            "takes less than what varies between two containers",
        ),
    };
    for count in PORTS.into_iter().filter(|_| plan.wants("publish")) {
        let single: Vec<String> = (FIRST_PORT..FIRST_PORT + count)
            .map(|port| format!("-p {port}:{port}"))
            .collect();
        let times = if count == 1 { times } else { 1 };
        let taken = median(engine, &single.join(" "), times)?;
        added("publish", count, taken);
    }
    if !plan.wants("publish-range") {
        return Ok(());
    }
    let [.., count] = PORTS;
    let ports = format!("{FIRST_PORT}-{}", FIRST_PORT + count - 1);
    let taken = median(engine, &format!("-p {ports}:{ports}"), 1)?;
    added("publish-range", count, taken);
    Ok(())
}

/// The median of the time that so many containers with these options take, one after the other.
fn median(engine: &Engine, options: &str, times: u32) -> Result<Duration> {
    let mut taken = Vec::new();
    for _ in 0..times {
        taken.push(engine.container("measured", options)?);
        engine.remove("measured")?;
    }
    taken.sort_unstable();
    Ok(taken[taken.len() / 2])
}

fn sample(engine: &Engine, work: &str, scale: u64, value: Duration) -> Sample {
    let path = match work {
        "create" => String::new(),
        _ => format!("{CONTAINERS} endpoints"),
    };
    Sample {
        row: Row {
            group: Group::Control,
            work: work.to_owned(),
            path,
            scale,
            cores: Cores::Any,
            unit: Unit::Nanoseconds,
        },
        mode: engine.mode.to_owned(),
        round: 0,
        value: value.as_nanos() as f64,
        latency: None,
        lost: 0,
    }
}

/// Names of the containers that [`control`] left, and names outside, asked for by the first one.
pub fn dns(engine: &Engine, plan: &Plan, recorder: &mut Recorder) -> Result<()> {
    let containers = if plan.quick { 2 } else { CONTAINERS };
    let names = (1..=containers)
        .map(|number| {
            let name = format!("c{number}");
            let address = engine.address(&name)?;
            Ok((name + ".", address))
        })
        .collect::<Result<Vec<_>>>()?;
    let client = engine.namespace("c1")?;
    let resolver = resolver(engine)?;
    let bed = Bed::over(
        engine.mode,
        engine.lab(),
        names,
        client,
        engine.server,
        vec![resolver],
    )?;
    let mut asker = Asker::new(&bed)?;
    for work in WORKS.iter().filter(|work| plan.wants(work)) {
        for sample in asker.samples(work, 0, plan.sample)? {
            recorder.sample(sample);
        }
    }
    Ok(())
}

/// The process that answers: dockerd itself, or the aardvark-dns that netavark has started.
fn resolver(engine: &Engine) -> Result<u32> {
    const PID: &str = "/run/containers/networks/aardvark-dns/aardvark.pid";
    match engine.daemon() {
        Some(pid) => Ok(pid),
        None => {
            let text = engine.lab().world().read(PID).context(PID)?;
            text.trim().parse().context(PID)
        }
    }
}
