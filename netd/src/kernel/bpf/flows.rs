//! The flow tables as the agent sees them: listing, flushing, and collecting what has expired, a
//! slice at a time. Makes no flow.

use std::{
    collections::BTreeMap,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use aya::maps::MapError;
use netd_common::{
    Addr,
    abi::{
        flow::{Flow, FlowKey, flow_flags},
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
use crate::{
    kernel::{FlowRecord, KernelError},
    model::{PortRange, PublishedPort},
};

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
pub(super) fn flush(
    maps: &mut Maps,
    which: impl Fn(&FlowKey, &Flow) -> bool,
) -> Result<u64, KernelError> {
    let mut deleted = 0;
    for map in [&mut maps.flows, &mut maps.new_flows] {
        let doomed: Vec<FlowKey> = map
            .iter()
            .filter_map(|entry| match entry {
                Ok((Raw(key), Raw(flow))) => which(&key, &flow).then_some(Ok(key)),
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

/// Published ports, by protocol and host address; the ranges of each in order, as they exclude each
/// other.
pub(super) struct Doors(BTreeMap<(u8, Addr), Vec<PortRange>>);

impl Doors {
    /// Those of these ports.
    pub(super) fn of(ports: &[PublishedPort]) -> Doors {
        let mut doors: BTreeMap<_, Vec<PortRange>> = BTreeMap::new();
        for port in ports {
            let door = (port.protocol.number(), Addr::from(port.host_address));
            doors.entry(door).or_default().push(port.host);
        }
        doors.values_mut().for_each(|ranges| ranges.sort_unstable());
        Doors(doors)
    }

    /// Whether a half is of a flow that was begun to one of them: dialled there, or answered from
    /// there.
    pub(super) fn lead_to(&self, key: &FlowKey, flow: &Flow) -> bool {
        if flow.flags & flow_flags::PUBLISHED == 0 {
            return false;
        }
        let (address, number) = match flow.flags & flow_flags::ORIGINAL {
            0 => (flow.source, flow.source_port),
            _ => (key.destination, key.destination_port),
        };
        let number = u16::from_be_bytes(number);
        let wildcard = if address.is_v4() {
            Addr::ANY_V4
        } else {
            Addr::NONE
        };
        [address, wildcard].into_iter().any(|address| {
            let ranges = self.0.get(&(key.protocol, address));
            let ranges = ranges.map_or(&[][..], Vec::as_slice);
            let after = ranges.partition_point(|range| range.first <= number);
            let range = after.checked_sub(1).and_then(|at| ranges.get(at));
            range.is_some_and(|range| number <= range.last)
        })
    }
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

#[cfg(test)]
mod tests {
    use netd_common::packet::flow::{twin, twin_key};

    use super::*;
    use crate::model::Protocol;

    const ENDPOINT: Addr = Addr::v4([172, 18, 0, 2]);

    #[test]
    fn both_halves_of_a_ports_flows_are_told() {
        let key = FlowKey {
            source: Addr::v4([198, 18, 0, 1]),
            destination: Addr::v4([198, 18, 0, 2]),
            source_port: [7, 7],
            destination_port: 8081u16.to_be_bytes(),
            protocol: 6,
            ..FlowKey::default()
        };
        let flow = Flow {
            source: key.source,
            source_port: key.source_port,
            destination: ENDPOINT,
            destination_port: [0, 80],
            flags: flow_flags::PUBLISHED | flow_flags::ORIGINAL | flow_flags::TO_ENDPOINT,
            ..Flow::default()
        };
        let port = |address: &str, first, last, protocol| PublishedPort {
            host_address: address.parse().expect("an address"),
            host: PortRange { first, last },
            requested: None,
            target: PortRange { first, last },
            protocol,
        };
        for (port, told) in [
            (port("0.0.0.0", 8080, 8082, Protocol::Tcp), true),
            (port("198.18.0.2", 8081, 8081, Protocol::Tcp), true),
            (port("198.18.0.3", 8081, 8081, Protocol::Tcp), false),
            (port("::", 8080, 8082, Protocol::Tcp), false),
            (port("0.0.0.0", 8080, 8082, Protocol::Udp), false),
            (port("0.0.0.0", 80, 80, Protocol::Tcp), false),
        ] {
            let doors = Doors::of(std::slice::from_ref(&port));
            assert_eq!(doors.lead_to(&key, &flow), told, "{port:?}");
            let (back, reply) = (twin_key(&key, &flow), twin(&key, &flow));
            assert_eq!(doors.lead_to(&back, &reply), told, "{port:?}");
        }
        let many = |numbers: &[u16]| {
            let ports = numbers
                .iter()
                .map(|at| port("0.0.0.0", *at, *at, Protocol::Tcp));
            Doors::of(&ports.collect::<Vec<_>>())
        };
        assert!(many(&[9000, 8081, 80]).lead_to(&key, &flow));
        assert!(!many(&[9000, 8082, 8080, 80]).lead_to(&key, &flow));
        assert!(!many(&[]).lead_to(&key, &flow));
    }
}
