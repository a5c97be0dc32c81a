//! bpf-linker: the one tool that comes by `cargo install`, built against Debian's LLVM.

use anyhow::{Context, Result};

use crate::{
    shell,
    toolchain::{LINKER, LINKER_VERSION},
};

/// Where Debian keeps the LLVM that bpf-linker is built against.
const LLVM: &str = "/usr/lib/llvm-22";

/// Whether there is no bpf-linker that starts: one whose LLVM was removed does not.
pub fn is_missing() -> bool {
    shell::read(shell::clean_command(LINKER).arg("--version")).is_err()
}

/// Builds it. `LLVM_PREFIX` is the variable that its build script reads; without it, it looks for
/// LLVM in the system's library path and fails to link.
pub fn install() -> Result<()> {
    println!("setup: building bpf-linker {LINKER_VERSION} (one or two minutes)");
    let mut command = shell::clean_command("cargo");
    command
        .env("LLVM_PREFIX", LLVM)
        .args(["install", LINKER, "--version", LINKER_VERSION, "--locked"])
        .args(["--force", "--no-default-features", "--features", "llvm-22"]);
    shell::run(&mut command).with_context(|| format!("bpf-linker cannot be built against {LLVM}"))
}
