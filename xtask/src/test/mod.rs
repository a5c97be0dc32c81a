//! `cargo xtask test`: every tier there is, cheapest first, with a summary at the end. A tier that
//! cannot run fails or says that it was left out and why; none is skipped in silence.

mod count;
mod side_by_side;
mod tiers;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::unistd::Uid;

use crate::{
    build_ebpf,
    setup::{self, Purpose},
};
pub use count::Count;
pub use tiers::Tier;

/// How a tier ended.
enum Outcome {
    Passed(Count),
    /// With more for the summary.
    Told(Count, String),
    /// With the reason, for the summary.
    LeftOut(String),
    Failed(String),
}

/// A line of the summary.
struct Line {
    tier: Tier,
    outcome: Outcome,
    took: Duration,
}

/// Sets up, builds, and runs the tiers that are named, else all.
pub fn run(only: &[Tier]) -> Result<()> {
    let begin = Instant::now();
    if !Uid::effective().is_root() {
        bail!(
            "the tests need root: labs make network namespaces and load BPF programs.\n\
             As root: cargo xtask test. Without root, `cargo test` runs the pure crates."
        );
    }
    let chosen: Vec<Tier> = Tier::ALL
        .into_iter()
        .filter(|tier| only.is_empty() || only.contains(tier))
        .collect();
    setup::ensure(if chosen.contains(&Tier::Kernels) {
        Purpose::Machine
    } else {
        Purpose::Test
    })?;
    build_ebpf::run()?;
    let mut results = Vec::new();
    for tier in chosen {
        println!("\n=== {}: {}", tier.name(), tier.what());
        let begin = Instant::now();
        let outcome = tier.run();
        if let Outcome::Failed(why) = &outcome {
            println!("{}: {why}", tier.name());
        }
        results.push(Line {
            tier,
            outcome,
            took: begin.elapsed(),
        });
    }
    summarise(&results, begin.elapsed())
}

fn summarise(results: &[Line], took: Duration) -> Result<()> {
    println!("\n=== summary");
    let mut total = Count::default();
    let mut failed = Vec::new();
    for Line {
        tier,
        outcome,
        took,
    } in results
    {
        let text = match outcome {
            Outcome::Passed(count) => {
                total.add(*count);
                format!("ok, {count}")
            }
            Outcome::Told(count, more) => {
                total.add(*count);
                format!("ok, {count} ({more})")
            }
            Outcome::LeftOut(why) => format!("left out: {why}"),
            Outcome::Failed(why) => {
                failed.push(tier.name());
                format!("FAILED: {why}")
            }
        };
        println!("{:<14}{:>7.1} s  {text}", tier.name(), took.as_secs_f32());
    }
    println!("{:<14}{:>7.1} s\n", "all", took.as_secs_f32());
    // A tier without tests of its own (a build, a check) counts as one.
    println!("{} passed, {} failed", total.passed, failed.len());
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}
