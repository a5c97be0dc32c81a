//! The flow tables as the agent sees them: listing, and deleting what somebody wants to be over. Makes no
//! flow.

use std::collections::BTreeMap;

use aya::maps::IterableMap;
use netd_common::{
    Addr,
    abi::flow::{Flow, FlowKey, flow_flags},
    packet::flow::twin_key,
};

use super::{
    batch::{self, Place},
    error::{During, if_there},
    maps::{FlowMap, Maps},
    pod::Raw,
};
use crate::{
    kernel::{FlowRecord, KernelError, Stopped},
    model::{PortRange, PublishedPort},
};

/// Halves of which those to delete are found before they are deleted.
pub(super) const READ: usize = 256;

/// All halves of both tables; a flow that becomes established meanwhile may be in both.
pub(super) fn list(
    maps: &Maps,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Vec<FlowRecord>, KernelError> {
    let doing = || "read the flows".into();
    let mut records = Vec::new();
    // In this order, since halves go from the one to the other.
    for (map, established) in [(&maps.new_flows, false), (&maps.flows, true)] {
        for batch in batch::batches(map.map()) {
            Stopped::unless(go_on()).during(doing)?;
            let entries = batch.during(doing)?.entries();
            records.extend(entries.map(|(Raw(key), Raw(flow))| FlowRecord {
                key,
                flow,
                established,
            }));
        }
    }
    Ok(records)
}

/// A walk over both tables that deletes flows, a little at a time.
pub struct Flush {
    which: Which,
    table: Table,
    place: Place,
    halves: u64,
}

enum Which {
    All,
    To(Doors),
}

impl Flush {
    /// Of all flows.
    pub fn all() -> Flush {
        Flush::of(Which::All)
    }

    /// Of those that were begun to published ports.
    pub fn to(ports: &[PublishedPort]) -> Flush {
        Flush::of(Which::To(Doors::of(ports)))
    }

    fn of(which: Which) -> Flush {
        Flush {
            which,
            // Halves go from this one to the other.
            table: Table::New,
            place: Place::Start,
            halves: 0,
        }
    }

    /// How many halves were deleted so far.
    pub fn halves(&self) -> u64 {
        self.halves
    }

    /// Looks at the next halves; `false` at the end.
    pub(super) fn step(&mut self, maps: &mut Maps) -> Result<bool, KernelError> {
        let map = self.table.of(maps).map();
        let batch = batch::read(map, &mut self.place, READ).during(|| "read the flows".into())?;
        let mut doomed = Doomed::default();
        for (Raw(key), Raw(flow)) in batch.entries() {
            let goes = match &self.which {
                Which::All => true,
                Which::To(doors) => doors.lead_to(&key, &flow),
            };
            if goes {
                // Both at once: a half that is lost is made again from the other one.
                doomed.add(self.table, key, flow.endpoint);
                doomed.add(self.table, twin_key(&key, &flow), flow.endpoint);
            }
        }
        self.halves += doomed.delete(maps)?;
        if self.place == Place::End && self.table == Table::New {
            (self.table, self.place) = (Table::Established, Place::Start);
        }
        Ok(self.place != Place::End)
    }
}

/// One of the two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Established,
    New,
}

impl Table {
    pub(super) fn of(self, maps: &Maps) -> &FlowMap {
        match self {
            Table::Established => &maps.flows,
            Table::New => &maps.new_flows,
        }
    }
}

/// Halves to delete, by their tables, with their endpoints: the programs limit how many an endpoint has.
#[derive(Default)]
pub(super) struct Doomed {
    established: Vec<(FlowKey, u32)>,
    new: Vec<(FlowKey, u32)>,
}

impl Doomed {
    pub(super) fn add(&mut self, table: Table, key: FlowKey, endpoint: u32) {
        match table {
            Table::Established => self.established.push((key, endpoint)),
            Table::New => self.new.push((key, endpoint)),
        }
    }

    /// Deletes them and tells the programs, once for each endpoint; how many there were. (An agent that
    /// dies in between leaves these counted until the endpoint ends.)
    pub(super) fn delete(self, maps: &mut Maps) -> Result<u64, KernelError> {
        let mut halves = 0;
        let mut of_endpoints: BTreeMap<u32, u64> = BTreeMap::new();
        let keys = |doomed: &[(FlowKey, u32)]| -> Vec<Raw<FlowKey>> {
            doomed.iter().map(|(key, _)| Raw(*key)).collect()
        };
        let established = keys(&self.established);
        let done = batch::delete(maps.flows.map(), &established, |number| {
            halves += 1;
            if let Some((_, endpoint)) = self.established.get(number) {
                *of_endpoints.entry(*endpoint).or_default() += 1;
            }
        });
        let new = keys(&self.new);
        let done = done.and_then(|()| {
            batch::delete(maps.new_flows.map(), &new, |_| {
                halves += 1;
            })
        });
        tell(maps, &of_endpoints)?;
        done.during(|| "delete flows".into()).map(|()| halves)
    }
}

fn tell(maps: &mut Maps, removed: &BTreeMap<u32, u64>) -> Result<(), KernelError> {
    let doing = || "count the removed flows".into();
    for (endpoint, halves) in removed {
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
