//! `cargo xtask install`: builds netd for use and puts the binary and the systemd unit where a host
//! expects them. Starts nothing: that is systemctl's.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use clap::Args;

use crate::{build_ebpf, shell, workspace};

/// Where to.
#[derive(Args)]
pub struct Wish {
    /// The binary goes to PREFIX/bin, manual pages and completions to PREFIX/share.
    #[arg(long, value_name = "DIR", default_value = "/usr/local")]
    prefix: PathBuf,
    /// The unit netd.service goes here.
    #[arg(long, value_name = "DIR", default_value = "/etc/systemd/system")]
    unit_dir: PathBuf,
}

/// What the unit in the repository starts; replaced where the prefix is another one.
const DEFAULT_BINARY: &str = "/usr/local/bin/netd";

/// Builds and installs.
pub fn run(wish: &Wish) -> Result<()> {
    build_ebpf::run()?;
    shell::run(shell::cargo().args(["build", "--release", "--package", "netd"]))?;
    let binary = wish.prefix.join("bin/netd");
    put(
        &fs::read(workspace::target().join("release/netd"))?,
        &binary,
        0o755,
    )?;
    let unit = fs::read_to_string(workspace::root().join("packaging/systemd/netd.service"))?;
    let unit = unit.replace(DEFAULT_BINARY, &binary.to_string_lossy());
    share(&binary, &wish.prefix.join("share"))?;
    let unit_path = wish.unit_dir.join("netd.service");
    put(unit.as_bytes(), &unit_path, 0o644)?;
    println!("next: systemctl daemon-reload && systemctl enable --now netd");
    Ok(())
}

/// Manual pages and what shells need to complete netd's words, from the binary itself.
fn share(binary: &Path, share: &Path) -> Result<()> {
    let pages = share.join("man/man1");
    shell::run(Command::new(binary).arg("man").arg(&pages))?;
    println!("installed {}", pages.join("netd*.1").display());
    for (shell, place) in COMPLETIONS {
        let script = shell::read(Command::new(binary).args(["completion", shell]))?;
        put(script.as_bytes(), &share.join(place), 0o644)?;
    }
    Ok(())
}

/// Where each shell looks, below PREFIX/share.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "bash-completion/completions/netd"),
    ("zsh", "zsh/site-functions/_netd"),
    ("fish", "fish/vendor_completions.d/netd.fish"),
];

/// Writes beside and renames: a running netd keeps its old file, and no half file is ever started.
fn put(bytes: &[u8], path: &Path, mode: u32) -> Result<()> {
    let doing = || format!("cannot write {}", path.display());
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(doing)?;
    }
    let draft = path.with_extension("new");
    fs::write(&draft, bytes).with_context(doing)?;
    fs::set_permissions(&draft, fs::Permissions::from_mode(mode)).with_context(doing)?;
    fs::rename(&draft, path).with_context(doing)?;
    println!("installed {}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_whole_and_with_their_mode() {
        let dir = std::env::temp_dir().join(format!("netd-install-{}", std::process::id()));
        let path = dir.join("bin/netd");
        put(b"one", &path, 0o755).expect("first");
        put(b"two", &path, 0o755).expect("second");
        assert_eq!(fs::read(&path).expect("there"), b"two");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        let left = fs::read_dir(dir.join("bin")).expect("dir").count();
        assert_eq!(left, 1, "no draft is left");
        fs::remove_dir_all(&dir).expect("clean up");
    }

    #[test]
    fn the_unit_starts_the_default_binary() {
        let unit = include_str!("../../packaging/systemd/netd.service");
        assert!(unit.contains(DEFAULT_BINARY));
    }
}
