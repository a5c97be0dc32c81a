//! `cargo xtask bench`: builds netd and the bench for use, and starts the bench. Measures nothing
//! itself.

use std::{os::unix::process::CommandExt, path::PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use nix::unistd::Uid;

use crate::{
    build_ebpf,
    setup::{self, Purpose},
    shell, workspace,
};

/// What `bench` is asked for; all of it is handed on.
#[derive(Args)]
pub struct Wish {
    /// A smoke test of the harness: one round, short samples, few scales. Its figures say nothing.
    #[arg(long)]
    quick: bool,
    /// Only this group, work, path or mode; may be repeated.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// How often each row is measured with each mode (5, or 1 with --quick).
    #[arg(long, value_name = "NUMBER")]
    rounds: Option<u32>,
    /// Docker Engine and Podman as whole systems, too; installs them on Debian.
    #[arg(long)]
    real: bool,
    /// Where the record, tables and plots go (target/bench).
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Wish {
    /// As the bench takes it.
    fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        if self.quick {
            arguments.push("--quick".to_owned());
        }
        if self.real {
            arguments.push("--real".to_owned());
        }
        for only in &self.only {
            arguments.extend(["--only".to_owned(), only.clone()]);
        }
        if let Some(rounds) = self.rounds {
            arguments.extend(["--rounds".to_owned(), rounds.to_string()]);
        }
        arguments
    }
}

/// Sets up, builds, and becomes the bench.
pub fn run(wish: &Wish) -> Result<()> {
    if !Uid::effective().is_root() {
        bail!(
            "the bench needs root: it makes network namespaces and loads BPF programs. As root: cargo xtask bench"
        );
    }
    setup::ensure(if wish.real {
        Purpose::Real
    } else {
        Purpose::Test
    })?;
    build_ebpf::ensure()?;
    shell::run(shell::cargo().args(["build", "--release", "--package", "netd"]))?;
    shell::run(shell::cargo().args(["build", "--release", "--package", "netd-bench"]))?;
    let release = workspace::target().join("release");
    let out = wish
        .out
        .clone()
        .unwrap_or_else(|| workspace::target().join("bench"));
    let told: Vec<String> = ["cargo", "xtask", "bench"]
        .map(str::to_owned)
        .into_iter()
        .chain(wish.arguments())
        .collect();
    let error = shell::clean_command(release.join("netd-bench"))
        .arg("run")
        .args(wish.arguments())
        .arg("--out")
        .arg(out)
        .args(["--told", &told.join(" ")])
        .args(["--built", &built()])
        .env("NETD_BIN", release.join("netd"))
        .exec();
    Err(error).context("cannot start netd-bench")
}

/// The commit that was built, and how; without git, how alone.
fn built() -> String {
    let commit = shell::read(
        shell::clean_command("git")
            .args(["describe", "--always", "--dirty"])
            .current_dir(workspace::root()),
    );
    match commit {
        Ok(commit) => format!("commit {}, release build", commit.trim()),
        Err(_) => "release build".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        wish: Wish,
    }

    #[test]
    fn what_is_asked_for_is_handed_on() {
        let line = "bench --only netd --quick --only tcp-rr --rounds 3 --real";
        let wish = Line::parse_from(line.split(' ')).wish;
        let arguments = "--quick --real --only netd --only tcp-rr --rounds 3";
        assert_eq!(wish.arguments().join(" "), arguments);
    }
}
