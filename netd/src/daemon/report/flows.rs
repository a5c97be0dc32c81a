//! The flow table as conversations: each flow's two halves joined, with the names of its objects.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use netd_common::{
    Addr,
    abi::flow::{Flow, flow_flags},
    packet::flow::twin_key,
};

use crate::{frontends::api::reports::FlowReport, kernel::FlowRecord, state::State};

const NANOSECONDS: u64 = 1_000_000_000;
const FIN: u16 = 1;
const RST: u16 = 4;

/// Oldest first, without what is left of endpoints that are gone, which no packet follows any more
/// and which will be collected. `now` is nanoseconds of CLOCK_MONOTONIC. Texts are made as they are
/// asked for: there may be hundreds of thousands. Puts the records in an order of its own.
pub fn flows<'a>(
    records: &'a mut Vec<FlowRecord>,
    names: &'a Names,
    now: u64,
) -> impl Iterator<Item = FlowReport<'a>> {
    records.retain(|record| names.are_alive(&record.flow));
    // By key, each once: a half that became established is still in the table of new ones for a while.
    let order = |a: &FlowRecord, b: &FlowRecord| {
        let by_table = || b.established.cmp(&a.established);
        a.key.cmp(&b.key).then_with(by_table)
    };
    records.sort_unstable_by(order);
    records.dedup_by_key(|record| record.key);
    let halves: &[FlowRecord] = records;
    let find = |key| {
        let at = halves.binary_search_by_key(&key, |half| half.key);
        at.ok().and_then(|at| halves.get(at))
    };
    let mut shown: Vec<(&FlowRecord, Option<&FlowRecord>)> = Vec::new();
    for half in halves {
        let twin = find(twin_key(&half.key, &half.flow));
        // A half that came without its beginning stands for both.
        if half.flow.flags & flow_flags::ORIGINAL != 0 || twin.is_none() {
            shown.push((half, twin));
        }
    }
    // The sort is stable: of one age by key.
    shown.sort_by_key(|(half, _)| half.flow.created);
    let report = move |(half, twin)| report(half, twin, names, now);
    shown.into_iter().map(report)
}

/// The names of what flows belong to, and which endpoints there are.
pub struct Names {
    networks: BTreeMap<u32, String>,
    /// Generation and sandbox, by the endpoint's index.
    endpoints: BTreeMap<u32, (u32, String)>,
}

impl Names {
    /// As they are now.
    pub fn of(state: &State) -> Names {
        let endpoints = state.endpoints().map(|endpoint| {
            let sandbox = endpoint.sandbox.and_then(|id| state.sandbox(id));
            let name = sandbox.map_or_else(String::new, |sandbox| sandbox.name.to_string());
            (endpoint.index, (endpoint.generation, name))
        });
        Names {
            networks: state
                .networks()
                .map(|network| (network.index, network.name.to_string()))
                .collect(),
            endpoints: endpoints.collect(),
        }
    }

    /// The same as [`State::has_generation`].
    fn are_alive(&self, flow: &Flow) -> bool {
        let endpoint = self.endpoints.get(&flow.endpoint);
        flow.endpoint == 0 || endpoint.is_some_and(|(generation, _)| *generation == flow.generation)
    }

    /// Empty for a flow of no endpoint.
    fn sandbox(&self, flow: &Flow) -> &str {
        let endpoint = self.endpoints.get(&flow.endpoint);
        endpoint.map_or("", |(_, sandbox)| sandbox)
    }

    fn network(&self, flow: &Flow) -> &str {
        let network = self.networks.get(&flow.network);
        network.map_or("", String::as_str)
    }
}

fn report<'a>(
    record: &FlowRecord,
    twin: Option<&FlowRecord>,
    names: &'a Names,
    now: u64,
) -> FlowReport<'a> {
    let FlowRecord { key, flow, .. } = record;
    let both = |field: fn(&Flow) -> u64| field(flow) + twin.map_or(0, |twin| field(&twin.flow));
    let last = twin.map_or(flow.last_seen, |twin| {
        twin.flow.last_seen.max(flow.last_seen)
    });
    let seconds = |since: u64| now.saturating_sub(since) / NANOSECONDS;
    FlowReport {
        sandbox: names.sandbox(flow).into(),
        network: names.network(flow).into(),
        protocol: protocol(key.protocol),
        source: end(key.source, key.source_port).into(),
        destination: end(key.destination, key.destination_port).into(),
        translated_source: end(flow.source, flow.source_port).into(),
        translated_destination: end(flow.destination, flow.destination_port).into(),
        nat: nat(flow.flags).into(),
        state: state_of(record, twin).into(),
        age: seconds(flow.created),
        idle: seconds(last),
        packets: both(|flow| flow.packets),
        bytes: both(|flow| flow.bytes),
    }
}

