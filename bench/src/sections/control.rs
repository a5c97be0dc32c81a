//! What changes cost: sandboxes made and ports published beside more and more others, and the start
//! of an agent that finds them.
//!
//! Hosts of all scales stand side by side and take turns. `create` is the time over the socket, as a
//! frontend has it. `create-own` is what is left of it without netlink, namespaces and `bpf(2)`, by
//! the agent's own account in the answer's Server-Timing (strace would slow the calls that it
//! counts). Ports are published on a sandbox that runs.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};

use crate::{
    agent::{Answer, Host},
    load::Durations,
    plan::Plan,
    record::{Cores, Group, Latency, Row, Sample, Unit},
    recorder::Recorder,
    report::words,
};

/// Works of this section, in the order of the table.
pub const WORKS: [&str; 8] = [
    "create",
    "create-own",
    "remove",
    "publish",
    "unpublish",
    "publish-range",
    "start",
    "start-without-pins",
];

/// Endpoints that are there already.
const SCALES: [u32; 4] = [0, 10, 100, 1_000];
const QUICK_SCALES: [u32; 2] = [0, 10];
/// Ports published at once.
const PORTS: [u16; 3] = [1, 100, 10_000];
/// The sandbox whose ports they are.
const PUBLISHER: &str = "publisher";
/// The first host port: outside of what the host's own sockets are given.
const FIRST_PORT: u16 = 20_000;
/// Sandboxes made, and removed again, in a round.
const CREATES: usize = 20;
/// How often ports are published, and unpublished again, in a round.
const TIMES: usize = 5;
/// Above this many endpoints programs are attached anew only in the first round: each takes two
/// grace periods of the kernel's.
const OFTEN: u32 = 100;

/// Measures.
pub fn run(plan: &Plan, recorder: &mut Recorder) -> Result<()> {
    if !plan.wants("netd") {
        return Ok(());
    }
    let scales: &[u32] = if plan.quick { &QUICK_SCALES } else { &SCALES };
    let mut hosts = BTreeMap::new();
    for scale in scales {
        recorder.say(&format!("control: a host with {scale} endpoints"));
        let mut host = Host::start("control", &plan.netd)?;
        host.grow(*scale)
            .with_context(|| format!("{scale} endpoints"))?;
        hosts.insert(*scale, host);
    }
    for round in 0..plan.rounds {
        recorder.say(&format!("control, round {} of {}", round + 1, plan.rounds));
        for (scale, host) in &mut hosts {
            let mut bench = Bench {
                plan,
                host,
                scale: *scale,
                round,
                samples: Vec::new(),
            };
            if *scale > 0 {
                bench.creates()?;
                bench.ports()?;
            }
            bench.starts()?;
            bench
                .samples
                .drain(..)
                .for_each(|sample| recorder.sample(sample));
        }
    }
    Ok(())
}

/// One host's turn.
struct Bench<'a> {
    plan: &'a Plan,
    host: &'a mut Host,
    scale: u32,
    round: u32,
    samples: Vec<Sample>,
}

