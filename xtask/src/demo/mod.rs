//! `cargo xtask demo`: netd's main job in a lab of network namespaces, each step with the command
//! that a user would type. Fails when a step does not show what it says, so it is a test as well.

mod held;
mod play;
mod stage;

use std::time::Instant;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use nix::unistd::Uid;

use crate::{
    build_ebpf,
    setup::{self, Purpose},
    shell, workspace,
};
use stage::Stage;

/// What `demo` is asked for.
#[derive(Args)]
#[group(multiple = false)]
pub struct Wish {
    /// Leave the lab running afterwards, to play in.
    #[arg(long)]
    keep: bool,
    /// Open a shell in the lab that was kept.
    #[arg(long, value_name = "WHERE")]
    enter: Option<Place>,
    /// End the lab that was kept.
    #[arg(long)]
    end: bool,
    /// Be the process that a kept lab hangs on.
    #[arg(long, hide = true)]
    hold: bool,
}

/// A host of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Place {
    /// Where netd runs.
    Host,
    /// What the host's uplink leads to.
    Outside,
    /// A neighbour of the host's.
    Attacker,
}

/// Does what is asked for.
pub fn run(wish: &Wish) -> Result<()> {
    if !Uid::effective().is_root() {
        bail!(
            "the demo needs root: it makes network namespaces and loads BPF programs. As root: cargo xtask demo"
        );
    }
    match wish {
        Wish { end: true, .. } => held::end(),
        Wish {
            enter: Some(place), ..
        } => held::enter(*place),
        Wish { hold: true, .. } => held::hold(),
        Wish { keep, .. } => show(*keep),
    }
}

fn show(keep: bool) -> Result<()> {
    let begin = Instant::now();
    if keep {
        held::refuse_second()?;
    }
    prepare()?;
    let built = begin.elapsed();
    if keep {
        held::start()?;
    } else {
        let mut stage = Stage::open()?;
        play::all(&mut stage)?;
        stage.close();
    }
    println!(
        "\nDone in {:.1} s, {:.1} s of it building.{}",
        begin.elapsed().as_secs_f32(),
        built.as_secs_f32(),
        if keep { "" } else { " Nothing is left behind." }
    );
    if keep {
        held::explain();
    }
    Ok(())
}

/// The demo as a test, where everything is built already.
pub fn smoke() -> Result<()> {
    let mut stage = Stage::open()?;
    play::all(&mut stage)?;
    stage.close();
    Ok(())
}

/// Installs and builds what is missing.
fn prepare() -> Result<()> {
    setup::ensure(Purpose::Test)?;
    build_ebpf::ensure()?;
    let mut command = shell::cargo();
    command.args(["build", "--package", "netd"]);
    // The first build takes a while and shows what it does.
    if binary().exists() {
        command.arg("--quiet");
    }
    shell::run(&mut command)
}

/// The binary that was built.
fn binary() -> std::path::PathBuf {
    workspace::target().join("debug/netd")
}
