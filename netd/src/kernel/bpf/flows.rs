//! The flow tables as the agent sees them: listing, flushing, and collecting what has expired, a
//! slice at a time. Makes no flow.

use std::{
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use aya::maps::MapError;
use netd_common::{
    abi::{
        flow::{Flow, FlowKey},
        maps,
    },
    packet::flow::{expired, twin_key},
};
use nix::time::{ClockId, clock_gettime};

use super::{
    error::{During, if_there},
    layout::Layout,
    maps::{self as handles, FlowMap, Maps},
    pod::Raw,
};
use crate::kernel::{FlowRecord, KernelError};

/// Keys that are read ahead of the collector.
const READ_AHEAD: usize = 64;

/// All halves of both tables.
pub(super) fn list(maps: &Maps) -> Result<Vec<FlowRecord>, KernelError> {
    let established = records(&maps.flows, true);
    let new = records(&maps.new_flows, false);
    established
        .chain(new)
        .collect::<Result<_, _>>()
        .during(|| "read the flows".into())
}

fn records(map: &FlowMap, established: bool) -> impl Iterator<Item = Result<FlowRecord, MapError>> {
    map.iter().map(move |entry| {
        entry.map(|(Raw(key), Raw(flow))| FlowRecord {
            key,
            flow,
            established,
        })
    })
}

/// Deletes the flows that `which` names; how many halves there were. Walks both tables, and keeps
/// nothing but the keys to delete: after a deleted key the kernel's walk begins anew.
pub(super) fn flush(maps: &mut Maps, which: impl Fn(&Flow) -> bool) -> Result<u64, KernelError> {
    let mut deleted = 0;
    for map in [&mut maps.flows, &mut maps.new_flows] {
        let doomed: Vec<FlowKey> = map
            .iter()
            .filter_map(|entry| match entry {
                Ok((Raw(key), Raw(flow))) => which(&flow).then_some(Ok(key)),
                Err(error) => Some(Err(error)),
            })
            .collect::<Result<_, _>>()
            .during(|| "read the flows".into())?;
        for key in &doomed {
            deleted += delete(map, key)?;
        }
    }
    Ok(deleted)
}

fn delete(map: &mut FlowMap, key: &FlowKey) -> Result<u64, KernelError> {
    let deleted = if_there(map.remove(&Raw(*key))).during(|| "delete a flow".into())?;
    Ok(deleted.map_or(0, |()| 1))
}

/// Removes expired flows in slices. The kernel walks a map from key to key and aya keeps the
/// place only inside a borrowing iterator, so the iterator lives in a thread that reads a little
/// ahead and waits; it ends with the collector.
pub(super) struct Collector {
    keys: Receiver<Step>,
}

/// A key, the end of a pass over both tables, or what broke it off.
type Step = Result<Option<FlowKey>, MapError>;

impl Collector {
    /// Walks from the beginning.
    pub(super) fn start(layout: &Layout) -> Result<Collector, KernelError> {
        let tables = [
            handles::open(layout, maps::FLOWS)?,
            handles::open(layout, maps::NEW_FLOWS)?,
        ];
        let (sender, keys) = sync_channel(READ_AHEAD);
        thread::Builder::new()
            .name("flow-keys".into())
            .spawn(move || while pass(&tables, &sender).is_some() {})
            .during(|| "start the walk over the flows".into())?;
        Ok(Collector { keys })
    }

    /// Looks at up to `budget` halves, fewer where a pass ends; how many halves were removed: those
    /// of flows that have expired, or that are not `alive`.
    pub(super) fn collect(
        &self,
        maps: &mut Maps,
        budget: u32,
        alive: &dyn Fn(&Flow) -> bool,
    ) -> Result<u64, KernelError> {
        let now = monotonic()?;
        let mut removed = 0;
        for _ in 0..budget {
            let step = self.keys.recv().during(|| "walk over the flows".into())?;
            match step.during(|| "walk over the flows".into())? {
                Some(key) => removed += remove_if_over(maps, &key, now, alive)?,
                None => break,
            }
        }
        Ok(removed)
    }
}

/// Sends every key; `None` when nobody listens any more.
fn pass(tables: &[FlowMap], sender: &SyncSender<Step>) -> Option<()> {
    for table in tables {
        let mut keys = table.keys();
        let mut current = keys.next();
        while let Some(step) = current.take() {
            // Before the collector gets to delete this key: after a deleted key the kernel begins
            // at the first one again.
            if step.is_ok() {
                current = keys.next();
            }
            sender.send(step.map(|Raw(key)| Some(key))).ok()?;
        }
    }
    sender.send(Ok(None)).ok()
}

fn remove_if_over(
    maps: &mut Maps,
    key: &FlowKey,
    now: u64,
    alive: &dyn Fn(&Flow) -> bool,
) -> Result<u64, KernelError> {
    let Some(flow) = find(maps, key)? else {
        return Ok(0);
    };
    let other = twin_key(key, &flow);
    if alive(&flow) && !expired(key, &flow, find(maps, &other)?.as_ref(), now) {
        return Ok(0);
    }
    let mut removed = 0;
    for key in [key, &other] {
        removed += delete(&mut maps.flows, key)?;
        removed += delete(&mut maps.new_flows, key)?;
    }
    Ok(removed)
}

fn find(maps: &Maps, key: &FlowKey) -> Result<Option<Flow>, KernelError> {
    for map in [&maps.flows, &maps.new_flows] {
        let found = if_there(map.get(&Raw(*key), 0)).during(|| "look up a flow".into())?;
        if let Some(Raw(flow)) = found {
            return Ok(Some(flow));
        }
    }
    Ok(None)
}

/// The clock that the programs stamp flows with (`bpf_ktime_get_ns`).
fn monotonic() -> Result<u64, KernelError> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).during(|| "read the clock".into())?;
    let (seconds, nanoseconds) = (now.tv_sec().cast_unsigned(), now.tv_nsec().cast_unsigned());
    Ok(seconds * 1_000_000_000 + nanoseconds)
}
