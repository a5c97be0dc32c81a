//! `cargo xtask`: set-up, builds, tests and checks of netd, in one place. It builds without the BPF
//! object, since it is what makes that object, and so never depends on the `netd` crate.

mod bench;
mod build_ebpf;
mod built;
mod demo;
mod install;
mod object_report;
mod setup;
mod shell;
mod test;
mod tidy;
mod toolchain;
mod verify;
mod vm;
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
    /// Measure netd against iptables and nftables, side by side in labs (as root).
    Bench {
        #[command(flatten)]
        wish: bench::Wish,
    },
    /// Show netd's main job in a lab of network namespaces (as root).
    Demo {
        #[command(flatten)]
        wish: demo::Wish,
    },
    /// Install what building and testing need (Debian packages, bpf-linker), and unpack what only tests
    /// use below target (other kernels).
    Setup,
    /// Build the BPF object (plain and with log calls) and print what is in it.
    BuildEbpf,
    /// Build netd for use; install it and its systemd unit (as root).
    Install {
        #[command(flatten)]
        wish: install::Wish,
    },
    /// Check the house rules: layers, file lengths, banned calls, licences.
    Tidy,
    /// Run every test tier (as root); sets up and builds what is missing.
    Test {
        /// Run this tier alone; may be repeated.
        #[arg(long, value_name = "TIER")]
        only: Vec<test::Tier>,
    },
    /// Have the kernel verify every program and compare the instruction counts (as root).
    Verify {
        /// Record the counts instead.
        #[arg(long)]
        bless: bool,
    },
    /// Run tests on another kernel, in a virtual machine (no KVM needed).
    Vm {
        #[command(flatten)]
        wish: vm::Wish,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.task {
        Task::Bench { wish } => bench::run(&wish),
        Task::Demo { wish } => demo::run(&wish),
        Task::Setup => setup::run(setup::Purpose::Machine).and_then(|()| vm::fetch()),
        Task::BuildEbpf => build_ebpf::run(),
        Task::Install { wish } => install::run(&wish),
        Task::Tidy => tidy::run(),
        Task::Test { only } => test::run(&only),
        Task::Verify { bless } => verify::run(bless),
        Task::Vm { wish } => vm::run(&wish),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
