//! A running engine. Docker's and Podman's command lines agree in all that is asked of them here.

use std::{
    cell::RefCell,
    fs,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use netd_tests::lab::{Background, Lab, Namespace};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::image::IMAGE;

/// How long one command may take: a hundred userland proxies are started one after the other.
const LIMIT: Duration = Duration::from_secs(120);
/// How long a daemon may take to end in order.
const END: Duration = Duration::from_secs(20);
/// The network that containers are on, and its addresses.
pub const NETWORK: &str = "app";
const SUBNET: &str = "10.90.0.0/16";
/// What containers run: nothing, for longer than any measurement.
const IDLE: &str = "/bin/busybox sleep 86400";

/// An engine in a lab. Containers, daemon and everything else end with it.
pub struct Engine {
    /// As samples name it.
    pub mode: &'static str,
    /// Where containers find their name server.
    pub server: SocketAddr,
    /// Command line and options that reach it.
    command: String,
    /// Its command that ends a container at once and removes it.
    remove: &'static str,
    daemon: Option<Background>,
    containers: RefCell<Vec<(String, Process)>>,
    lab: Lab,
}

/// A container's first process, told from a later one with the same number by its namespace.
struct Process {
    pid: i32,
    namespace: u64,
}

impl Process {
    fn lives(&self) -> bool {
        let now = fs::metadata(format!("/proc/{}/ns/net", self.pid));
        now.is_ok_and(|data| data.ino() == self.namespace)
    }
}

/// The parent of all control groups that containers get.
pub fn cgroup() -> String {
    format!("/netd-bench-{}", std::process::id())
}

impl Engine {
    /// Takes over a lab in which the engine answers, loads the image and makes the network.
    pub fn new(
        mode: &'static str,
        (command, remove): (String, &'static str),
        server: SocketAddr,
        daemon: Option<Background>,
        lab: Lab,
    ) -> Result<Engine> {
        let engine = Engine {
            mode,
            server,
            command,
            remove,
            daemon,
            containers: RefCell::default(),
            lab,
        };
        let archive = super::image::make(&engine.lab)?;
        engine.run(&format!("import {archive} {IMAGE}"))?;
        engine.run(&format!("network create --subnet {SUBNET} {NETWORK}"))?;
        Ok(engine)
    }

    /// Its lab.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The daemon's process, if it has one.
    pub fn daemon(&self) -> Option<u32> {
        self.daemon.as_ref().map(Background::pid)
    }

    /// Runs a command of its command line; what it printed.
    pub fn run(&self, arguments: &str) -> Result<String> {
        let line = format!("{} {arguments}", self.command);
        let finished = self.lab.host().run_within(&line, LIMIT)?;
        ensure!(finished.succeeded(), "{}", finished.describe());
        Ok(finished.stdout.trim().to_owned())
    }

    /// Makes a container on the network and starts it; how long both took.
    pub fn container(&self, name: &str, options: &str) -> Result<Duration> {
        let begin = Instant::now();
        self.run(&format!(
            "create --name {name} --network {NETWORK} --cgroup-parent {} {options} {IMAGE} {IDLE}",
            cgroup()
        ))?;
        self.run(&format!("start {name}"))?;
        let taken = begin.elapsed();
        let pid: i32 = self.inspect(name, "{{.State.Pid}}")?.parse()?;
        let namespace = fs::metadata(format!("/proc/{pid}/ns/net"))
            .with_context(|| format!("container {name} has ended"))?
            .ino();
        let process = Process { pid, namespace };
        self.containers
            .borrow_mut()
            .push((name.to_owned(), process));
        Ok(taken)
    }

    /// Ends a container and removes it.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.run(&format!("{} {name}", self.remove))?;
        self.containers.borrow_mut().retain(|(own, _)| own != name);
        Ok(())
    }

    /// A container's address on the network.
    pub fn address(&self, name: &str) -> Result<Ipv4Addr> {
        let format = format!("{{{{(index .NetworkSettings.Networks \"{NETWORK}\").IPAddress}}}}");
        let text = self.inspect(name, &format)?;
        text.parse()
            .with_context(|| format!("{name} has the address `{text}`"))
    }

    /// A container's network namespace.
    pub fn namespace(&self, name: &str) -> Result<Namespace> {
        let pid = self.inspect(name, "{{.State.Pid}}")?;
        let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
        self.lab.open_namespace(name, &path)
    }

    fn inspect(&self, name: &str, format: &str) -> Result<String> {
        self.run(&format!("inspect --format '{format}' {name}"))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let containers = self.containers.take();
        for (name, _) in &containers {
            // What is left is killed below.
            let _ = self.run(&format!("{} {name}", self.remove));
        }
        if let Some(daemon) = self.daemon.take() {
            let _ = daemon.signal(Signal::SIGTERM);
            // Killed when it does not end; the lab kills what it leaves.
            let _ = daemon.wait(END);
        }
        for (_, process) in containers {
            if process.lives() {
                // It may have ended meanwhile.
                let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
            }
        }
        remove_cgroups(&cgroup());
    }
}

/// Removes the empty control groups that containers had, in whichever hierarchies there are.
fn remove_cgroups(name: &str) {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(root).into_iter().flatten().flatten();
    let paths = hierarchies.map(|entry| entry.path());
    for hierarchy in paths.chain([root.to_owned()]) {
        let parent = hierarchy.join(name.trim_start_matches('/'));
        for group in fs::read_dir(&parent).into_iter().flatten().flatten() {
            // Files are none; a group in use stays, and is somebody else's then.
            let _ = fs::remove_dir(group.path());
        }
        let _ = fs::remove_dir(parent);
    }
}
