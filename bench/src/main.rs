//! `netd-bench`: see `netd_bench`.

use anyhow::Result;
use clap::{Parser, Subcommand};
use netd_bench::load::{self, Load};

/// Measures netd against iptables and nftables mode, side by side in one run.
#[derive(Debug, Parser)]
#[command(name = "netd-bench")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The load generator, a role at a time.
    #[command(subcommand)]
    Load(Load),
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Load(load) => load::run(&load),
    }
}
