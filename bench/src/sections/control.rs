//! What changes cost: sandboxes made and ports published beside more and more others, and the start
//! of an agent that finds them.
//!
//! Hosts of all scales stand side by side and take turns. `create` is the time over the socket, as a
//! frontend has it. `create-own` is what is left of it without netlink, namespaces and `bpf(2)`, by
//! the agent's own account in the answer's Server-Timing (strace would slow the calls that it
//! counts). `publish` is what a create with ports takes longer than the one without before it.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use anyhow::{Context, Result};

use crate::{
    agent::{Answer, Host},
    load::Durations,
    plan::Plan,
    record::{Cores, Group, Latency, Row, Sample, Unit},
    recorder::Recorder,
};

/// Works of this section, in the order of the table.
pub const WORKS: [&str; 7] = [
    "create",
    "create-own",
    "remove",
    "publish",
    "publish-range",
    "start",
    "start-without-pins",
];

/// Endpoints that are there already.
const SCALES: [u32; 4] = [0, 10, 100, 1_000];
const QUICK_SCALES: [u32; 2] = [0, 10];
/// The scale at which ports by their number are compared; at the others [`FEW`] ports.
const PORTS_SCALE: u32 = 10;
/// Ports published at once.
const PORTS: [u16; 3] = [1, 100, 10_000];
const FEW: u16 = 100;
/// The first host port: outside of what the host's own sockets are given.
const FIRST_PORT: u16 = 20_000;
/// Sandboxes made, and removed again, in a round.
const CREATES: usize = 20;
/// Pairs of creates, without ports and with them, in a round.
const PAIRS: usize = 3;
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

    fn ports(&mut self) -> Result<()> {
        let path = match self.scale {
            PORTS_SCALE => String::new(),
            other => format!("{other} endpoints"),
        };
        let counts = if self.scale == PORTS_SCALE {
            &PORTS[..]
        } else {
            &[FEW][..]
        };
        for count in counts {
            self.publish("publish", &path, *count, &single_ports(*count))?;
        }
        if let Some(most) = counts.last() {
            self.publish("publish-range", &path, *most, &one_range(*most))?;
        }
        Ok(())
    }

    /// The median of pairs, since a create alone varies by more than a port costs.
    fn publish(&mut self, work: &str, path: &str, count: u16, ports: &str) -> Result<()> {
        if !self.plan.wants(work) {
            return Ok(());
        }
        let mut more = Vec::new();
        for _ in 0..if self.plan.quick { 1 } else { PAIRS } {
            let [without, with] = ["", ports].map(|ports| {
                let answer = self.host.create("published", ports)?;
                self.host.remove("published")?;
                anyhow::Ok(answer.wall.as_nanos() as f64)
            });
            more.push(with? - without?);
        }
        more.sort_by(f64::total_cmp);
        let median = more.get(more.len() / 2).copied().unwrap_or_default();
        self.put(work, path, u64::from(count), median, None);
        Ok(())
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

/// As the API has them, each for itself.
fn single_ports(count: u16) -> String {
    let mut ports = String::new();
    for port in FIRST_PORT..FIRST_PORT + count {
        let comma = if ports.is_empty() { "" } else { "," };
        let port = format!(r#"{{"host":{{"first":{port}}},"target":{{"first":{port}}}}}"#);
        // Writing to a string does not fail.
        let _ = write!(ports, "{comma}{port}");
    }
    ports
}

fn one_range(count: u16) -> String {
    let range = format!(
        r#"{{"first":{FIRST_PORT},"last":{}}}"#,
        FIRST_PORT + count - 1
    );
    format!(r#"{{"host":{range},"target":{range}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_written_as_the_api_has_them() {
        let parse = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
        let single = parse(format!("[{}]", single_ports(3)));
        assert_eq!(single.as_array().map(Vec::len), Some(3));
        assert_eq!(single[2]["host"]["first"], 20_002);
        assert_eq!(parse(one_range(10_000))["target"]["last"], 29_999);
    }
}
