//! The tiers in the order in which they run, and what each runs.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    thread::available_parallelism,
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use super::{Count, Outcome, side_by_side::Binaries};
use crate::{
    demo, shell, tidy,
    toolchain::{TARGET, Toolchain},
    vm, workspace,
};

/// A tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tier {
    /// rustfmt has nothing to change.
    Fmt,
    /// clippy has nothing to say about the host's crates.
    Clippy,
    /// The same for the BPF programs, by the compiler that builds them.
    ClippyEbpf,
    /// House rules and licences.
    Tidy,
    /// Unit and property tests of the crates that need nothing.
    Pure,
    /// Unit and property tests of the agent, with the fake kernel and with the real one.
    Netd,
    /// Verifier, vectors, labs with real clients.
    Labs,
    /// Verifier, vectors and journeys on other kernels, in virtual machines.
    Kernels,
    /// The bench once, quickly: its rows are there and payloads right.
    Bench,
    /// The demo shows what it says.
    Demo,
}

impl Tier {
    /// All, in order.
    pub const ALL: [Tier; 10] = [
        Tier::Fmt,
        Tier::Clippy,
        Tier::ClippyEbpf,
        Tier::Tidy,
        Tier::Pure,
        Tier::Netd,
        Tier::Labs,
        Tier::Kernels,
        Tier::Bench,
        Tier::Demo,
    ];

    /// As in `--only`.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Fmt => "fmt",
            Tier::Clippy => "clippy",
            Tier::ClippyEbpf => "clippy-ebpf",
            Tier::Tidy => "tidy",
            Tier::Pure => "pure",
            Tier::Netd => "netd",
            Tier::Labs => "labs",
            Tier::Kernels => "kernels",
            Tier::Bench => "bench",
            Tier::Demo => "demo",
        }
    }

    /// For people.
    pub fn what(self) -> &'static str {
        match self {
            Tier::Fmt => "the sources are formatted",
            Tier::Clippy => "lints of the host's crates",
            Tier::ClippyEbpf => "lints of the BPF programs",
            Tier::Tidy => "house rules and licences",
            Tier::Pure => "packet logic and tooling",
            Tier::Netd => "model, state, plan, dns, frontends, kernel",
            Tier::Labs => "verifier, vectors, and namespaces with real clients",
            Tier::Kernels => "verifier, vectors and journeys on other kernels",
            Tier::Bench => "every row of the bench is there, payloads are right",
            Tier::Demo => "the demo shows what it says",
        }
    }

    /// Runs it.
    pub(super) fn run(self) -> Outcome {
        match self {
            Tier::ClippyEbpf => return clippy_ebpf(),
            Tier::Kernels => return kernels(),
            _ => {}
        }
        let result = match self {
            Tier::Fmt => check(shell::cargo().args(["fmt", "--all", "--", "--check"])),
            Tier::Clippy => check(
                shell::cargo()
                    .args(["clippy", "--workspace", "--exclude", "netd-ebpf"])
                    .args(["--all-targets", "--", "-D", "warnings"]),
            ),
            Tier::Tidy => tidy::run().map(|()| Count::ONE),
            Tier::Pure => tests(&["netd-common", "xtask"], None),
            Tier::Netd => tests(&["netd", "netd-fuzz"], None),
            Tier::ClippyEbpf | Tier::Kernels | Tier::Labs => labs(),
            Tier::Bench => bench(),
            Tier::Demo => build_netd()
                .and_then(|()| demo::smoke())
                .map(|()| Count::ONE),
        };
        match result {
            Ok(count) => Outcome::Passed(count),
            Err(error) => Outcome::Failed(format!("{error:#}")),
        }
    }
}

/// With the time of each kernel, since they run beside each other.
fn kernels() -> Outcome {
    match vm::everywhere() {
        Ok((count, times)) => Outcome::Told(count, times),
        Err(error) => Outcome::Failed(format!("{error:#}")),
    }
}

fn check(command: &mut Command) -> Result<Count> {
    shell::run(command).map(|()| Count::ONE)
}

/// clippy of the BPF compiler; it is a package of its own.
fn clippy_ebpf() -> Outcome {
    let toolchain = match Toolchain::require() {
        Ok(toolchain) => toolchain,
        Err(error) => return Outcome::Failed(format!("{error:#}")),
    };
    let Some(clippy) = toolchain.clippy() else {
        return Outcome::LeftOut(format!("{} has no clippy", toolchain.describe()));
    };
    let features: [&[&str]; 2] = [&[], &["--features", "log"]];
    for features in features {
        let mut command = toolchain.command(&clippy);
        command
            .arg("clippy")
            .current_dir(workspace::root())
            .env("CARGO_TARGET_DIR", workspace::bpf_build())
            .args([
                "--quiet",
                "--no-deps",
                "--package",
                "netd-ebpf",
                "--target",
                TARGET,
            ])
            .args(toolchain.core_arguments())
            .args(features)
            .args(["--", "-D", "warnings"]);
        if let Err(error) = shell::run(&mut command) {
            return Outcome::Failed(format!("{error:#}"));
        }
    }
    Outcome::Passed(Count::ONE)
}

/// Labs need netd's binary. Each has its own namespaces, so they run side by side; they wait half of
/// their time, so there may be two for each core, but not so many that they starve each other's timeouts.
fn labs() -> Result<Count> {
    const MOST: usize = 4;
    /// Of a binary.
    const THREADS: usize = 2;
    build_netd()?;
    let tests = available_parallelism()
        .map_or(THREADS, |cores| 2 * cores.get())
        .clamp(THREADS, MOST);
    let binaries = Binaries {
        package: "netd-tests",
        directory: "tests",
        // These take all the machine has.
        alone: &["differential", "load"],
        at_once: tests / THREADS,
        threads: THREADS,
    };
    binaries.run()
}

/// One at a time: a machine that is busy with another lab makes the quick run a slow one.
fn bench() -> Result<Count> {
    build_netd()?;
    tests(&["netd-bench"], Some(1))
}

fn build_netd() -> Result<()> {
    shell::run(shell::cargo().args(["build", "--package", "netd"]))
}

/// Where proptest finds its seed.
const PROPTEST_SEED: &str = "PROPTEST_RNG_SEED";

/// `cargo test` of some packages, with its closing lines read while they pass by.
fn tests(packages: &[&str], threads: Option<usize>) -> Result<Count> {
    let mut command = shell::cargo();
    command.args(["test", "--no-fail-fast"]);
    // The same cases each time, so that a failure is of the change at hand; a plain `cargo test`
    // draws fresh ones.
    if std::env::var_os(PROPTEST_SEED).is_none() {
        command.env(PROPTEST_SEED, "7234");
    }
    for package in packages {
        command.args(["--package", package]);
    }
    if let Some(threads) = threads {
        command.args(["--", &format!("--test-threads={threads}")]);
    }
    let text = shell::shown(&command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{text}`"))?;
    let mut count = Count::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            println!("{line}");
            count.read(&line);
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("`{text}` failed");
    }
    if count.passed == 0 {
        bail!("`{text}` ran no test");
    }
    Ok(count)
}
