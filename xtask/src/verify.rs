//! `cargo xtask verify`: the running kernel's verifier on every program, with the instruction counts
//! compared with the recorded ones. The test itself is in the labs' crate.

use anyhow::{Result, bail};
use nix::unistd::Uid;

use crate::{
    build_ebpf,
    setup::{self, Purpose},
    shell,
};

/// Asks the test to record the counts instead of comparing them.
const BLESS: &str = "BLESS";

/// Builds the object and has it verified.
pub fn run(bless: bool) -> Result<()> {
    if !Uid::effective().is_root() {
        bail!(
            "the verifier needs root: programs are loaded into the kernel. As root: cargo xtask verify"
        );
    }
    setup::ensure(Purpose::Test)?;
    build_ebpf::ensure()?;
    let mut command = shell::cargo();
    command.args(["test", "--package", "netd-tests", "--test", "verifier"]);
    if bless {
        command.env(BLESS, "1");
    }
    shell::run(&mut command)
}
