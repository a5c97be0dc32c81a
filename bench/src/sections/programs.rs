//! Single programs: how long each takes for a packet by `BPF_PROG_TEST_RUN`, and how many
//! instructions the verifier walks.
//!
//! The packets are the recorded ones of the packet tests, in a world with few endpoints and flows,
//! so all of it is in the caches. Each run gets a fresh packet and takes part in a conversation that
//! the programs have followed from its beginning. Two readings of the clock are in every figure.
//! What a program asks for is not carried out: neither a redirect nor what comes after it.

use std::{collections::BTreeMap, ops::Range};

use anyhow::{Context, Result, anyhow, ensure};
use netd_common::abi::Program;
use netd_tests::bpf::{self, Input, Kernel, Object, Vector, World, action};

use crate::{
    load::Durations,
    plan::Plan,
    record::{Cores, Group, Latency, Row, Sample, Unit},
    recorder::Recorder,
};

/// Works of this section, in the order of the table.
pub const WORKS: [&str; 2] = ["program", "instructions"];

/// Runs of a program for one packet in a round.
const RUNS: u16 = 2_000;
const QUICK_RUNS: u16 = 50;
/// Where an IPv4 packet without options has its ports.
const SOURCE_PORT: Range<usize> = 34..36;
const DESTINATION_PORT: Range<usize> = 36..38;
/// Rising ports of first packets begin here, each used once.
const FIRST_PORT: u16 = 20_000;

/// A packet whose cost is told.
struct Case {
    /// In the tables.
    name: &'static str,
    /// The file of its conversation.
    file: &'static str,
    /// What has to come before, by title.
    before: &'static [&'static str],
    /// The packet, by title.
    title: &'static str,
    /// The port that makes every run another flow's first packet. Masqueraded flows differ by where
    /// they go: the packet tests have few ports for one destination.
    fresh: Option<Range<usize>>,
    /// What the program has to say.
    action: i32,
}

/// As told in the tables.
const CASES: [Case; 15] = [
    Case {
        name: "same network",
        file: "same-network",
        before: &[],
        title: "TCP to a neighbour",
        fresh: None,
        action: action::REDIRECT,
    },
    Case {
        name: "out, first packet",
        file: "outside",
        before: &[],
        title: "TCP out",
        fresh: Some(DESTINATION_PORT),
        action: action::REDIRECT,
    },
    Case {
        name: "out, established",
        file: "outside",
        before: &["TCP out", "its reply", "and on"],
        title: "data out",
        fresh: None,
        action: action::REDIRECT,
    },
    Case {
        name: "out, reply",
        file: "outside",
        before: &["TCP out", "its reply", "and on"],
        title: "its reply",
        fresh: None,
        action: action::REDIRECT,
    },
    Case {
        name: "published, first packet",
        file: "published",
        before: &[],
        title: "dialled from outside",
        fresh: Some(SOURCE_PORT),
        action: action::REDIRECT,
    },
    Case {
        name: "published, established",
        file: "published",
        before: &["dialled from outside", "the answer"],
        title: "and on",
        fresh: None,
        action: action::REDIRECT,
    },
    Case {
        name: "published, answer",
        file: "published",
        before: &["dialled from outside", "the answer", "and on"],
        title: "data",
        fresh: None,
        action: action::REDIRECT,
    },
    Case {
        name: "out, SCTP",
        file: "sctp",
        before: &["SCTP out with its port", "its answer", "and on"],
        title: "and on",
        fresh: None,
        action: action::REDIRECT,
    },
    Case {
        name: "out, later fragment",
        file: "fragments",
        before: &["IPv4: fragment 0 goes out"],
        title: "IPv4: fragment 1 goes out",
        fresh: None,
        action: action::REDIRECT,
    },
    Case {
        name: "to the host",
        file: "isolation",
        before: &[],
        title: "its gateway",
        fresh: None,
        action: action::OK,
    },
    Case {
        name: "from the host",
        file: "stack",
        before: &[],
        title: "the host to an endpoint",
        fresh: None,
        action: action::UNSPEC,
    },
    Case {
        name: "the host's own",
        file: "stack",
        before: &[],
        title: "the host's own",
        fresh: None,
        action: action::UNSPEC,
    },
    Case {
        name: "forwarded for others",
        file: "stack",
        before: &[],
        title: "forwarded for others",
        fresh: None,
        action: action::UNSPEC,
    },
    Case {
        name: "not netd's",
        file: "published",
        before: &[],
        title: "traffic of others",
        fresh: None,
        action: action::UNSPEC,
    },
    Case {
        name: "name answered",
        file: "dns",
        before: &[],
        title: "an address",
        fresh: None,
        action: action::REDIRECT,
    },
];

