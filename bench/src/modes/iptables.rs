//! The rules that Docker writes, loaded by either of the two programs that are called iptables: into
//! nf_tables or into the kernel's old tables.
//!
//! They are those without the userland proxy, since no process stands on a path then: with it, a
//! connection by loopback is two connections and a copy between them. On all other paths the rules
//! differ by one match. A port published to another network's containers is what they do not have:
//! translated packets end in DOCKER-ISOLATION-STAGE-2. (With the proxy such packets are left to it.)

use std::{net::SocketAddr, path::Path as FilePath, time::Duration};

use anyhow::{Context, Result, bail, ensure};

use super::Mode;
use crate::{
    rules::{History, Network, Port, docker},
    topology::{self, BRIDGES, Path, Place},
};

/// How long loading may take: ten thousand ports are thirty thousand rules.
const LOADING: Duration = Duration::from_secs(120);
/// Where the rules are put for loading, in the lab.
const FILE: &str = "/run/lab/rules";

/// A mode with Docker's rules.
pub struct Iptables {
    kind: Kind,
    place: Place,
}

/// Which iptables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// On nf_tables, the default since Debian 10.
    Nft,
    /// The kernel's old tables.
    Legacy,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Nft => "iptables-nft",
            Kind::Legacy => "iptables-legacy",
        }
    }
}

impl Iptables {
    /// Sets it up.
    pub fn start(kind: Kind, netd: &FilePath, ports: &[Port]) -> Result<Iptables> {
        let name = kind.name();
        let place = Place::bridged(&format!("bench-{name}"), netd)?;
        prepare(&place)?;
        let text = docker(&history(ports));
        let rules = text.lines().filter(|line| line.starts_with("-A")).count();
        load(&place, &format!("{name}-restore"), &text)?;
        let loaded = place.host().run_within(&format!("{name}-save"), LOADING)?;
        let found = loaded.stdout.lines().filter(|line| line.starts_with("-A"));
        let found = found.count();
        ensure!(found == rules, "{found} of {rules} rules were loaded");
        Ok(Iptables { kind, place })
    }
}

impl Mode for Iptables {
    fn name(&self) -> &'static str {
        self.kind.name()
    }

    fn place(&self) -> &Place {
        &self.place
    }

    fn dial(&self, path: Path, port: u16) -> Result<SocketAddr> {
        if path == Path::PublishedNetwork {
            bail!(
                "Docker's rules drop it between networks; only its userland proxy can carry it, \
                 process by process"
            );
        }
        Ok(path.published(port))
    }
}

/// What Docker has made when ports are published on the first of two networks of a user's.
pub(super) fn history(ports: &[Port]) -> History {
    let network = |bridge: &str, subnet| Network {
        bridge: bridge.to_owned(),
        subnet,
    };
    let [one, two] = [topology::Network::One, topology::Network::Two].map(|one| one.subnet());
    History {
        proxy: false,
        forward_drop: true,
        networks: vec![
            network(DEFAULT.0, DEFAULT.1),
            network(BRIDGES[0], one),
            network(BRIDGES[1], two),
        ],
        ports: ports.to_vec(),
    }
}

/// The network that every Docker host has.
const DEFAULT: (&str, ipnet::Ipv4Net) = (
    "docker0",
    ipnet::Ipv4Net::new_assert(std::net::Ipv4Addr::new(172, 17, 0, 0), 16),
);

/// Does on the host what Docker does besides rules: its default bridge, bridged packets seen by
/// rules (so does the kernel's module br_netfilter by itself, which Docker loads), loopback addresses
/// routed to containers, and bridge ports that packets may leave by the way they came.
pub(super) fn prepare(place: &Place) -> Result<()> {
    let host = place.host();
    let (bridge, _) = DEFAULT;
    host.run_checked(&format!("ip link add {bridge} type bridge"))?;
    host.run_checked(&format!("ip link set {bridge} up"))?;
    host.sysctl("net.bridge.bridge-nf-call-iptables", "1")
        .context("rules do not see bridged packets: the kernel has no br_netfilter")?;
    for bridge in BRIDGES {
        host.sysctl(&format!("net.ipv4.conf.{bridge}.route_localnet"), "1")?;
    }
    for (name, ..) in topology::CONTAINERS {
        host.run_checked(&format!("bridge link set dev veth-{name} hairpin on"))?;
    }
    Ok(())
}

/// Has a program of the host's read rules from a file.
pub(super) fn load(place: &Place, program: &str, text: &str) -> Result<()> {
    place.lab.world().write(FILE, text)?;
    let loaded = place
        .host()
        .run_within(&format!("{program} {FILE}"), LOADING)?;
    ensure!(loaded.succeeded(), "{}", loaded.describe());
    Ok(())
}
