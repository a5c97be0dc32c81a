//! Finds a compiler for the BPF target: rustup's nightly with its source, else Debian's rustc-web.
//! Installs nothing.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use crate::shell;

/// The target of all supported hosts, which are little-endian.
pub const TARGET: &str = "bpfel-unknown-none";

/// Links the programs to one object and makes BTF.
pub const LINKER: &str = "bpf-linker";
/// The version that set-up installs.
pub const LINKER_VERSION: &str = "0.13.0";
/// The LLVM that set-up builds it against, and so the newest that a compiler may have.
const LINKER_LLVM: u32 = 22;

/// Where Debian keeps its compiler, beside rustup's.
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_RUSTLIB: &str = "/usr/lib/rustlib";

/// A compiler that can build for [`TARGET`].
#[derive(Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// rustup's, by its directory; builds `core` from its source.
    Nightly(PathBuf),
    /// Debian's stable compiler, asked for nightly features by `RUSTC_BOOTSTRAP`.
    Debian {
        /// `core` for the target is there as a library; else it is built from source.
        prebuilt_core: bool,
    },
}

impl Toolchain {
    /// The best that this machine has.
    pub fn find() -> Option<Toolchain> {
        nightly().or_else(debian)
    }

    /// The same, or one message that says what to install.
    pub fn require() -> Result<Toolchain> {
        match Toolchain::find() {
            Some(toolchain) => Ok(toolchain),
            None => bail!(MISSING),
        }
    }

    /// `cargo` of this toolchain with nothing inherited from the one that runs xtask.
    pub fn cargo(&self) -> Command {
        let cargo = match self {
            Toolchain::Nightly(dir) => dir.join("bin/cargo"),
            Toolchain::Debian { .. } => DEBIAN_CARGO.into(),
        };
        self.command(&cargo)
    }

    /// Another program of this toolchain.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = shell::clean_command(program);
        command.env("RUSTC", self.rustc());
        if let Toolchain::Debian { .. } = self {
            command
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO", DEBIAN_CARGO);
        }
        command
    }

    /// Its `cargo-clippy`, if it has one. Called by its path: `cargo clippy` would look in rustup's
    /// directory first.
    pub fn clippy(&self) -> Option<PathBuf> {
        let clippy = self.rustc().with_file_name("cargo-clippy");
        clippy.is_file().then_some(clippy)
    }

    /// Its compiler.
    pub fn rustc(&self) -> PathBuf {
        match self {
            Toolchain::Nightly(dir) => dir.join("bin/rustc"),
            Toolchain::Debian { .. } => DEBIAN_RUSTC.into(),
        }
    }

    /// Arguments that make `core` available for the target.
    pub fn core_arguments(&self) -> &'static [&'static str] {
        match self {
            Toolchain::Debian {
                prebuilt_core: true,
            } => &[],
            Toolchain::Debian {
                prebuilt_core: false,
            }
            | Toolchain::Nightly(_) => &["-Zbuild-std=core"],
        }
    }

    /// For people: which one, and how it gets `core`.
    pub fn describe(&self) -> String {
        let version = shell::read(shell::clean_command(self.rustc()).arg("--version"))
            .unwrap_or_else(|_| "rustc".into());
        let version = version
            .split(" (")
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned();
        match self {
            Toolchain::Nightly(_) => format!("rustup's nightly {version}, core from rust-src"),
            Toolchain::Debian {
                prebuilt_core: true,
            } => format!("Debian's {version}, prebuilt core"),
            Toolchain::Debian {
                prebuilt_core: false,
            } => format!("Debian's {version}, core from rust-web-src"),
        }
    }
}

const MISSING: &str = "no compiler for BPF programs found. One of these is needed:
  rustup:     rustup toolchain install nightly --component rust-src
  Debian 12:  apt-get install rustc-web cargo-web libstd-rust-web-dev-bpf
`cargo xtask setup`, as root on Debian, installs the second.";

/// rustup's nightly, if its source (rust-src) is there too and bpf-linker can read what it writes.
fn nightly() -> Option<Toolchain> {
    let list =
        shell::read(shell::clean_command("rustup").args(["toolchain", "list", "-v"])).ok()?;
    list.lines()
        .filter(|line| line.starts_with("nightly"))
        .filter_map(|line| line.split_whitespace().last())
        .map(PathBuf::from)
        .filter(|dir| has_core_source(&dir.join("lib/rustlib")) && dir.join("bin/cargo").is_file())
        .find(|dir| {
            let linker = linker_llvm().unwrap_or(LINKER_LLVM);
            llvm(&dir.join("bin/rustc")).is_some_and(|compiler| compiler <= linker)
        })
        .map(Toolchain::Nightly)
}

/// Debian's, if it is new enough to know the target.
fn debian() -> Option<Toolchain> {
    if !debian_compiler_is_new_enough() {
        return None;
    }
    let rustlib = Path::new(DEBIAN_RUSTLIB);
    if rustlib.join(TARGET).join("lib").is_dir() {
        return Some(Toolchain::Debian {
            prebuilt_core: true,
        });
    }
    has_core_source(rustlib).then_some(Toolchain::Debian {
        prebuilt_core: false,
    })
}

/// Whether Debian's compiler and cargo are there, and as new as the workspace's `rust-version`:
/// Debian's plain `rustc` package has the same path and is far older than rustc-web.
pub fn debian_compiler_is_new_enough() -> bool {
    Path::new(DEBIAN_CARGO).is_file()
        && shell::read(shell::clean_command(DEBIAN_RUSTC).arg("--version"))
            .is_ok_and(|version| new_enough(&version))
}

/// The major version of a compiler's LLVM.
fn llvm(rustc: &Path) -> Option<u32> {
    let version = shell::read(shell::clean_command(rustc).arg("-vV")).ok()?;
    major_after(&version, "LLVM version: ")
}

/// The major version of the LLVM that the installed bpf-linker is linked to.
fn linker_llvm() -> Option<u32> {
    let path = shell::find(LINKER)?;
    let libraries = shell::read(shell::clean_command("ldd").arg(path)).ok()?;
    major_after(&libraries, "libLLVM.so.").or_else(|| major_after(&libraries, "libLLVM-"))
}

/// The number right after the first `mark` in `text`.
fn major_after(text: &str, mark: &str) -> Option<u32> {
    let rest = &text[text.find(mark)? + mark.len()..];
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

fn has_core_source(rustlib: &Path) -> bool {
    rustlib.join("src/rust/library/core/src/lib.rs").is_file()
}

fn new_enough(version: &str) -> bool {
    const MINOR: u32 = 90;
    let minor = version
        .strip_prefix("rustc 1.")
        .and_then(|rest| rest.split('.').next())
        .and_then(|minor| minor.parse::<u32>().ok());
    minor.is_some_and(|minor| minor >= MINOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llvm_versions_are_found() {
        assert_eq!(
            major_after("release: 1.96\nLLVM version: 22.1.8\n", "LLVM version: "),
            Some(22)
        );
        assert_eq!(
            major_after("\tlibLLVM.so.22.1 => /usr/lib", "libLLVM.so."),
            Some(22)
        );
        assert_eq!(major_after("static", "libLLVM.so."), None);
    }

    #[test]
    fn versions_are_compared_by_number() {
        assert!(new_enough("rustc 1.96.0 (ac68faa20 2026-05-25)"));
        assert!(new_enough("rustc 1.100.0"));
        assert!(!new_enough("rustc 1.63.0 (4b91a6ea7 2022-08-08)"));
        assert!(!new_enough("something else"));
    }
}
