//! The flow tables as the agent sees them: listing, flushing, and collecting what has expired, a
//! slice at a time. Makes no flow.

use std::{
    collections::BTreeMap,
    sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    thread,
};

use aya::maps::MapError;
use netd_common::{
    Addr,
    abi::{
        flow::{Flow, FlowKey, flow_flags},
        maps,
    },
    packet::flow::{Timeouts, expired, twin_key},
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
    let mut removed = Removed::default();
    let done = (|| {
        for established in [true, false] {
            let map = if established {
                &maps.flows
            } else {
                &maps.new_flows
            };
            let doomed: Vec<(FlowKey, u32)> = map
                .iter()
                .filter_map(|entry| match entry {
                    Ok((Raw(key), Raw(flow))) => {
                        which(&key, &flow).then_some(Ok((key, flow.endpoint)))
                    }
                    Err(error) => Some(Err(error)),
                })
                .collect::<Result<_, _>>()
                .during(|| "read the flows".into())?;
            for (key, endpoint) in &doomed {
                removed.delete(maps, established, key, *endpoint)?;
            }
        }
        Ok(())
    })();
    removed.tell(maps)?;
    done.map(|()| removed.halves)
}

/// Halves that were removed, and of whom: the programs limit how many an endpoint has.
#[derive(Default)]
struct Removed {
    halves: u64,
    established: BTreeMap<u32, u64>,
}

impl Removed {
    /// Deletes a half from one of the tables; nothing there is success.
    fn delete(
        &mut self,
        maps: &mut Maps,
        established: bool,
        key: &FlowKey,
        endpoint: u32,
    ) -> Result<(), KernelError> {
        let map = if established {
            &mut maps.flows
        } else {
            &mut maps.new_flows
        };
        let deleted = if_there(map.remove(&Raw(*key))).during(|| "delete a flow".into())?;
        if deleted.is_some() {
            self.halves += 1;
            if established {
                *self.established.entry(endpoint).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Tells the programs, once for each endpoint. (An agent that dies before leaves those of one
    /// slice counted until the endpoint ends.)
    fn tell(&self, maps: &mut Maps) -> Result<(), KernelError> {
        let doing = || "count the removed flows".into();
        for (endpoint, halves) in &self.established {
            // Of an endpoint that is gone nobody counts.
            if if_there(maps.flow_counts.get(endpoint, 0))
                .during(doing)?
                .is_none()
            {
                continue;
            }
            let before = if_there(maps.flows_collected.get(endpoint, 0)).during(doing)?;
            let now = before.unwrap_or(0).wrapping_add(*halves);
            maps.flows_collected
                .insert(endpoint, now, 0)
                .during(doing)?;
        }
        Ok(())
    }
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

/// Removes expired flows in slices. The kernel walks a map from key to key and aya keeps the
/// place only inside a borrowing iterator, so the iterator lives in a thread that reads a little
/// ahead and waits; it ends with the collector. Each pass begins when it is asked for: what is read
/// ahead of an empty table would hide the flows of the next minute.
pub(super) struct Collector {
    keys: Receiver<Step>,
    go: Sender<()>,
    in_pass: bool,
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
        let (go, asked) = channel();
        let walk = move || while asked.recv().is_ok() && pass(&tables, &sender).is_some() {};
        thread::Builder::new()
            .name("flow-keys".into())
            .spawn(walk)
            .during(|| "start the walk over the flows".into())?;
        Ok(Collector {
            keys,
            go,
            in_pass: false,
        })
    }

    /// Looks at up to `budget` halves, fewer where a pass ends; how many halves were removed: those
    /// of flows that have expired, or that are not `alive`.
    pub(super) fn collect(
        &mut self,
        maps: &mut Maps,
        budget: u32,
        timeouts: &Timeouts,
        alive: &dyn Fn(&Flow) -> bool,
    ) -> Result<u64, KernelError> {
        let now = monotonic()?;
        let mut removed = Removed::default();
        let is_over = |key: &FlowKey, flow: &Flow, twin: Option<&Flow>| {
            !alive(flow) || expired(key, flow, twin, timeouts, now)
        };
        if !self.in_pass {
            // Fails with the walk, which is told of below.
            let _ = self.go.send(());
            self.in_pass = true;
        }
        let mut done = Ok(());
        for _ in 0..budget {
            match self.step(maps, &is_over, &mut removed) {
                Ok(true) => {}
                Ok(false) => {
                    self.in_pass = false;
                    break;
                }
                Err(error) => {
                    done = Err(error);
                    break;
                }
            }
        }
        removed.tell(maps)?;
        done.map(|()| removed.halves)
    }

    /// Looks at the next half; `false` at the end of a pass.
    fn step(
        &self,
        maps: &mut Maps,
        is_over: &IsOver<'_>,
        removed: &mut Removed,
    ) -> Result<bool, KernelError> {
        let step = self.keys.recv().during(|| "walk over the flows".into())?;
        match step.during(|| "walk over the flows".into())? {
            Some(key) => remove_if_over(maps, &key, is_over, removed).map(|()| true),
            None => Ok(false),
        }
    }
}

/// Whether a flow is over, by one half with its key and, where it is there, the other.
type IsOver<'a> = dyn Fn(&FlowKey, &Flow, Option<&Flow>) -> bool + 'a;

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
    is_over: &IsOver<'_>,
    removed: &mut Removed,
) -> Result<(), KernelError> {
    let Some(flow) = find(maps, key)? else {
        return Ok(());
    };
    let other = twin_key(key, &flow);
    if !is_over(key, &flow, find(maps, &other)?.as_ref()) {
        return Ok(());
    }
    for key in [key, &other] {
        for established in [true, false] {
            removed.delete(maps, established, key, flow.endpoint)?;
        }
    }
    Ok(())
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
