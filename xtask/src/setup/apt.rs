//! Debian's package manager, without questions. Called with what is missing only.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
};

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

/// Refreshes the lists and installs. Services among the packages (such as dockerd, which would write
/// to the machine's own rules) are not started.
pub fn install(packages: &[&str]) -> Result<()> {
    let _quiet = NoServices::begin()?;
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

/// Fetches packages into a directory without installing them.
pub fn download(packages: &[&str], to: &Path) -> Result<()> {
    let mut fetch = apt_get();
    fetch
        .args(["-q", "download"])
        .args(packages)
        .current_dir(to)
        // apt's own user may not write below target/.
        .args(["-o", "APT::Sandbox::User=root"]);
    if shell::run(&mut fetch).is_ok() {
        return Ok(());
    }
    shell::run(apt_get().args(["-q", "update"]))
        .context("the package lists cannot be refreshed")?;
    shell::run(&mut fetch).context("Debian's packages cannot be fetched")
}

/// Debian's way to install without starting services: a program that answers every wish to start one
/// with 101, "not allowed" (its invoke-rc.d(8)).
struct NoServices {
    ours: bool,
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl NoServices {
    fn begin() -> Result<NoServices> {
        // The administrator's own stays.
        let ours = !Path::new(POLICY).exists();
        if ours {
            let doing = || format!("cannot write {POLICY}");
            fs::write(POLICY, "#!/bin/sh\nexit 101\n").with_context(doing)?;
            fs::set_permissions(POLICY, Permissions::from_mode(0o755)).with_context(doing)?;
        }
        Ok(NoServices { ours })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = fs::remove_file(POLICY)
        {
            eprintln!("setup: please remove {POLICY}, which keeps services from starting: {error}");
        }
    }
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
