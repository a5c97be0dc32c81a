//! What a run leaves behind: every sample, with what it was measured on. This is the JSON file;
//! tables, plots and the documentation are made from it and from nothing else.

use serde::{Deserialize, Serialize};

/// A whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Layout of this file: grows with each change that readers would misunderstand.
    pub format: u32,
    /// When the run began (UTC, RFC 3339).
    pub started: String,
    /// The whole run's duration, seconds.
    pub seconds: f64,
    /// The command line that repeats it.
    pub command: String,
    /// Version and commit of the netd that was measured, and its build profile.
    pub netd: String,
    /// The machine it ran on.
    pub machine: Machine,
    /// Every value, in the order measured.
    pub samples: Vec<Sample>,
    /// What could not be measured, and why.
    pub gaps: Vec<Gap>,
}

/// The machine of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    /// CPU model, as /proc/cpuinfo names it.
    pub cpu: String,
    /// Logical CPUs.
    pub cpus: usize,
    /// Hypervisor, if one says so.
    pub hypervisor: Option<String>,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Kernel release.
    pub kernel: String,
    /// Mitigations in force, as /sys/devices/system/cpu/vulnerabilities tells.
    pub mitigations: Vec<String>,
    /// Versions of the tools compared (iptables, nft, dockerd, podman, …), those that exist.
    pub versions: Vec<(String, String)>,
}

/// One measured value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// What it belongs to.
    pub row: Row,
    /// What was measured with: `none`, `iptables-nft`, `iptables-legacy`, `nftables`, `netd`, or a
    /// real engine (`docker`, `docker-noproxy`, `podman`, `aardvark-dns`, …).
    pub mode: String,
    /// Number of the round, from 0. Modes take turns within a round.
    pub round: u32,
    /// The value, in the row's unit.
    pub value: f64,
    /// How long single operations took, where the work tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Requests or packets that got no answer or did not arrive.
    #[serde(default)]
    pub lost: u64,
}

/// A row of the tables: one piece of work on one path at one scale.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Row {
    /// The section.
    pub group: Group,
    /// The work: `tcp-stream`, `tcp-stream-4`, `tcp-rr`, `tcp-crr`, `udp-rate`, `udp-rr`,
    /// `udp-new-flows`, `dns-local`, `dns-forwarded`, `dns-cached`, `create`, `publish`,
    /// `publish-range`, `flood-packets`, `start`, `resident`, `map-memory`, `program`, `instructions`, …
    pub work: String,
    /// Between whom: `same-network`, `published-outside`, `outwards`, `published-network`,
    /// `published-loopback`; with the flood's kind behind it in group `flood`; the program's name in group
    /// `programs`; else empty.
    #[serde(default)]
    pub path: String,
    /// Published ports, flows in the table, a flood's packets a second, or endpoints, whichever is this
    /// group's axis.
    #[serde(default)]
    pub scale: u64,
    /// How client and server were placed.
    #[serde(default)]
    pub cores: Cores,
    /// Of the value.
    pub unit: Unit,
}

/// A section of the tables, and what its `scale` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Traffic of every kind on every path; one published port.
    Traffic,
    /// Traffic by number of published ports.
    Ports,
    /// New flows by number of flows in the table.
    Flows,
    /// An established connection and new ones, beside a flood and without.
    Flood,
    /// Questions for names.
    Dns,
    /// What changes cost, by number of endpoints (`create`, `start`) or of ports (`publish`).
    Control,
    /// Memory, by number of endpoints; of maps, per map.
    Memory,
    /// Single BPF programs: time by BPF_PROG_TEST_RUN, verified instructions.
    Programs,
    /// Lists, looks and starts, by number of sandboxes.
    Records,
}

/// Where client and server run.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Cores {
    /// Nothing is pinned, or it does not matter.
    #[default]
    Any,
    /// Both on one core: what an operation costs.
    Same,
    /// Each on its own: how long an operation takes.
    Different,
}

/// What a value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Bits of payload a second. More is better.
    BitsPerSecond,
    /// Transactions, packets, connections, questions a second, each checked. More is better.
    PerSecond,
    /// Nanoseconds. Less is better.
    Nanoseconds,
    /// Octets. Less is better.
    Octets,
    /// Things counted, such as instructions. Less is better.
    Count,
}

impl Unit {
    /// Whether a larger value is a better one.
    pub fn more_is_better(self) -> bool {
        matches!(self, Unit::BitsPerSecond | Unit::PerSecond)
    }
}

/// The distribution of single operations' durations, nanoseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Latency {
    /// Half were faster.
    pub p50: u64,
    /// 90 % were faster.
    pub p90: u64,
    /// 99 % were faster.
    pub p99: u64,
    /// 99.9 % were faster.
    pub p999: u64,
    /// The slowest.
    pub max: u64,
    /// Points of the cumulative distribution: (quantile 0–1, nanoseconds), for the plot.
    pub curve: Vec<(f64, u64)>,
}

/// Something that was wished and not measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Gap {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
}
