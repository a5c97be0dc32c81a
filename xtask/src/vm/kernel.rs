//! Debian's kernel packages: found by the pattern of their names, fetched by apt, unpacked below
//! `target/vm`. Never installed. A package that was unpacked is used again, without asking apt.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::{shell, workspace};

/// Packages that are tried before giving up: apt's lists may name some that the mirror has dropped.
const TRIES: usize = 3;

/// A series of kernels that netd is tested on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Series {
    /// Debian 12's own; the oldest that netd supports.
    #[value(name = "6.1")]
    V6_1,
    /// From Debian 12's backports.
    #[value(name = "6.12")]
    V6_12,
}

/// An unpacked package.
pub struct Kernel {
    /// As `uname -r` says.
    pub release: String,
    /// What QEMU boots.
    pub vmlinuz: PathBuf,
    /// `lib/modules/RELEASE` is below it.
    pub unpacked: PathBuf,
    /// Where what is made for it goes.
    pub dir: PathBuf,
    /// Locked while this value lives: nobody else writes there.
    _lock: File,
}

impl Series {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Series::V6_1 => "6.1",
            Series::V6_12 => "6.12",
        }
    }

    /// What apt searches for: an extended regular expression.
    fn pattern(self) -> &'static str {
        match self {
            Series::V6_1 => r"^linux-image-6\.1\.0-[0-9]+-cloud-amd64$",
            Series::V6_12 => r"^linux-image-6\.12\.[0-9]+\+deb12-cloud-amd64$",
        }
    }
}

/// The unpacked package, fetched if it is not there.
pub fn get(series: Series) -> Result<Kernel> {
    let dir = workspace::target().join("vm").join(series.name());
    let unpacked = dir.join("kernel");
    fs::create_dir_all(&dir)?;
    let lock = lock(&dir)?;
    if find(&unpacked).is_none() {
        fetch(series, &dir, &unpacked)?;
    }
    let (release, vmlinuz) =
        find(&unpacked).with_context(|| format!("no kernel in {}", unpacked.display()))?;
    Ok(Kernel {
        release,
        vmlinuz,
        unpacked,
        dir,
        _lock: lock,
    })
}

fn fetch(series: Series, dir: &Path, unpacked: &Path) -> Result<()> {
    let draft = dir.join("kernel.new");
    // What an interrupted run left.
    let _ = fs::remove_dir_all(&draft);
    let package = download(series, dir)?;
    shell::run(
        shell::clean_command("dpkg-deb")
            .arg("-x")
            .args([&package, &draft]),
    )?;
    fs::rename(&draft, unpacked)?;
    fs::remove_file(&package)?;
    Ok(())
}

/// Waits until no other run uses the directory.
fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    file.lock()
        .with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// Release and image of the kernel that was unpacked.
fn find(unpacked: &Path) -> Option<(String, PathBuf)> {
    let modules = fs::read_dir(unpacked.join("lib/modules")).ok()?;
    let release = modules
        .flatten()
        .find_map(|entry| entry.file_name().into_string().ok())?;
    let vmlinuz = unpacked.join(format!("boot/vmlinuz-{release}"));
    vmlinuz.exists().then_some((release, vmlinuz))
}

/// The newest package that the mirror has; its path.
fn download(series: Series, dir: &Path) -> Result<PathBuf> {
    if let Some(package) = download_known(series, dir)? {
        return Ok(package);
    }
    // No lists, or lists that are older than the mirror.
    shell::run(shell::clean_command("apt-get").args(["-q", "update"]))?;
    download_known(series, dir)?.with_context(|| {
        format!(
            "apt has no kernel {} that can be fetched ({}); Debian 12 has it in bookworm-security or \
             bookworm-backports",
            series.name(),
            series.pattern()
        )
    })
}

/// The newest package that apt's lists name and the mirror has.
fn download_known(series: Series, dir: &Path) -> Result<Option<PathBuf>> {
    for package in search(series)?.iter().take(TRIES) {
        println!("vm: fetching {package}");
        let mut command = shell::clean_command("apt-get");
        command
            .args(["-q", "download", package])
            .current_dir(dir)
            // apt's own user may not write below target/.
            .args(["-o", "APT::Sandbox::User=root"]);
        if let Err(error) = shell::run(&mut command) {
            println!("vm: {error:#}; trying the one before");
            continue;
        }
        for entry in fs::read_dir(dir)?.flatten() {
            let name = entry.file_name();
            if name.to_string_lossy().starts_with(package.as_str()) {
                return Ok(Some(entry.path()));
            }
        }
    }
    Ok(None)
}

/// Names of packages, newest first.
fn search(series: Series) -> Result<Vec<String>> {
    let text = shell::read(shell::clean_command("apt-cache").args([
        "search",
        "--names-only",
        series.pattern(),
    ]))?;
    let mut names: Vec<String> = text
        .lines()
        .filter_map(|line| Some(line.split_once(' ')?.0.to_owned()))
        .collect();
    names.sort_by_key(|name| std::cmp::Reverse(numbers(name)));
    Ok(names)
}

/// The numbers in a name, so that 117 comes after 99.
fn numbers(name: &str) -> Vec<u32> {
    name.split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let old = numbers("linux-image-6.12.99+deb12-cloud-amd64");
        let new = numbers("linux-image-6.12.117+deb12-cloud-amd64");
        assert!(old < new);
        assert_eq!(new, [6, 12, 117, 12, 64]);
    }
}
