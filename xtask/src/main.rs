//! `cargo xtask`: set-up, builds, tests and checks of netd, in one place. It builds without the BPF
//! object, since it is what makes that object, and so never depends on the `netd` crate.

mod build_ebpf;
mod object_report;
mod setup;
mod shell;
mod tidy;
mod toolchain;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// netd's tooling.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what building and testing need (Debian packages, bpf-linker).
    Setup,
    /// Build the BPF object (plain and with log calls) and print what is in it.
    BuildEbpf,
    /// Check the house rules: layers, file lengths, banned calls, licences.
    Tidy,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.task {
        Task::Setup => setup::run(setup::Purpose::Test),
        Task::BuildEbpf => build_ebpf::run(),
        Task::Tidy => tidy::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
