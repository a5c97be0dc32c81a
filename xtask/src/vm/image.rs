//! The initramfs: this machine's programs with their libraries, at their own paths, the tests' files at
//! theirs, the modules, and an init that runs the tests. Nothing of it outlives the machine.

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::{choice::Tests, kernel::Kernel, modules};
use crate::{shell, workspace};

/// Programs of the labs, and modprobe (busybox's complains about compressed modules); `cargo xtask
/// setup` installs them. What else a script wants is busybox's.
const PROGRAMS: [&str; 22] = [
    "bash",
    "bpftool",
    "cat",
    "curl",
    "dig",
    "ethtool",
    "find",
    "getent",
    "ip",
    "modprobe",
    "nft",
    "nsenter",
    "ping",
    "setpriv",
    "sh",
    "socat",
    "tc",
    "tcpdump",
    "tracepath",
    "traceroute",
    "unshare",
    "wg",
];
/// Files that programs look things up in.
const FILES: [&str; 3] = ["/etc/nsswitch.conf", "/etc/protocols", "/etc/services"];
/// Mutated packets of the differential test for each program: as many as an emulated machine decides in a
/// few seconds.
const PACKETS: u32 = 300;
/// How many times longer than on a machine the labs wait for what has to happen.
const PATIENCE: u32 = 10;
/// Users that programs look for.
const PASSWD: &str = "root:x:0:0::/root:/bin/sh\ntcpdump:x:100:100::/:/bin/false\n";
const GROUP: &str = "root:x:0:\ntcpdump:x:100:\n";

/// Makes the image; its path.
pub fn make(kernel: &Kernel, tests: &Tests) -> Result<PathBuf> {
    let root = kernel.dir.join("root");
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("cannot empty {}", root.display()))?;
    }
    directories(&root)?;
    programs(&root)?;
    ours(&root, tests)?;
    modules::copy(kernel, &root)?;
    let init = root.join("init");
    fs::write(&init, script(tests))?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
    let image = kernel.dir.join("initramfs.cpio");
    // Not compressed: unpacking under emulation takes longer than reading.
    let line = "find . -print0 | cpio --null --create --format=newc --quiet > ../initramfs.cpio";
    shell::run(
        shell::clean_command("sh")
            .args(["-c", line])
            .current_dir(&root),
    )?;
    Ok(image)
}

fn directories(root: &Path) -> Result<()> {
    for dir in [
        "dev",
        "etc",
        "mnt",
        "proc",
        "root",
        "run/netns",
        "sys",
        "tmp",
        "usr",
        "var/lib",
        "var/run",
    ] {
        fs::create_dir_all(root.join(dir))?;
    }
    for dir in ["bin", "lib", "lib64", "sbin"] {
        let merged = format!("usr/{dir}");
        fs::create_dir_all(root.join(&merged))?;
        symlink(merged, root.join(dir))?;
    }
    Ok(())
}

fn programs(root: &Path) -> Result<()> {
    for name in PROGRAMS {
        let path = shell::find(name)
            .with_context(|| format!("no {name}; `cargo xtask setup` installs it"))?;
        with_libraries(root, &path, &path)?;
    }
    let busybox = shell::find("busybox").context("no busybox")?;
    with_libraries(root, &busybox, Path::new("/usr/bin/busybox"))?;
    for file in FILES {
        // Absent on some systems; the C library has defaults.
        if Path::new(file).exists() {
            fs::copy(file, below(root, Path::new(file)))?;
        }
    }
    fs::write(root.join("etc/passwd"), PASSWD)?;
    fs::write(root.join("etc/group"), GROUP)?;
    fs::write(
        root.join("etc/hosts"),
        "127.0.0.1 localhost\n::1 localhost\n",
    )?;
    fs::write(root.join("etc/resolv.conf"), "")?;
    Ok(())
}

/// netd, the tests and what they read, where they look for it.
fn ours(root: &Path, tests: &Tests) -> Result<()> {
    let mut binaries = vec![tests.netd.as_path()];
    for run in &tests.runs {
        if !binaries.contains(&run.binary.as_path()) {
            binaries.push(&run.binary);
        }
    }
    for binary in binaries {
        with_libraries(root, binary, binary)?;
        let copy = below(root, binary);
        shell::run(
            shell::clean_command("strip")
                .arg("--strip-debug")
                .arg(&copy),
        )?;
    }
    let top = workspace::root();
    for dir in ["tests/fixtures", "target/bpf"] {
        tree(&top.join(dir), &below(root, &top.join(dir)))?;
    }
    Ok(())
}

/// Copies a program to `target` below the root, and its libraries to their own paths.
fn with_libraries(root: &Path, program: &Path, target: &Path) -> Result<()> {
    copy(program, &below(root, target))?;
    // Not for one that is linked statically.
    let Ok(text) = shell::read(shell::clean_command("ldd").arg(program)) else {
        return Ok(());
    };
    if text.contains("not found") {
        bail!("{} lacks a library:\n{text}", program.display());
    }
    for word in text.split_whitespace().filter(|word| word.starts_with('/')) {
        let target = below(root, Path::new(word));
        if !target.exists() {
            copy(Path::new(word), &target)?;
        }
    }
    Ok(())
}

/// Copies what a path leads to, with its mode.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::copy(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

fn tree(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("no {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            tree(&entry.path(), &target)?;
        } else {
            copy(&entry.path(), &target)?;
        }
    }
    Ok(())
}

fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// What the machine does, then turns itself off. The last line that it prints is [`super::machine`]'s.
fn script(tests: &Tests) -> String {
    let mut text = String::from(
        "#!/usr/bin/busybox sh\n\
         export PATH=/usr/sbin:/usr/bin HOME=/root\n\
         busybox mount -t proc proc /proc\n\
         busybox --install -s /usr/bin 2>/dev/null\n\
         mount -t sysfs sys /sys\n\
         mount -t devtmpfs dev /dev\n\
         mount -t tmpfs tmp /tmp\n\
         mount -t bpf bpf /sys/fs/bpf\n\
         mount -t cgroup2 cgroup /sys/fs/cgroup\n\
         ip link set lo up\n",
    );
    for module in modules::LOADED {
        let _ = writeln!(text, "modprobe {module}");
    }
    let crate_dir = workspace::root().join("tests");
    let _ = writeln!(
        text,
        "cd '{}'\nexport PACKETS={PACKETS} PATIENCE={PATIENCE}\nstatus=0",
        crate_dir.display()
    );
    for run in &tests.runs {
        let _ = writeln!(
            text,
            "echo; echo \"== {name} $(cut -d' ' -f1 /proc/uptime) s\"\n\
             '{path}' --test-threads=2 --show-output {filter} || status=$?",
            name = run
                .binary
                .file_name()
                .map(|name| name.to_string_lossy())
                .unwrap_or_default(),
            path = run.binary.display(),
            filter = run.filter,
        );
    }
    let _ = writeln!(
        text,
        "echo \"{} $status\"\npoweroff -f",
        super::machine::ENDED
    );
    text
}