impl Bench<'_> {
    fn creates(&mut self) -> Result<()> {
        if !["create", "create-own", "remove"]
            .iter()
            .any(|work| self.plan.wants(work))
        {
            return Ok(());
        }
        let count = if self.plan.quick { 3 } else { CREATES };
        let names: Vec<String> = (0..count).map(|number| format!("x{number}")).collect();
        let (mut whole, mut own, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for name in &names {
            let Answer { wall, timing } = self.host.create(name, "")?;
            whole.push(wall);
            own.push(wall.saturating_sub(timing.kernel()));
        }
        for name in &names {
            gone.push(self.host.remove(name)?.wall);
        }
        for (work, times) in [("create", whole), ("create-own", own), ("remove", gone)] {
            let latency = distribution(&times)?;
            let value = latency.p50 as f64;
            self.put(work, "", u64::from(self.scale), value, Some(latency));
        }
        Ok(())
    }

    /// Ports of a sandbox that runs, published and unpublished again.
    fn ports(&mut self) -> Result<()> {
        if !["publish", "unpublish", "publish-range"]
            .iter()
            .any(|work| self.plan.wants(work))
        {
            return Ok(());
        }
        let path = format!("{} endpoints", words::scale(self.scale.into()));
        self.host.create(PUBLISHER, "")?;
        for count in PORTS {
            let single =
                self.publish(&single_ports(count, port), &single_ports(count, host_port))?;
            let range = self.publish(&one_range(count), &host_range(count))?;
            for (work, value) in [
                ("publish", single.0),
                ("unpublish", single.1),
                ("publish-range", range.0),
            ] {
                self.put(work, &path, count.into(), value, None);
            }
        }
        self.host.remove(PUBLISHER)?;
        Ok(())
    }

    /// The medians of a few times: how long publishing took, and how long unpublishing.
    fn publish(&mut self, ports: &str, host_ports: &str) -> Result<(f64, f64)> {
        let (mut there, mut back) = (Vec::new(), Vec::new());
        for _ in 0..if self.plan.quick { 1 } else { TIMES } {
            there.push(self.host.publish(PUBLISHER, ports)?.wall);
            back.push(self.host.unpublish(PUBLISHER, host_ports)?.wall);
        }
        Ok((median(there), median(back)))
    }

    fn starts(&mut self) -> Result<()> {
        if self.plan.wants("start") {
            let took = self.host.restart()?;
            self.put_start("start", took);
        }
        let often = self.scale <= OFTEN || self.round == 0;
        if self.plan.wants("start-without-pins") && often {
            let took = self.host.restart_without_pins()?;
            self.put_start("start-without-pins", took);
        }
        Ok(())
    }

    fn put_start(&mut self, work: &str, took: Duration) {
        let scale = u64::from(self.scale);
        self.put(work, "", scale, took.as_nanos() as f64, None);
    }

    fn put(&mut self, work: &str, path: &str, scale: u64, value: f64, latency: Option<Latency>) {
        if !self.plan.wants(work) {
            return;
        }
        self.samples.push(Sample {
            row: Row {
                group: Group::Control,
                work: work.to_owned(),
                path: path.to_owned(),
                scale,
                cores: Cores::Any,
                unit: Unit::Nanoseconds,
            },
            mode: "netd".to_owned(),
            round: self.round,
            value,
            latency,
            lost: 0,
        });
    }
}

fn distribution(times: &[Duration]) -> Result<Latency> {
    let mut durations = Durations::new()?;
    times.iter().for_each(|time| durations.add(*time));
    durations.summary().context("nothing was measured")
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    median.as_nanos() as f64
}

/// As the API has them, each for itself.
fn single_ports(count: u16, one: fn(u16) -> String) -> String {
    let ports: Vec<String> = (FIRST_PORT..FIRST_PORT + count).map(one).collect();
    ports.join(",")
}

fn port(number: u16) -> String {
    format!(r#"{{"host":{{"first":{number}}},"target":{{"first":{number}}}}}"#)
}

fn host_port(number: u16) -> String {
    format!(r#"{{"host":{{"first":{number}}}}}"#)
}

fn one_range(count: u16) -> String {
    let range = range(count);
    format!(r#"{{"host":{range},"target":{range}}}"#)
}

fn host_range(count: u16) -> String {
    format!(r#"{{"host":{}}}"#, range(count))
}

fn range(count: u16) -> String {
    let last = FIRST_PORT + count - 1;
    format!(r#"{{"first":{FIRST_PORT},"last":{last}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_written_as_the_api_has_them() {
        let parse = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
        let single = parse(format!("[{}]", single_ports(3, port)));
        assert_eq!(single.as_array().map(Vec::len), Some(3));
        assert_eq!(single[2]["host"]["first"], 20_002);
        let host = parse(format!("[{}]", single_ports(3, host_port)));
        assert_eq!(host[2]["host"], single[2]["host"]);
        assert_eq!(parse(host_range(100))["host"]["last"], 20_099);
        assert_eq!(parse(one_range(10_000))["target"]["last"], 29_999);
    }
}
