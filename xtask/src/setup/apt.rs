//! Debian's package manager, without questions. Called with what is missing only.

use std::process::Command;

use anyhow::{Context, Result};

use crate::shell;

/// Whether packages of this system have the names of our list.
pub fn is_debian() -> bool {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    release_is_debian(&release) && shell::find("apt-get").is_some()
}

fn release_is_debian(release: &str) -> bool {
    release.lines().any(|line| {
        let Some((key, value)) = line.split_once('=') else {
            return false;
        };
        let value = value.trim_matches('"');
        matches!(key, "ID" | "ID_LIKE") && value.split(' ').any(|word| word == "debian")
    })
}

/// Refreshes the lists and installs.
pub fn install(packages: &[&str]) -> Result<()> {
    shell::run(apt_get().args(["-q", "update"]))
        .context("the package lists cannot be refreshed")?;
    shell::run(
        apt_get()
            .args(["-q", "install", "-y", "--no-install-recommends"])
            .args(packages),
    )
    .context(
        "Debian's packages cannot be installed; they are those of Debian 12 with its security updates",
    )
}

fn apt_get() -> Command {
    let mut command = shell::clean_command("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_and_what_is_like_it_are_known() {
        assert!(release_is_debian("NAME=\"Debian GNU/Linux\"\nID=debian\n"));
        assert!(release_is_debian("ID=ubuntu\nID_LIKE=debian\n"));
        assert!(!release_is_debian("ID=fedora\nHOME_URL=debian\n"));
        assert!(!release_is_debian(""));
    }
}
