//! The BPF layer as one object: every question and every change goes through [`Bpf`], and nothing
//! here decides what the maps should hold or what should be attached.

use std::{collections::BTreeSet, path::PathBuf};

use netd_common::{
    abi::{endpoint::EndpointStats, flow::Flow},
    packet::flow::Timeouts,
};

use super::{
    attach::Hooks,
    collect::Collector,
    counters,
    drop_events::DropEvents,
    entries::Entries,
    flows::{self, Flush},
    layout::Layout,
    log::LogReader,
    maps::Maps,
    open,
    programs::Programs,
    report::{AttachedProgram, LoadedProgram, OpenReport},
};
use crate::{
    kernel::{Collected, DropRecord, FlowRecord, KernelError, MapFill, Reader},
    plan::{Attachment, Entry, EntryKey},
};

/// What the BPF layer must be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BpfOptions {
    /// netd's own directory in a BPF file system, as `/sys/fs/bpf/netd`. Where there is no BPF
    /// file system, one is mounted: at `/sys/fs/bpf`, elsewhere at the directory itself.
    pub bpffs: PathBuf,
    /// Load the object with log calls and hand its log to `tracing`.
    pub log: bool,
}

/// How tc programs are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// tcx where the kernel has it, else clsact.
    Probed,
    /// clsact, for tests of the fallback on newer kernels.
    Clsact,
}

/// Maps, programs and links, open. Dropping it detaches and unpins nothing.
pub struct Bpf {
    layout: Layout,
    maps: Maps,
    entries: Entries,
    programs: Programs,
    hooks: Hooks,
    collector: Collector,
    _log: Option<LogReader>,
}

impl Bpf {
    /// Loads everything or reopens what an earlier agent left, and says what it found.
    pub fn open(options: &BpfOptions) -> Result<(Bpf, OpenReport), KernelError> {
        open::open(options, Mechanism::Probed)
    }

    /// The same, with the mechanism chosen by the caller.
    pub fn open_with(
        options: &BpfOptions,
        mechanism: Mechanism,
    ) -> Result<(Bpf, OpenReport), KernelError> {
        open::open(options, mechanism)
    }

    pub(super) fn new(
        layout: Layout,
        maps: Maps,
        entries: Entries,
        programs: Programs,
        hooks: Hooks,
        log: Option<LogReader>,
    ) -> Bpf {
        Bpf {
            layout,
            maps,
            entries,
            programs,
            hooks,
            collector: Collector::start(),
            _log: log,
        }
    }

    /// One look-up.
    pub fn entry(&mut self, key: &EntryKey) -> Result<Option<Entry>, KernelError> {
        self.entries.get(&self.maps, key)
    }

    /// All entries of the maps that the agent writes. Walks them.
    pub fn entries(&mut self) -> Result<Vec<Entry>, KernelError> {
        self.entries.walk(&self.maps)
    }

    /// Puts an entry, over one with the same key. Counters that exist are kept.
    pub fn put(&mut self, entry: &Entry) -> Result<(), KernelError> {
        self.entries.put(&mut self.maps, entry)
    }

    /// Deletes an entry; absent is success. `Config` becomes zeroes.
    pub fn delete(&mut self, key: &EntryKey) -> Result<(), KernelError> {
        self.entries.delete(&mut self.maps, key)
    }

    /// Attaches a program, or replaces the one that is attached without a gap. Never stacks.
    pub fn attach(&mut self, attachment: &Attachment) -> Result<(), KernelError> {
        self.hooks.attach(&mut self.programs, attachment)
    }

    /// Detaches it; what is not attached is success. The kernel lets a tcx or cgroup link go after
    /// an RCU grace period: a few packets may still pass through it.
    pub fn detach(&mut self, attachment: &Attachment) -> Result<(), KernelError> {
        self.hooks.detach(attachment)
    }

    /// Whether the link is there, on the right interface and hook, with the loaded program. A pin
    /// whose device is gone, or has another name now, is removed.
    pub fn attached(&mut self, attachment: &Attachment) -> Result<bool, KernelError> {
        self.hooks.attached(&self.programs, attachment)
    }

    /// All attachments that have a pin, in order or not.
    pub fn attachments(&mut self) -> Result<BTreeSet<Attachment>, KernelError> {
        self.hooks.pinned()
    }

    /// Attached programs with the kernel's ids.
    pub fn attached_programs(&mut self) -> Result<Vec<AttachedProgram>, KernelError> {
        self.hooks.list(&self.programs)
    }

    /// Loaded programs with the kernel's ids.
    pub fn programs(&mut self) -> Result<Vec<LoadedProgram>, KernelError> {
        self.programs.list()
    }

    /// Detaches and unpins what other ABI versions left. To be called when everything of this one
    /// is attached; what was attached since has already lost its predecessor.
    pub fn remove_older_versions(&mut self) -> Result<(), KernelError> {
        self.hooks.remove_older_versions()
    }

    /// What is only read, by handles of its own: for another thread.
    pub fn reader(&self) -> Result<MapReader, KernelError> {
        Maps::open(&self.layout).map(MapReader)
    }

    /// Goes on with a walk over the flows that deletes; `false` at its end.
    pub fn flush(&mut self, flush: &mut Flush) -> Result<bool, KernelError> {
        flush.step(&mut self.maps)
    }

    /// Removes expired flows, looking at about `budget` halves, going on where the last call stopped.
    /// Ends early at the end of the tables; the next call begins anew then.
    pub fn collect_flows(
        &mut self,
        budget: u32,
        timeouts: &Timeouts,
        alive: &dyn Fn(&Flow) -> bool,
    ) -> Result<Collected, KernelError> {
        self.collector
            .collect(&mut self.maps, budget, timeouts, alive)
    }

    /// The ring of drop events, to be read by one.
    pub fn drop_events(&self) -> Result<DropEvents, KernelError> {
        DropEvents::open(&self.layout)
    }

    /// Counters of an endpoint, summed over CPUs.
    pub fn endpoint_stats(&mut self, endpoint: u32) -> Result<Option<EndpointStats>, KernelError> {
        counters::endpoint_stats(&self.maps, endpoint)
    }
}

/// Reads maps and changes nothing.
pub struct MapReader(Maps);

impl Reader for MapReader {
    fn flows(&self, go_on: &mut dyn FnMut() -> bool) -> Result<Vec<FlowRecord>, KernelError> {
        flows::list(&self.0, go_on)
    }

    fn drops(&self) -> Result<Vec<DropRecord>, KernelError> {
        counters::drops(&self.0)
    }

    fn map_fill(&self, go_on: &mut dyn FnMut() -> bool) -> Result<Vec<MapFill>, KernelError> {
        counters::fill(&self.0, go_on)
    }
}
