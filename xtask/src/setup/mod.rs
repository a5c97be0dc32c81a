//! `cargo xtask setup`: what building and testing netd need, found or installed. Looks first and is
//! done within a fraction of a second when nothing is missing; changes nothing but packages and
//! cargo's install directory.

mod apt;
mod linker;
mod needs;
mod unpacked;

use anyhow::{Result, bail};
use nix::unistd::Uid;

pub use needs::Purpose;

use crate::toolchain::Toolchain;
use needs::Need;

/// Makes sure that everything for the purpose is there, and says so.
pub fn run(purpose: Purpose) -> Result<()> {
    if ensure(purpose)? {
        println!("setup: everything is installed now");
    } else {
        println!("setup: nothing is missing");
    }
    Ok(())
}

/// Makes sure that everything for the purpose is there, without a word if it is; whether anything
/// had to be installed.
pub fn ensure(purpose: Purpose) -> Result<bool> {
    let installed = ensure_installed(purpose)?;
    Ok(unpacked::ensure(purpose)? || installed)
}

fn ensure_installed(purpose: Purpose) -> Result<bool> {
    let mut missing = needs::missing(purpose);
    let linker_missing = linker::is_missing();
    if linker_missing {
        missing.extend(needs::missing(Purpose::BuildLinker));
    }
    // Looked for again after the linker's part: which compilers can be used depends on it.
    if Toolchain::find().is_none() {
        missing.extend(needs::missing(Purpose::Compile));
    }
    if missing.is_empty() && !linker_missing {
        return Ok(false);
    }
    install_packages(&missing)?;
    if linker_missing {
        linker::install()?;
    }
    let left = needs::missing(purpose);
    if !left.is_empty() {
        bail!("still missing after installation:\n{}", listing(&left));
    }
    Toolchain::require()?;
    Ok(true)
}

fn install_packages(missing: &[Need]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let list = listing(missing);
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    let command = format!("apt-get install {}", packages.join(" "));
    if !apt::is_debian() {
        bail!(
            "this is no Debian system, so please install by hand what is missing:\n{list}\
             (the names are Debian's; for a compiler, rustup's nightly with rust-src will do)"
        );
    }
    if !Uid::effective().is_root() {
        bail!("these are missing, and only root can install them:\n{list}as root: {command}");
    }
    println!("setup: installing\n{}", list.trim_end());
    apt::install(&packages)
}

fn listing(needs: &[Need]) -> String {
    needs
        .iter()
        .map(|need| format!("  {:<26}{}\n", need.package, need.why))
        .collect()
}
