//! Where things are in the workspace. Names paths; makes nothing.

use std::path::PathBuf;

/// The workspace's top directory.
pub fn root() -> PathBuf {
    let xtask = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().map(PathBuf::from).unwrap_or(xtask)
}

/// Where the host's crates are built: cargo's default, or what `CARGO_TARGET_DIR` says.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// Where the finished BPF objects lie. Fixed, since netd's build script looks for them here.
pub fn objects() -> PathBuf {
    root().join("target").join("bpf")
}

/// Where cargo builds the BPF objects: apart from the host's builds, so that neither waits for the
/// other's lock.
pub fn bpf_build() -> PathBuf {
    root().join("target").join("bpf-build")
}
