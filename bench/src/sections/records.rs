//! Many records: what lists, looks, creates and the start take with 1,000 networks and 5,000
//! sandboxes in the store, beside a host with 10 of each.
//!
//! The networks are bridges. The sandboxes are the host itself (network `host`): records and files,
//! but neither namespaces nor interfaces, which section `control` has. Commands are timed from their
//! start to their end, as users wait for them; creates over the socket.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::{
    agent::Host,
    load::Durations,
    plan::Plan,
    record::{Cores, Group, Row, Sample, Unit},
    recorder::Recorder,
};

/// Works of this section, in the order of the table.
pub const WORKS: [&str; 6] = [
    "network-ls",
    "sandbox-ls",
    "inspect",
    "create-record",
    "read-store",
    "start",
];

/// Networks and sandboxes.
const SCALES: [(u32, u32); 2] = [(10, 10), (1_000, 5_000)];
const QUICK_SCALES: [(u32, u32); 2] = [(2, 2), (10, 50)];
/// How often a command is run, and sandboxes made and removed again, in a round.
const TIMES: u32 = 10;

/// Measures. Both hosts take turns.
pub fn run(plan: &Plan, recorder: &mut Recorder) -> Result<()> {
    if !plan.wants("netd") {
        return Ok(());
    }
    let scales = if plan.quick { &QUICK_SCALES } else { &SCALES };
    let mut hosts = Vec::new();
    for (networks, sandboxes) in scales {
        recorder.say(&format!(
            "records: a host with {networks} networks and {sandboxes} sandboxes"
        ));
        let mut host = Host::start("records", &plan.netd)?;
        host.grow_networks(*networks)?;
        host.grow_records(*sandboxes)?;
        hosts.push((*networks, *sandboxes, host));
    }
    for round in 0..plan.rounds {
        recorder.say(&format!("records, round {} of {}", round + 1, plan.rounds));
        for (networks, sandboxes, host) in &mut hosts {
            let mut times = commands(plan, host, *networks, *sandboxes)?;
            times.push(("create-record", creates(plan, host)?));
            times.extend(start(plan, host)?);
            for (work, times) in times {
                if plan.wants(work) {
                    recorder.sample(sample(work, *sandboxes, round, &times)?);
                }
            }
        }
    }
    Ok(())
}

/// A work, and how long each time took.
type Times = (&'static str, Vec<Duration>);

fn commands(plan: &Plan, host: &Host, networks: u32, sandboxes: u32) -> Result<Vec<Times>> {
    let name = format!("s{}", sandboxes / 2);
    let mut all = Vec::new();
    for (work, words, least) in [
        ("network-ls", vec!["network", "ls"], networks),
        ("sandbox-ls", vec!["sandbox", "ls"], sandboxes),
        ("inspect", vec!["sandbox", "inspect", &name], 1),
    ] {
        let mut times = Vec::new();
        for _ in 0..count(plan) {
            let (took, printed) = host.command(&words)?;
            let lines = printed.lines().count();
            ensure!(lines >= least as usize, "{work} printed {lines} lines");
            times.push(took);
        }
        all.push((work, times));
    }
    Ok(all)
}

fn creates(plan: &Plan, host: &mut Host) -> Result<Vec<Duration>> {
    let names: Vec<String> = (0..count(plan))
        .map(|number| format!("x{number}"))
        .collect();
    let mut times = Vec::new();
    for name in &names {
        times.push(host.create_record(name)?.wall);
    }
    for name in &names {
        host.remove(name)?;
    }
    Ok(times)
}

fn start(plan: &Plan, host: &mut Host) -> Result<Vec<Times>> {
    if !plan.wants("start") && !plan.wants("read-store") {
        return Ok(Vec::new());
    }
    let took = host.restart()?;
    Ok(vec![
        ("start", vec![took]),
        ("read-store", vec![host.read_store()?]),
    ])
}

fn count(plan: &Plan) -> u32 {
    if plan.quick { 2 } else { TIMES }
}

fn sample(work: &str, sandboxes: u32, round: u32, times: &[Duration]) -> Result<Sample> {
    let mut durations = Durations::new()?;
    times.iter().for_each(|time| durations.add(*time));
    let latency = durations.summary().context("nothing was measured")?;
    Ok(Sample {
        row: Row {
            group: Group::Records,
            work: work.to_owned(),
            path: String::new(),
            scale: sandboxes.into(),
            cores: Cores::Any,
            unit: Unit::Nanoseconds,
        },
        mode: "netd".to_owned(),
        round,
        value: latency.p50 as f64,
        latency: Some(latency),
        lost: 0,
    })
}
