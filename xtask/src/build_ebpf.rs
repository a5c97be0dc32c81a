//! Builds the BPF object twice, plain and with log calls, and leaves both where netd's build script
//! embeds them. Rewrites a file only when its bytes changed, so that netd is not built again for
//! nothing.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};

use crate::{
    object_report,
    setup::{self, Purpose},
    shell,
    toolchain::{TARGET, Toolchain},
    workspace,
};

/// One of the objects.
struct Variant {
    file: &'static str,
    features: &'static [&'static str],
}

/// The plain object has no log call at all; the agent loads the other for `--log-level trace`.
const VARIANTS: [Variant; 2] = [
    Variant {
        file: "netd-ebpf.o",
        features: &[],
    },
    Variant {
        file: "netd-ebpf-log.o",
        features: &["--features", "log"],
    },
];

/// BTF, so that `bpftool map dump` prints named fields.
/// Filling memory in place: the linker's default makes a call and a byte loop of each.
const FLAGS: [&str; 4] = [
    "-Cdebuginfo=2",
    "-Clinker=bpf-linker",
    "-Clink-arg=--btf",
    "-Clink-arg=--disable-expand-memcpy-in-order",
];

/// Builds both, checks them, and prints the plain one's programs.
pub fn run() -> Result<()> {
    setup::ensure(Purpose::Build)?;
    let toolchain = Toolchain::require()?;
    println!("BPF object: {}", toolchain.describe());
    for variant in &VARIANTS {
        let built = refresh(&toolchain, variant)?;
        let state = if built.changed {
            "written"
        } else {
            "unchanged"
        };
        println!("target/bpf/{} ({state})", variant.file);
        if variant.features.is_empty() {
            print!("{}", built.report);
        }
    }
    Ok(())
}

/// The same for those who only need the objects: says nothing when they are as they should be.
pub fn ensure() -> Result<()> {
    let toolchain = Toolchain::require()?;
    for variant in &VARIANTS {
        if refresh(&toolchain, variant)?.changed {
            println!("target/bpf/{} (written)", variant.file);
        }
    }
    Ok(())
}

/// A built and checked object.
struct Built {
    changed: bool,
    report: String,
}

fn refresh(toolchain: &Toolchain, variant: &Variant) -> Result<Built> {
    let built = build(toolchain, variant)?;
    Ok(Built {
        report: object_report::check(&built)?,
        changed: keep(&built, &workspace::objects().join(variant.file))?,
    })
}

fn build(toolchain: &Toolchain, variant: &Variant) -> Result<PathBuf> {
    let mut command = toolchain.cargo();
    command
        .current_dir(workspace::root())
        .env("CARGO_TARGET_DIR", workspace::bpf_build())
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"))
        .args(["build", "--package", "netd-ebpf"])
        .args(["--target", TARGET, "--profile", "bpf"])
        .args(toolchain.core_arguments())
        .args(variant.features);
    let built = workspace::bpf_build().join(TARGET).join("bpf/netd-ebpf");
    // The first build takes a while and shows what it does.
    if built.exists() {
        command.arg("--quiet");
    }
    shell::run(&mut command)?;
    Ok(built)
}

/// Copies the object unless the same bytes are there already; whether it did.
fn keep(built: &std::path::Path, path: &std::path::Path) -> Result<bool> {
    let bytes = fs::read(built).with_context(|| format!("cannot read {}", built.display()))?;
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    fs::create_dir_all(workspace::objects())?;
    // Renamed into place: a build script that runs meanwhile sees the old file or the new one.
    let new = path.with_extension("new");
    fs::write(&new, bytes).with_context(|| format!("cannot write {}", new.display()))?;
    fs::rename(&new, path)?;
    Ok(true)
}
