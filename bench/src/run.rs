//! `netd-bench run`: the sections in order, and what they leave. One that fails becomes a gap with
//! its error; the others still run.

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use netd_tests::lab::{self, Lab};
use nix::unistd::Uid;

use crate::{plan::Plan, record::Record, recorder::Recorder, report, sections};

/// What a run is asked for.
#[derive(Args, Debug)]
pub struct Wish {
    /// A smoke test of the harness: one round, short samples, few scales. Its figures say nothing.
    #[arg(long)]
    pub quick: bool,
    /// Only this group, work, path or mode; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// How often each row is measured with each mode (5, or 1 with --quick).
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: Option<u32>,
    /// Docker Engine and Podman as whole systems, too, where they are installed.
    #[arg(long)]
    pub real: bool,
    /// Where the record, tables and plots go.
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    pub out: PathBuf,
    /// The command line that the record tells, if this one was made by another.
    #[arg(long, hide = true)]
    pub told: Option<String>,
    /// What was built, for the record: commit and profile.
    #[arg(long, hide = true)]
    pub built: Option<String>,
}

/// Rounds of a whole run.
const ROUNDS: u32 = 5;
/// How long one sample measures, in a whole run and in a quick one.
const SAMPLE: Duration = Duration::from_millis(500);
const QUICK_SAMPLE: Duration = Duration::from_millis(60);

/// How long the kernel may take to take down what a section made.
const TEARDOWN: Duration = Duration::from_secs(180);
/// A lab is made within this time where nothing is in its way.
const QUIET: Duration = Duration::from_secs(1);

/// Measures and records; an error when a section failed.
pub fn run(wish: Wish) -> Result<()> {
    ensure!(
        Uid::effective().is_root(),
        "the bench needs root: it makes network namespaces and loads BPF programs"
    );
    let command = wish.told.unwrap_or_else(own_command);
    let plan = Plan {
        quick: wish.quick,
        only: wish.only,
        rounds: wish.rounds.unwrap_or(if wish.quick { 1 } else { ROUNDS }),
        sample: if wish.quick { QUICK_SAMPLE } else { SAMPLE },
        netd: lab::agent_binary()?,
        real: wish.real,
        out: wish.out,
    };
    plan.check()?;
    let netd = [version(&plan)?]
        .into_iter()
        .chain(wish.built)
        .collect::<Vec<_>>()
        .join(", ");
    let mut recorder = Recorder::begin(&plan.out, command, netd)?;
    let failed = all(&plan, &mut recorder)?;
    let record = recorder.finish()?;
    report::make(&record, &plan.out)?;
    tell(&record, &plan);
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Runs what is wanted; the names of sections that failed.
fn all(plan: &Plan, recorder: &mut Recorder) -> Result<Vec<&'static str>> {
    let mut failed = Vec::new();
    for section in sections::ALL {
        let has_work = section.works.iter().any(|work| plan.wants(work));
        if !plan.wants(section.name) || !has_work {
            continue;
        }
        recorder.say(section.name);
        if let Err(error) = (section.run)(plan, recorder) {
            recorder.gap(section.name, format!("{error:#}"));
            failed.push(section.name);
        }
        recorder.save()?;
        settle(plan, recorder);
    }
    Ok(failed)
}

/// Waits until the kernel has taken the section's namespaces down, which it does in the background: a
/// thousand keep it from making another for half a minute.
fn settle(plan: &Plan, recorder: &Recorder) {
    let began = Instant::now();
    while began.elapsed() < TEARDOWN {
        let one = Instant::now();
        if Lab::create("settle", &plan.netd).is_ok() && one.elapsed() < QUIET {
            return;
        }
    }
    recorder.say("the kernel is still taking down what the section made");
}

fn tell(record: &Record, plan: &Plan) {
    println!(
        "{} samples, {} gaps, {:.0} s: {}",
        record.samples.len(),
        record.gaps.len(),
        record.seconds,
        plan.out.display()
    );
    if !plan.quick && plan.rounds < ROUNDS {
        let whole = record.seconds / f64::from(plan.rounds) * f64::from(ROUNDS);
        println!(
            "{ROUNDS} rounds of the same take at most {:.0} minutes",
            whole / 60.0
        );
    }
}

fn own_command() -> String {
    std::env::args().collect::<Vec<_>>().join(" ")
}

/// What the agent's binary says of itself.
fn version(plan: &Plan) -> Result<String> {
    let output = Command::new(&plan.netd)
        .arg("--version")
        .output()
        .with_context(|| format!("cannot start {}", plan.netd.display()))?;
    ensure!(
        output.status.success(),
        "{} --version failed",
        plan.netd.display()
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
