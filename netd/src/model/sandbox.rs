//! Sandboxes: a container's network namespace with its names and files.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{ExposedPorts, Id, Name, PublishedPort, network::Owner};

/// A sandbox as it is in the store. Its endpoints point at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// 64 digits.
    pub id: Id,
    /// Its number in the maps (never 0), reused as late as possible.
    pub index: u32,
    /// Unique per owner; by default the 12-digit id.
    pub name: Name,
    /// Whose object it is.
    pub owner: Owner,
    /// By default the 12-digit id.
    pub hostname: Name,
    /// Its network namespace.
    pub namespace: Namespace,
    /// How it is connected besides its endpoints.
    pub mode: Mode,
    /// Published ports; reserved while no network can carry them.
    pub ports: Vec<PublishedPort>,
    /// `--expose` and the inner sides of `-p`, merged; fixed at create, as in Docker.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exposed: Vec<ExposedPorts>,
    /// `--env`, in order, each name once: what links tell of this sandbox, and what its commands get.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<(String, String)>,
    /// `--link` on the default network, each alias once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<SandboxLink>,
    /// What goes into resolv.conf and where questions are forwarded.
    pub dns: DnsSettings,
    /// `--add-host`, in order.
    pub extra_hosts: Vec<(String, IpAddr)>,
    /// User labels.
    pub labels: BTreeMap<String, String>,
    /// The number of the next interface inside (`eth0`, …).
    pub next_interface: u32,
    /// The same of interfaces whose names do not begin with `eth`, by what they begin with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub next_of_prefix: BTreeMap<String, u32>,
    /// Nanoseconds of Unix time.
    pub created: u64,
}

/// A link on the default network: to a sandbox, not to a name. It ends with its target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxLink {
    /// The linked sandbox.
    pub target: Id,
    /// What it is called in this one.
    pub alias: Name,
}

/// Where a sandbox's namespace comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Namespace {
    /// netd makes it, below its run directory, and removes it with the sandbox.
    Made,
    /// Somebody else's; known by its identity, not by how it was found.
    Joined(Joined),
    /// The host's own.
    Host,
    /// Another sandbox's, which says where it is.
    Shared(Id),
}

/// A namespace that netd was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// SO_NETNS_COOKIE.
    pub cookie: u64,
    /// Device of the nsfs file.
    pub device: u64,
    /// Inode of the nsfs file.
    pub inode: u64,
    /// A path that leads to it (`--netns`, or /proc/PID/ns/net of `--pid`).
    pub path: PathBuf,
}

/// How a sandbox is connected besides its endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// By endpoints.
    Bridge,
    /// It is the host.
    Host,
    /// Not at all.
    None,
    /// As another sandbox, in whose namespace it is.
    Shared(Id),
}

/// `--dns`, `--dns-search`, `--dns-option`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsSettings {
    /// Name servers; empty: the host's.
    pub servers: Vec<IpAddr>,
    /// Search domains; empty: the host's.
    pub search: Vec<String>,
    /// Options; empty: the host's.
    pub options: Vec<String>,
}
