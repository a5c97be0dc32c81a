//! Docker Engine: dockerd with its own containerd, on the lab's host.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use netd_tests::lab::Lab;

use super::engine::Engine;
use crate::plan::Plan;

/// Not whatever else is called docker on this machine.
const DOCKERD: &str = "/usr/sbin/dockerd";
const DOCKER: &str = "/usr/bin/docker";
/// In the lab, whose `/run` and `/var/lib` are its own.
const SOCKET: &str = "unix:///run/docker.sock";
/// How long the daemon may take to start.
const START: Duration = Duration::from_secs(60);

/// Starts it. Storage is in memory: the lab's `/var/lib` is.
pub fn start(plan: &Plan, proxy: bool) -> Result<Engine> {
    for path in [DOCKERD, DOCKER] {
        ensure!(
            Path::new(path).exists(),
            "{path} is not installed (Debian: apt-get install docker.io)"
        );
    }
    let lab = Lab::create("docker", &plan.netd)?;
    // runc wants to decide itself what containers' mounts tell the host's.
    lab.host().run_checked("mount --make-rshared /")?;
    let mut daemon = lab.host().spawn(&format!(
        "{DOCKERD} --host {SOCKET} --userland-proxy={proxy} --exec-opt native.cgroupdriver=cgroupfs"
    ))?;
    let command = format!("{DOCKER} --host {SOCKET}");
    let deadline = Instant::now() + START;
    while !lab.host().run(&format!("{command} version"))?.succeeded() {
        if !daemon.is_running() || Instant::now() > deadline {
            let log = daemon.stderr();
            let last: Vec<&str> = log.lines().rev().take(3).collect();
            bail!("dockerd does not start: {}", last.join("; "));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let mode = if proxy { "docker" } else { "docker-noproxy" };
    let server = SocketAddr::from(([127, 0, 0, 11], 53));
    Engine::new(mode, (command, "rm -f"), server, Some(daemon), lab)
}