fn nat(flags: u16) -> &'static str {
    if flags & flow_flags::PUBLISHED != 0 {
        "published"
    } else if flags & flow_flags::MASQUERADE != 0 {
        "masquerade"
    } else {
        "none"
    }
}

fn state_of(record: &FlowRecord, twin: Option<&FlowRecord>) -> &'static str {
    let ours = record.flow.tcp_flags;
    let theirs = twin.map_or(0, |twin| twin.flow.tcp_flags);
    if (ours | theirs) & RST != 0 || ours & theirs & FIN != 0 {
        "closed"
    } else if (ours | theirs) & FIN != 0 {
        "closing"
    } else if record.established || twin.is_some_and(|twin| twin.established) {
        "established"
    } else {
        "new"
    }
}

pub(super) fn protocol(number: u8) -> Cow<'static, str> {
    let name = match number {
        1 => "icmp",
        6 => "tcp",
        17 => "udp",
        132 => "sctp",
        58 => "icmpv6",
        other => return other.to_string().into(),
    };
    name.into()
}

/// `192.0.2.1:80`, `[2001:db8::1]:80`; of ICMP echo the identifier stands for the port.
pub(super) fn end(address: Addr, port: [u8; 2]) -> String {
    SocketAddr::new(IpAddr::from(address), u16::from_be_bytes(port)).to_string()
}

#[cfg(test)]
mod tests {
    use netd_common::abi::flow::FlowKey;

    use super::{Addr, Flow, FlowRecord, NANOSECONDS, Names, State, flow_flags, flows};

    fn half(
        from: ([u8; 4], u16),
        to: ([u8; 4], u16),
        out: [([u8; 4], u16); 2],
        zones: (u32, u32),
        flags: u16,
        tcp_flags: u16,
    ) -> FlowRecord {
        let [source, destination] = out;
        FlowRecord {
            key: FlowKey {
                zone: zones.0,
                source: Addr::v4(from.0),
                destination: Addr::v4(to.0),
                source_port: from.1.to_be_bytes(),
                destination_port: to.1.to_be_bytes(),
                protocol: 6,
                ..FlowKey::default()
            },
            flow: Flow {
                source: Addr::v4(source.0),
                destination: Addr::v4(destination.0),
                source_port: source.1.to_be_bytes(),
                destination_port: destination.1.to_be_bytes(),
                twin_zone: zones.1,
                flags,
                tcp_flags,
                packets: 3,
                bytes: 300,
                created: NANOSECONDS,
                last_seen: 5 * NANOSECONDS,
                ..Flow::default()
            },
            established: flags & flow_flags::ESTABLISHED != 0,
        }
    }

    const INSIDE: ([u8; 4], u16) = ([172, 18, 0, 2], 40_000);
    const UPLINK: ([u8; 4], u16) = ([192, 0, 2, 7], 2_000);
    const FAR: ([u8; 4], u16) = ([203, 0, 113, 9], 443);

    #[test]
    fn two_halves_are_one_conversation() {
        let flags = flow_flags::MASQUERADE | flow_flags::ESTABLISHED;
        let out = half(
            INSIDE,
            FAR,
            [UPLINK, FAR],
            (4, 0),
            flags | flow_flags::ORIGINAL,
            0x13,
        );
        let back = half(FAR, UPLINK, [FAR, INSIDE], (0, 4), flags, 0x12);
        // What it was before it became established is still there.
        let mut new = out;
        (new.established, new.flow.packets) = (false, 1);
        let names = Names::of(&State::default());
        let mut records = vec![new, back, out, new];
        let list: Vec<_> = flows(&mut records, &names, 11 * NANOSECONDS).collect();
        let [flow] = &list[..] else {
            panic!("{list:?}");
        };
        assert_eq!(
            (&*flow.source, &*flow.destination),
            ("172.18.0.2:40000", "203.0.113.9:443")
        );
        assert_eq!(flow.translated_source, "192.0.2.7:2000");
        assert_eq!((&*flow.nat, &*flow.state), ("masquerade", "closing"));
        assert_eq!(
            (flow.age, flow.idle, flow.packets, flow.bytes),
            (10, 6, 6, 600)
        );
    }

    #[test]
    fn a_half_without_its_twin_is_shown_too() {
        let lone = half(FAR, UPLINK, [FAR, INSIDE], (0, 4), flow_flags::PUBLISHED, 2);
        let names = Names::of(&State::default());
        let mut records = vec![lone];
        let list: Vec<_> = flows(&mut records, &names, 0).collect();
        assert_eq!(list.len(), 1);
        assert_eq!((&*list[0].state, list[0].age), ("new", 0));
    }
}
