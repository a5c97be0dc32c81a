//! `netd-bench`: the command line of [`netd_bench`]. Decides nothing.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use netd_bench::{
    load::{self, Load},
    report, run,
};

/// Measures netd against iptables and nftables mode, side by side in one run.
#[derive(Debug, Parser)]
#[command(name = "netd-bench")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure, in labs of network namespaces (as root).
    Run(run::Wish),
    /// Make tables and plots again from the record of a run.
    Report(report::Wish),
    /// The load generator, a role at a time.
    #[command(subcommand)]
    Load(Load),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(wish) => run::run(wish),
        Command::Report(wish) => report::run(&wish),
        Command::Load(load) => load::run(&load),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("netd-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
