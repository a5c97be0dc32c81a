//! Running other programs: shown, checked, with an environment that cargo and rustup have not
//! marked. Decides nothing about what is run.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Variables that steer a compiler or that `cargo run` sets for its child. With one of them left,
/// another toolchain's cargo would take up the first one's compiler or flags.
fn is_toolchain_mark(name: &str) -> bool {
    const KEPT: [&str; 2] = ["CARGO_HOME", "CARGO_TERM_COLOR"];
    const KEPT_PREFIXES: [&str; 4] = [
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTRY_",
        "CARGO_REGISTRIES_",
    ];
    if KEPT.contains(&name) || KEPT_PREFIXES.iter().any(|kept| name.starts_with(kept)) {
        return false;
    }
    name == "CARGO"
        || name.starts_with("CARGO_")
        || name.starts_with("RUSTC")
        || name.starts_with("RUSTDOC")
        || name == "RUSTFLAGS"
        || name == "RUSTUP_TOOLCHAIN"
        || name == "RUST_RECURSION_COUNT"
        || name == "LD_LIBRARY_PATH"
}

/// A command that another toolchain than the one running xtask can be started by.
pub fn clean_command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_toolchain_mark) {
            command.env_remove(name);
        }
    }
    command.env("PATH", path_with_cargo_bin());
    command
}

/// `PATH` with cargo's install directory in it, where `cargo install` puts bpf-linker.
fn path_with_cargo_bin() -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    // Beside cargo's, the directories that an ordinary user's path leaves out.
    let more = cargo_bin()
        .into_iter()
        .chain(["/usr/sbin".into(), "/sbin".into()]);
    for dir in more {
        if !dirs.contains(&dir) {
            dirs.push(dir);
        }
    }
    std::env::join_paths(dirs).unwrap_or(path)
}

fn cargo_bin() -> Option<PathBuf> {
    match std::env::var_os("CARGO_HOME") {
        Some(home) => Some(PathBuf::from(home).join("bin")),
        None => std::env::home_dir().map(|home| home.join(".cargo").join("bin")),
    }
}

/// The cargo that runs xtask, for the host's crates, in the workspace.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What `cargo run` tells its child about xtask's own package; build scripts of others would
    // be made again each time it changes.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        }) {
            command.env_remove(name);
        }
    }
    command.current_dir(workspace::root());
    command
}

/// The command as a person would type it, without its environment.
pub fn shown(command: &Command) -> String {
    let mut text = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program())
        .to_string_lossy()
        .into_owned();
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        text.push(' ');
        if argument.is_empty() || argument.contains([' ', '"', '$', '*', ';', '|']) {
            text.push('\'');
            text.push_str(&argument);
            text.push('\'');
        } else {
            text.push_str(&argument);
        }
    }
    text
}

/// Runs a command with our own output streams; an error names the command and how it ended.
pub fn run(command: &mut Command) -> Result<()> {
    let text = shown(command);
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start `{text}`"))?;
    if !status.success() {
        bail!("`{text}` failed ({status})");
    }
    Ok(())
}

/// Runs a command and gives its standard output; an error carries its standard error.
pub fn read(command: &mut Command) -> Result<String> {
    let text = shown(command);
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{text}`"))?;
    if !status.success() {
        let stderr = String::from_utf8_lossy(&stderr);
        bail!("`{text}` failed ({status}): {}", stderr.trim());
    }
    String::from_utf8(stdout).with_context(|| format!("`{text}` printed no text"))
}

/// Where a program is in `PATH` (cargo's install directory included).
pub fn find(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&path_with_cargo_bin())
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}
