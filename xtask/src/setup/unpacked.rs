//! Debian packages that are unpacked below `target` and never installed, since installing them would
//! change the machine: systemd-resolved's takes /etc/resolv.conf over.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::{Purpose, apt};
use crate::{shell, workspace};

/// A stub resolver that tests ask netd by, and the library that it needs.
const PACKAGES: [&str; 2] = ["systemd-resolved", "libsystemd-shared"];
const PROGRAM: &str = "lib/systemd/systemd-resolved";

/// Makes sure that they are there where the purpose needs them; whether they had to be fetched.
pub fn ensure(purpose: Purpose) -> Result<bool> {
    if !matches!(purpose, Purpose::Test | Purpose::Machine | Purpose::Real) {
        return Ok(false);
    }
    let unpacked = directory().join("systemd-resolved");
    if Path::new("/").join(PROGRAM).exists() || unpacked.join(PROGRAM).exists() {
        return Ok(false);
    }
    if !apt::is_debian() {
        bail!("please install systemd-resolved, which tests ask netd by, as /{PROGRAM}");
    }
    println!("setup: unpacking {} below target", PACKAGES.join(" and "));
    fetch(&unpacked)?;
    Ok(true)
}

/// Fixed, since tests look for them here.
fn directory() -> PathBuf {
    workspace::root().join("target").join("debian")
}

fn fetch(unpacked: &Path) -> Result<()> {
    let draft = directory().join(format!("new-{}", std::process::id()));
    let packages = draft.join("packages");
    fs::create_dir_all(&packages).with_context(|| format!("cannot make {}", draft.display()))?;
    let fetched = apt::download(&PACKAGES, &packages).and_then(|()| {
        let content = draft.join("content");
        for package in fs::read_dir(&packages)? {
            let mut unpack = shell::clean_command("dpkg-deb");
            shell::run(unpack.arg("-x").args([&package?.path(), &content]))?;
        }
        match fs::rename(&content, unpacked) {
            // Another run was faster.
            Err(_) if unpacked.join(PROGRAM).exists() => Ok(()),
            other => other.context("cannot move what was unpacked"),
        }
    });
    // A draft that stays is only clutter.
    let _ = fs::remove_dir_all(&draft);
    fetched
}
