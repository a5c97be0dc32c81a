//! The mount namespace of a lab: own `/run`, `/var/lib`, bpffs and resolv.conf, so that netd runs
//! with its default paths beside anything else on the machine. Gone with the last thread and process
//! in it.

use std::{
    fs::{self, File},
    os::{fd::AsRawFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
    unistd::Uid,
};

use super::{strays, worker::Worker};

/// Where the lab's own `netd` lies in it.
const BIN: &str = "/run/lab/bin";

/// The mount namespace and a thread that lives in it.
pub struct World {
    worker: Worker,
    inode: u64,
    environment: Arc<Vec<(String, String)>>,
}

impl World {
    /// Makes it. Programs in it find `netd` in their `PATH`.
    pub fn create(name: &str, netd: &Path, resolv_conf: &str) -> Result<World> {
        if !Uid::effective().is_root() {
            bail!("a lab needs root: it makes namespaces and loads BPF programs");
        }
        let netd = netd.to_owned();
        let resolv_conf = resolv_conf.to_owned();
        let worker = Worker::start(name, move || enter(&netd, &resolv_conf))?;
        let inode = worker
            .on(|| fs::metadata("/proc/thread-self/ns/mnt"))
            .context("cannot see the thread's mount namespace")?
            .ino();
        let path = std::env::var("PATH").unwrap_or_default();
        let environment = vec![
            ("PATH".into(), format!("{BIN}:{path}:/usr/sbin:/sbin")),
            // Texts are compared, and no colours wanted in them.
            ("LC_ALL".into(), "C.UTF-8".into()),
            ("NO_COLOR".into(), "1".into()),
            // A panic of netd's is looked for in its log.
            ("RUST_BACKTRACE".into(), "1".into()),
        ];
        Ok(World {
            worker,
            inode,
            environment: Arc::new(environment),
        })
    }

    /// The thread.
    pub fn worker(&self) -> &Worker {
        &self.worker
    }

    /// For all programs in the lab.
    pub fn environment(&self) -> Arc<Vec<(String, String)>> {
        Arc::clone(&self.environment)
    }

    /// Its number in `/proc/PID/ns/mnt`.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Reads a file as the lab sees it.
    pub fn read(&self, path: &str) -> std::io::Result<String> {
        let path = path.to_owned();
        self.worker.on(move || fs::read_to_string(path))
    }

    /// Writes a file where only the lab sees it: below `/run` or `/var/lib`.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        let (path, text) = (PathBuf::from(path), text.to_owned());
        if !path.starts_with("/run") && !path.starts_with("/var/lib") {
            bail!("{} is not the lab's own", path.display());
        }
        self.worker.on(move || {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        })
    }

    /// Names of the directory entries, sorted; none if it is absent.
    pub fn list(&self, path: &str) -> Vec<String> {
        let path = path.to_owned();
        let mut names = self.worker.on(move || {
            fs::read_dir(path)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect::<Vec<_>>()
        });
        names.sort();
        names
    }

    /// Network namespaces that netd made or joined in the lab, by number.
    pub fn sandbox_namespaces(&self) -> Vec<u64> {
        self.worker.on(|| {
            fs::read_dir("/run/netd/netns")
                .into_iter()
                .flatten()
                .flatten()
                .filter_map(|entry| fs::metadata(entry.path()).ok())
                .map(|data| data.ino())
                .collect()
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // What a test started by way of `netd exec` may still run.
        let networks = self.sandbox_namespaces();
        strays::kill(self.inode, &networks);
    }
}

/// What the lab's thread does first.
fn enter(netd: &Path, resolv_conf: &str) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace")?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .context("cannot make mounts private")?;
    // Before the repository may be hidden below a directory of the lab's own; and only now, since a
    // file opened in another mount namespace cannot be bound.
    let netd = File::open(netd).with_context(|| {
        format!(
            "no netd at {}; make it with `cargo xtask build-ebpf` and `cargo build -p netd`",
            netd.display()
        )
    })?;
    let resolv_target = fs::canonicalize("/etc/resolv.conf");
    // Others' named namespaces, which would live as long as this copy of their mounts. Fails where
    // nothing is mounted.
    let _ = umount2("/run/netns", MntFlags::MNT_DETACH);
    for dir in ["/run", "/var/lib"] {
        mount(Some("netd-lab"), dir, Some("tmpfs"), MsFlags::empty(), none)
            .with_context(|| format!("cannot mount the lab's {dir}"))?;
    }
    mount(
        Some("bpf"),
        "/sys/fs/bpf",
        Some("bpf"),
        MsFlags::empty(),
        none,
    )
    .context("cannot mount bpffs at /sys/fs/bpf")?;

    fs::create_dir_all(BIN)?;
    let target = format!("{BIN}/netd");
    fs::write(&target, "")?;
    bind(&format!("/proc/self/fd/{}", netd.as_raw_fd()), &target)?;

    fs::write("/run/lab/resolv.conf", resolv_conf)?;
    match resolv_target {
        // systemd-resolved's way: a link to a file that the lab's own /run does not have.
        Ok(path) if path.starts_with("/run") => {
            fs::create_dir_all(path.parent().unwrap_or(Path::new("/run")))?;
            fs::write(&path, resolv_conf)?;
        }
        Ok(path) => bind("/run/lab/resolv.conf", &path.to_string_lossy())?,
        Err(error) => bail!("/etc/resolv.conf: {error}"),
    }
    Ok(())
}

fn bind(from: &str, to: &str) -> Result<()> {
    let none = None::<&str>;
    mount(Some(from), to, none, MsFlags::MS_BIND, none)
        .with_context(|| format!("cannot bind {from} to {to}"))
}