/// Measures.
pub fn run(plan: &Plan, recorder: &mut Recorder) -> Result<()> {
    if !plan.wants("netd") {
        return Ok(());
    }
    if plan.wants("instructions") {
        instructions(recorder);
    }
    if !plan.wants("program") {
        return Ok(());
    }
    let world = World::new();
    let files: BTreeMap<String, Vec<Vector>> = bpf::read_all(&world).into_iter().collect();
    for round in 0..plan.rounds {
        for case in &CASES {
            let vectors = files.get(case.file).context("the packets' file")?;
            let (program, latency) = measure(case, vectors, &world, plan)
                .with_context(|| format!("{} in {}", case.title, case.file))?;
            recorder.sample(Sample {
                value: latency.p50 as f64,
                latency: Some(latency),
                round,
                ..sample("program", program, case.name, Unit::Nanoseconds)
            });
        }
    }
    Ok(())
}

/// A case in a kernel of its own: fresh maps, so that no case lives on another's flows.
fn measure(
    case: &Case,
    vectors: &[Vector],
    world: &World,
    plan: &Plan,
) -> Result<(Program, Latency)> {
    let find = |title: &str| {
        let found = vectors.iter().find(|vector| vector.title == title);
        found.with_context(|| format!("no packet {title}"))
    };
    let runs = if plan.quick { QUICK_RUNS } else { RUNS };
    let mut input = find(case.title)?.input.clone();
    let program = input.program;
    let before: Vec<&Input> = case
        .before
        .iter()
        .map(|title| find(title).map(|vector| &vector.input))
        .collect::<Result<_>>()?;
    let (mut durations, mut after) = (Durations::new()?, Vec::new());
    Kernel::with(world, |kernel| -> Result<()> {
        for input in before {
            kernel.run(input).map_err(|error| anyhow!(error))?;
        }
        for run in 0..runs {
            if let Some(port) = case.fresh.clone() {
                let port = input.bytes.get_mut(port).context("a port")?;
                port.copy_from_slice(&(FIRST_PORT + run).to_be_bytes());
            }
            let (action, took) = kernel
                .decide(&input, &mut after)
                .map_err(|error| anyhow!(error))?;
            ensure!(
                action == case.action,
                "it returned {action}, not {}",
                case.action
            );
            durations.add(took);
        }
        Ok(())
    })?;
    Ok((program, durations.summary().context("no run")?))
}

/// As the running kernel's verifier counts them.
fn instructions(recorder: &mut Recorder) {
    let mut object = Object::Plain.open();
    for program in Program::ALL {
        match bpf::load(&mut object, program).verified_instruction_count() {
            Some(count) => recorder.sample(Sample {
                value: count.into(),
                ..sample("instructions", program, "", Unit::Count)
            }),
            None => recorder.gap(
                format!("instructions of {}", program.name()),
                "the kernel does not tell (Linux 5.16)",
            ),
        }
    }
}

fn sample(work: &str, program: Program, case: &str, unit: Unit) -> Sample {
    let path = match case {
        "" => program.name().to_owned(),
        case => format!("{}: {case}", program.name()),
    };
    Sample {
        row: Row {
            group: Group::Programs,
            work: work.to_owned(),
            path,
            scale: 0,
            cores: Cores::Any,
            unit,
        },
        mode: "netd".to_owned(),
        round: 0,
        value: 0.0,
        latency: None,
        lost: 0,
    }
}
