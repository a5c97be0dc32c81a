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

    /// It only ended because it was told to.
    pub fn is_stopped(&self) -> bool {
        self.source.is::<Stopped>()
    }
}

/// A map has no room for another entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("map {0} is full")]
pub struct MapFull(pub &'static str);

/// A walk was told to end before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("told to stop")]
pub struct Stopped;

impl Stopped {
    /// Fails where it does not go on.
    pub fn unless(goes_on: bool) -> Result<(), Stopped> {
        goes_on.then_some(()).ok_or(Stopped)
    }
}

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

/// What a slice of collecting came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Halves that were removed.
    pub halves: u64,
    /// The walk came to the end of the tables.
    pub all: bool,
}

/// What of the datapath people look at. Walks for as long as they take, on a thread that has nothing else to
/// do; `go_on` is asked again and again, and ends a walk (see [`KernelError::is_stopped`]).
pub trait Reader: Send + Sync + 'static {
    /// All flow halves.
    fn flows(&self, go_on: &mut dyn FnMut() -> bool) -> Result<Vec<FlowRecord>, KernelError>;

    /// All drop counters.
    fn drops(&self) -> Result<Vec<DropRecord>, KernelError>;

    /// Fill levels of all maps.
    fn map_fill(&self, go_on: &mut dyn FnMut() -> bool) -> Result<Vec<MapFill>, KernelError>;
}

/// The seam between the daemon and the host.
pub trait Kernel: Send {
    /// See there.
    type Reader: Reader;

    /// For what is only read.
    fn reader(&self) -> Result<Self::Reader, KernelError>;

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

    /// Deletes all flows; how many halves there were. Other tasks get their turns meanwhile.
    fn flush_flows(&mut self) -> impl Future<Output = Result<u64, KernelError>> + Send;

    /// Removes flows that have expired or are not `alive`, looking at about `budget` halves, going on
    /// where the last call stopped.
    fn collect_flows(
        &mut self,
        budget: u32,
        timeouts: &Timeouts,
        alive: &dyn Fn(&Flow) -> bool,
    ) -> Result<Collected, KernelError>;

    /// Counters of an endpoint, summed over CPUs.
    fn endpoint_stats(&mut self, endpoint: u32) -> Result<Option<EndpointStats>, KernelError>;

    /// How long observing and executing took so far; nothing where there is no host to wait for.
    fn spent(&self) -> Spent {
        Spent::default()
    }
}
