//! Answers of the API besides Docker's shapes: replies to changes, lists with their revision, and
//! what the datapath counts.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{network_shape::NetworkShape, sandbox_shape::SandboxShape};

/// An object was made, or was made before by the same id and body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Created {
    /// 64 digits.
    pub id: String,
    /// For the user.
    pub warnings: Vec<String>,
}

/// The change is saved, in the kernel, and its names resolve.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Done {}

/// What `prune` removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pruned {
    /// Names.
    pub networks: Vec<String>,
}

/// Networks, without what is connected to them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NetworkList {
    /// Of the state that is shown.
    pub revision: u64,
    /// By name.
    pub networks: Vec<NetworkShape>,
}

/// Sandboxes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SandboxList {
    /// Of the state that is shown.
    pub revision: u64,
    /// By name.
    pub sandboxes: Vec<SandboxShape>,
}

/// Published ports of a sandbox, a range as one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortList {
    /// Of the state that is shown.
    pub revision: u64,
    /// In the order they were published.
    pub ports: Vec<PublishedPortReport>,
}

/// A published port or range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublishedPortReport {
    /// `0.0.0.0` or `::` for all.
    pub host_address: String,
    /// First and last host port.
    pub host: (u16, u16),
    /// First and last port inside.
    pub target: (u16, u16),
    /// `tcp` or `udp`.
    pub protocol: String,
    /// False while no network can carry it.
    pub published: bool,
}

/// Ports are published.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Published {
    /// For people.
    pub warnings: Vec<String>,
}

/// What the commands of a sandbox get.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnvReport {
    /// `NAME=VALUE`: of its links, then its own.
    pub env: Vec<String>,
}

// Its texts are the agent's own, and in a reader those of the answer: thousands are not copied.
/// The flow table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FlowList<'a> {
    /// Conversations, oldest first.
    #[serde(borrow)]
    pub flows: Vec<FlowReport<'a>>,
}

/// A conversation: both halves of its entry in the flow tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FlowReport<'a> {
    /// The sandbox's name; empty if it is gone.
    #[serde(borrow)]
    pub sandbox: Cow<'a, str>,
    /// The network's name; empty if it is gone.
    #[serde(borrow)]
    pub network: Cow<'a, str>,
    /// `tcp`, `udp`, `icmp`, `icmpv6`.
    #[serde(borrow)]
    pub protocol: Cow<'a, str>,
    /// Who began it, as its packets arrive at netd.
    #[serde(borrow)]
    pub source: Cow<'a, str>,
    /// Whom it dialled.
    #[serde(borrow)]
    pub destination: Cow<'a, str>,
    /// The source as the far side sees it.
    #[serde(borrow)]
    pub translated_source: Cow<'a, str>,
    /// The destination as it is reached.
    #[serde(borrow)]
    pub translated_destination: Cow<'a, str>,
    /// `masquerade`, `published` or `none`.
    #[serde(borrow)]
    pub nat: Cow<'a, str>,
    /// `new`, `established`, `closing` or `closed`.
    #[serde(borrow)]
    pub state: Cow<'a, str>,
    /// Seconds since the first packet.
    pub age: u64,
    /// Seconds since the last packet.
    pub idle: u64,
    /// Both directions.
    pub packets: u64,
    /// Octets from the IP header on, both directions.
    pub bytes: u64,
}

#[cfg(test)]
impl FlowReport<'static> {
    /// A masqueraded connection, for tests.
    pub fn example() -> FlowReport<'static> {
        FlowReport {
            sandbox: "web".into(),
            network: "app".into(),
            protocol: "tcp".into(),
            source: "172.18.0.2:40000".into(),
            destination: "203.0.113.9:443".into(),
            translated_source: "192.0.2.7:40000".into(),
            translated_destination: "203.0.113.9:443".into(),
            nat: "masquerade".into(),
            state: "established".into(),
            age: 125,
            idle: 3,
            packets: 12,
            bytes: 3456,
        }
    }
}

/// How many flows were removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Flushed {
    /// Halves: two per conversation.
    pub halves: u64,
}

/// Drop counters since the maps were made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DropList {
    /// By packets, most first.
    pub drops: Vec<DropReport>,
}

/// A drop counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DropReport {
    /// Its name.
    pub reason: String,
    /// One sentence about the reason.
    pub explanation: String,
    /// The program that dropped.
    pub program: String,
    /// The network's name; empty where none is known.
    pub network: String,
    /// Packets.
    pub packets: u64,
    /// Octets from the IP header on.
    pub bytes: u64,
}

/// What is asked and answered here, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionReport {
    /// The agent's.
    pub version: String,
    /// Oldest version of the API that is served.
    pub api_min: u32,
    /// Newest version of the API that is served.
    pub api_max: u32,
    /// Of the maps.
    pub abi: u32,
    /// The running kernel's release.
    pub kernel: String,
}

/// How the agent and its datapath are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusReport {
    /// Agent, API, kernel.
    pub version: VersionReport,
    /// The agent's process.
    pub pid: u32,
    /// Seconds since it is ready.
    pub uptime: u64,
    /// Of the state.
    pub revision: u64,
    /// `tcx` or `clsact`.
    pub hook: String,
    /// Directories.
    pub run_dir: String,
    /// Directories.
    pub state_dir: String,
    /// Directories.
    pub bpffs: String,
    /// Interfaces that lead outside.
    pub uplinks: Vec<String>,
    /// How many there are.
    pub networks: u64,
    /// How many there are.
    pub sandboxes: u64,
    /// How many there are.
    pub endpoints: u64,
    /// Programs at their hooks.
    pub programs: Vec<ProgramReport>,
    /// How full the maps are.
    pub maps: Vec<MapReport>,
    /// What netd changed on the host and `netd down` undoes.
    pub sysctls: Vec<SysctlReport>,
}

/// A program at its hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProgramReport {
    /// Its name.
    pub program: String,
    /// An interface or `cgroup2`.
    pub target: String,
    /// `ingress`, `egress` or the cgroup hook.
    pub hook: String,
    /// The bpf link's id; none with clsact.
    pub link: Option<u32>,
    /// It is where it belongs and of this agent's object; else it is about to be repaired.
    pub in_order: bool,
}

/// How full a map is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MapReport {
    /// Its name.
    pub name: String,
    /// Entries in it.
    pub used: u64,
    /// Entries it can hold.
    pub capacity: u64,
}

/// A sysctl of the host that netd set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SysctlReport {
    /// With slashes, below /proc/sys.
    pub key: String,
    /// As netd set it.
    pub value: String,
    /// Before; none where the key came with an interface of netd.
    pub former: Option<String>,
}

/// Asks the agent to undo everything and to end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DownRequest {
    /// Also with sandboxes.
    pub force: bool,
    /// The state too.
    pub purge: bool,
}

/// What was undone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DownReport {
    /// One line each.
    pub undone: Vec<String>,
    /// What could not be undone, and why.
    pub failed: Vec<String>,
}
