//! The flow table as conversations: each flow's two halves joined, with the names of its objects.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
};

use netd_common::{
    Addr,
    abi::flow::{Flow, FlowKey, flow_flags},
};

use crate::{
    frontends::api::reports::{FlowList, FlowReport},
    kernel::FlowRecord,
    state::State,
};

const NANOSECONDS: u64 = 1_000_000_000;
const FIN: u16 = 1;
const RST: u16 = 4;

/// Oldest first, without what is left of endpoints that are gone, which no packet follows any more
/// and which will be collected. `now` is nanoseconds of CLOCK_MONOTONIC.
pub fn flows(records: &[FlowRecord], state: &State, now: u64) -> FlowList {
    let alive =
        |record: &&FlowRecord| state.has_generation(record.flow.endpoint, record.flow.generation);
    let halves = halves(records.iter().filter(alive));
    let names = Names::of(state);
    let mut shown: Vec<(u64, FlowReport)> = halves
        .values()
        .filter_map(|record| {
            let twin = halves.get(&twin_key(&record.key, &record.flow)).copied();
            // A half that came without its beginning stands for both.
            let original = record.flow.flags & flow_flags::ORIGINAL != 0;
            (original || twin.is_none())
                .then(|| (record.flow.created, report(record, twin, &names, now)))
        })
        .collect();
    shown.sort_by(|(a, left), (b, right)| (a, &left.source).cmp(&(b, &right.source)));
    FlowList {
        flows: shown.into_iter().map(|(_, flow)| flow).collect(),
    }
}

/// By key, each once: a half that became established is still in the table of new ones for a while.
fn halves<'a>(records: impl Iterator<Item = &'a FlowRecord>) -> HashMap<FlowKey, &'a FlowRecord> {
    let mut halves: HashMap<FlowKey, &FlowRecord> = HashMap::new();
    for record in records {
        let known = halves.entry(record.key).or_insert(record);
        if record.established {
            *known = record;
        }
    }
    halves
}

/// The other half's key: the tuple as it leaves, turned round, where the twin's packets arrive.
fn twin_key(key: &FlowKey, flow: &Flow) -> FlowKey {
    FlowKey {
        zone: flow.twin_zone,
        source: flow.destination,
        destination: flow.source,
        source_port: flow.destination_port,
        destination_port: flow.source_port,
        ..*key
    }
}

struct Names {
    networks: BTreeMap<u32, String>,
    /// Sandbox and generation, by the endpoint's index.
    sandboxes: BTreeMap<u32, (String, u32)>,
}

impl Names {
    fn of(state: &State) -> Names {
        let sandboxes = state.endpoints().filter_map(|endpoint| {
            let sandbox = state.sandbox(endpoint.sandbox?)?;
            Some((
                endpoint.index,
                (sandbox.name.to_string(), endpoint.generation),
            ))
        });
        Names {
            networks: state
                .networks()
                .map(|network| (network.index, network.name.to_string()))
                .collect(),
            sandboxes: sandboxes.collect(),
        }
    }

    /// Empty for a flow of an endpoint that is gone or replaced.
    fn sandbox(&self, flow: &Flow) -> String {
        match self.sandboxes.get(&flow.endpoint) {
            Some((name, generation)) if *generation == flow.generation => name.clone(),
            _ => String::new(),
        }
    }
}

fn report(record: &FlowRecord, twin: Option<&FlowRecord>, names: &Names, now: u64) -> FlowReport {
    let FlowRecord { key, flow, .. } = record;
    let both = |field: fn(&Flow) -> u64| field(flow) + twin.map_or(0, |twin| field(&twin.flow));
    let last = twin.map_or(flow.last_seen, |twin| {
        twin.flow.last_seen.max(flow.last_seen)
    });
    let seconds = |since: u64| now.saturating_sub(since) / NANOSECONDS;
    FlowReport {
        sandbox: names.sandbox(flow),
        network: names
            .networks
            .get(&flow.network)
            .cloned()
            .unwrap_or_default(),
        protocol: protocol(key.protocol),
        source: end(key.source, key.source_port),
        destination: end(key.destination, key.destination_port),
        translated_source: end(flow.source, flow.source_port),
        translated_destination: end(flow.destination, flow.destination_port),
        nat: nat(flow.flags).to_owned(),
        state: state_of(record, twin).to_owned(),
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

pub(super) fn protocol(number: u8) -> String {
    match number {
        1 => "icmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        132 => "sctp".to_owned(),
        58 => "icmpv6".to_owned(),
        other => other.to_string(),
    }
}

/// `192.0.2.1:80`, `[2001:db8::1]:80`; of ICMP echo the identifier stands for the port.
pub(super) fn end(address: Addr, port: [u8; 2]) -> String {
    SocketAddr::new(IpAddr::from(address), u16::from_be_bytes(port)).to_string()
}

#[cfg(test)]
mod tests {
    use super::{Addr, Flow, FlowKey, FlowRecord, NANOSECONDS, State, flow_flags, flows};

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
        let list = flows(&[new, back, out, new], &State::default(), 11 * NANOSECONDS);
        let [flow] = &list.flows[..] else {
            panic!("{list:?}");
        };
        assert_eq!(
            (flow.source.as_str(), flow.destination.as_str()),
            ("172.18.0.2:40000", "203.0.113.9:443")
        );
        assert_eq!(flow.translated_source, "192.0.2.7:2000");
        assert_eq!(
            (flow.nat.as_str(), flow.state.as_str()),
            ("masquerade", "closing")
        );
        assert_eq!(
            (flow.age, flow.idle, flow.packets, flow.bytes),
            (10, 6, 6, 600)
        );
    }

    #[test]
    fn a_half_without_its_twin_is_shown_too() {
        let lone = half(FAR, UPLINK, [FAR, INSIDE], (0, 4), flow_flags::PUBLISHED, 2);
        let list = flows(&[lone], &State::default(), 0);
        assert_eq!(list.flows.len(), 1);
        assert_eq!(
            (list.flows[0].state.as_str(), list.flows[0].age),
            ("new", 0)
        );
    }
}
