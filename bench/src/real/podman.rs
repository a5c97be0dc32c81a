//! Podman with netavark and aardvark-dns, on the lab's host.

use std::{net::SocketAddr, path::Path};

use anyhow::{Result, ensure};
use netd_tests::lab::Lab;

use super::engine::Engine;
use crate::plan::Plan;

const PODMAN: &str = "/usr/bin/podman";
/// In the lab, whose `/run` is its own.
const CONFIGURATION: &str = "/run/lab/containers.conf";

/// Gets it ready: there is no daemon.
pub fn start(plan: &Plan) -> Result<Engine> {
    ensure!(
        Path::new(PODMAN).exists(),
        "{PODMAN} is not installed (Debian: apt-get install podman netavark aardvark-dns)"
    );
    let lab = Lab::create("podman", &plan.netd)?;
    // netavark keeps namespaces as mounts that containers have to see.
    lab.host().run_checked("mount --make-rshared /")?;
    // The runtime that Docker uses, too, for the same work. Limits of their own: raising them to
    // Podman's usual ones takes a capability that this machine may not give. Networks in the lab: by
    // default they are kept below /etc, which is the machine's.
    lab.world().write(
        CONFIGURATION,
        "[containers]\n\
         default_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
         [engine]\n\
         cgroup_manager = \"cgroupfs\"\n\
         events_logger = \"none\"\n\
         runtime = \"runc\"\n\
         [network]\n\
         network_config_dir = \"/run/lab/networks\"\n\
         network_backend = \"netavark\"\n",
    )?;
    let command = format!("env CONTAINERS_CONF={CONFIGURATION} {PODMAN}");
    // The network's gateway, where aardvark-dns listens.
    let server = SocketAddr::from(([10, 90, 0, 1], 53));
    // Without the time-out it waits for ten seconds.
    Engine::new("podman", (command, "rm -f -t 0"), server, None, lab)
}
