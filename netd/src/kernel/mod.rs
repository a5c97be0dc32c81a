//! All syscalls: netlink, namespaces, sysctl, files, BPF. Carries out actions and reports what is;
//! decides nothing. Two implementations of [`Kernel`]: the real one and the tests' fake.

mod announce;
pub mod bpf;
pub mod describe;
pub mod descriptors;
pub mod down;
pub mod events;
mod execute;
pub mod facts;
#[cfg(test)]
pub mod fake;
pub mod files;
pub mod heap;
pub mod host;
pub mod netlink;
pub mod netns;
mod observe;
pub mod places;
pub mod port_lists;
pub mod resolv;
mod spent;
pub mod stack;
pub mod sysctl;

pub use host::{HostKernel, HostOptions};
pub use spent::Spent;

use std::{collections::BTreeSet, future::Future, path::Path};

use netd_common::{
    abi::{
        drops::{DropCount, DropKey},
        endpoint::EndpointStats,
        flow::{Flow, FlowKey},
    },
    packet::flow::Timeouts,
};

use crate::{
    model::facts::BoundSocket,
    plan::{Action, Announcement, HostFacts, Key, Observed, facts::NameServers},
};

/// What went wrong, and while doing what.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {source:#}")]
pub struct KernelError {
    /// For people: `create bridge br-0123456789ab`.
    pub doing: String,
    /// The cause.
    #[source]
    pub source: anyhow::Error,
}

impl KernelError {
    /// The map that has no room, where that is the cause.
    pub fn full_map(&self) -> Option<&'static str> {
        self.source.downcast_ref::<MapFull>().map(|map| map.0)
    }
}

/// A map has no room for another entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("map {0} is full")]
pub struct MapFull(pub &'static str);

/// A flow half as it is in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowRecord {
    /// Its key.
    pub key: FlowKey,
    /// Its value.
    pub flow: Flow,
    /// In `FLOWS` (else `NEW_FLOWS`).
    pub established: bool,
}

/// A summed drop counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropRecord {
    /// Reason, program, network.
    pub key: DropKey,
    /// Over all CPUs.
    pub count: DropCount,
}

/// Fill level of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapFill {
    /// Its name.
    pub name: &'static str,
    /// Entries in it.
    pub used: u64,
    /// `max_entries`.
    pub capacity: u64,
}

/// The seam between the daemon and the host.
pub trait Kernel: Send {
    /// Reads what the keys name, and nothing else: cost grows with the keys alone.
    fn observe(
        &mut self,
        keys: &BTreeSet<Key>,
    ) -> impl Future<Output = Result<Observed, KernelError>> + Send;

    /// Reads everything that carries netd's mark: at start, after lost messages, in the background.
    /// Links inside sandboxes are read for the veths that netd made.
    fn observe_all(&mut self) -> impl Future<Output = Result<Observed, KernelError>> + Send;

    /// Carries out one action.
    fn execute(&mut self, action: &Action) -> impl Future<Output = Result<(), KernelError>> + Send;

    /// Reads the host's own links, addresses and routes.
    fn facts(&mut self) -> impl Future<Output = Result<HostFacts, KernelError>> + Send;

    /// Reads the host's name servers alone.
    fn name_servers(&mut self) -> Result<NameServers, KernelError>;

    /// Whether IPv6 is switched off in a sandbox's namespace (its loopback has none, as Docker tells
    /// it); not so where there is no such namespace.
    fn without_ipv6(&mut self, namespace: &Path) -> Result<bool, KernelError>;

    /// Tells a sandbox's neighbours of its addresses, once; false where there is nothing to tell any
    /// more.
    fn announce(&mut self, announcement: &Announcement) -> Result<bool, KernelError>;

    /// The host's TCP and UDP sockets that have a port: asked before ports are published.
    fn sockets(&mut self) -> Result<Vec<BoundSocket>, KernelError>;

    /// All flow halves (a walk: for people and collection, never on a request path that changes something).
    fn flows(&mut self) -> Result<Vec<FlowRecord>, KernelError>;

    /// Deletes all flows; how many halves there were.
    fn flush_flows(&mut self) -> Result<u64, KernelError>;

    /// Removes flows that have expired or are not `alive`, looking at no more than `budget` halves,
    /// going on where the last call stopped; how many halves were removed.
    fn collect_flows(
        &mut self,
        budget: u32,
        timeouts: &Timeouts,
        alive: &dyn Fn(&Flow) -> bool,
    ) -> Result<u64, KernelError>;

    /// All drop counters.
    fn drops(&mut self) -> Result<Vec<DropRecord>, KernelError>;

    /// Counters of an endpoint, summed over CPUs.
    fn endpoint_stats(&mut self, endpoint: u32) -> Result<Option<EndpointStats>, KernelError>;

    /// Fill levels of all maps.
    fn map_fill(&mut self) -> Result<Vec<MapFill>, KernelError>;

    /// How long observing and executing took so far; nothing where there is no host to wait for.
    fn spent(&self) -> Spent {
        Spent::default()
    }
}
