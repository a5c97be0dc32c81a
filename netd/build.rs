//! Embeds the BPF objects that `cargo xtask build-ebpf` left under `target/bpf`. Starts no compiler:
//! without the objects the build fails and says which command makes them.
//!
//! In the crate: `aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netd-ebpf.o"))`, and
//! `netd-ebpf-log.o` for the object with log calls.

use std::{env, fs, path::PathBuf, process::ExitCode};

/// The plain object, and the one with log calls.
const OBJECTS: [&str; 2] = ["netd-ebpf.o", "netd-ebpf-log.o"];

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    let (Some(manifest), Some(out)) = (env::var_os("CARGO_MANIFEST_DIR"), env::var_os("OUT_DIR"))
    else {
        println!("cargo::error=this is a build script: cargo runs it");
        return ExitCode::FAILURE;
    };
    let objects = PathBuf::from(manifest).join("../target/bpf");
    for name in OBJECTS {
        let from = objects.join(name);
        println!("cargo::rerun-if-changed={}", from.display());
        if let Err(error) = fs::copy(&from, PathBuf::from(&out).join(name)) {
            println!("cargo::error=the BPF object target/bpf/{name} cannot be embedded: {error}");
            println!("cargo::error=make it with: cargo xtask build-ebpf");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
