//! The flow tables: listing, deleting and collecting, while they change and with many flows in them.

use std::collections::{BTreeMap, BTreeSet};

use aya::maps::{HashMap, Map, MapData};
use netd::{
    kernel::{
        FlowRecord, Reader,
        bpf::{Bpf, Flush, pod::Raw},
    },
    plan::{Entry, EntryKey},
};
use netd_common::{
    Addr,
    abi::flow::{Flow, FlowKey},
    packet::flow::{Timeouts, twin, twin_key},
};

use crate::{contents::data, host::Host};

const ADDRESS: Addr = Addr::v4([172, 18, 0, 2]);
const TCP: u8 = 6;
/// More than one call into the kernel reads.
const MANY: u16 = 20_000;

#[test]
fn flows_are_listed_and_flushed() {
    let host = Host::new();
    let (mut bpf, _) = host.open();
    let (mut flows, mut new_flows) = tables(&host);
    for port in 0..10 {
        flows
            .insert(
                Raw(flow_key(port)),
                Raw(flow(u64::MAX, u32::from(port) % 2)),
                0,
            )
            .expect("a flow");
    }
    new_flows
        .insert(Raw(flow_key(99)), Raw(flow(u64::MAX, 1)), 0)
        .expect("a flow");
    let listed = list(&bpf);
    assert_eq!(listed.len(), 11);
    assert_eq!(
        listed.iter().filter(|record| record.established).count(),
        10
    );
    assert_eq!(flush(&mut bpf, Flush::all()), (11, 2));
    assert_eq!(list(&bpf), []);
}

#[test]
fn expired_flows_are_collected_in_slices() {
    let host = Host::new();
    let (mut bpf, _) = host.open();
    assert_eq!(collect(&mut bpf, 100, true), 0);
    let (mut flows, mut new_flows) = tables(&host);
    for port in 0..500 {
        let seen = if port % 2 == 0 { 0 } else { u64::MAX };
        flows
            .insert(Raw(flow_key(port)), Raw(flow(seen, 1)), 0)
            .expect("a flow");
        new_flows
            .insert(Raw(flow_key(port + 1000)), Raw(flow(seen, 1)), 0)
            .expect("a flow");
    }
    let first = collect(&mut bpf, 100, true);
    assert!(first <= 100, "{first}");
    let mut removed = first;
    for _ in 0..30 {
        removed += collect(&mut bpf, 100, true);
    }
    assert_eq!(removed, 500);
    let left = list(&bpf);
    assert_eq!(left.len(), 500);
    assert!(left.iter().all(|record| record.flow.last_seen == u64::MAX));
    // Of an endpoint that is gone, those go too that have not expired.
    let mut gone = 0;
    for _ in 0..30 {
        gone += collect(&mut bpf, 100, false);
    }
    assert_eq!(gone, 500);
}

#[test]
fn what_is_removed_no_longer_counts_for_its_endpoint() {
    let host = Host::new();
    let (mut bpf, _) = host.open();
    let open = |name| {
        let map = Map::from_map_data(data(&host, name)).expect("a map");
        HashMap::<_, u32, u64>::try_from(map).expect("counts")
    };
    let mut counts = open("FLOW_COUNTS");
    let collected = || open("FLOWS_COLLECTED");
    let (mut flows, mut new_flows) = tables(&host);
    bpf.put(&Entry::EndpointStats(1)).expect("counters");
    counts.insert(1, 20, 0).expect("as the programs count");
    for port in 0..10 {
        for endpoint in [1, 2] {
            let key = FlowKey {
                zone: endpoint,
                ..flow_key(port)
            };
            flows
                .insert(Raw(key), Raw(flow(0, endpoint)), 0)
                .expect("a flow");
        }
    }
    // What is not established does not count.
    new_flows
        .insert(Raw(flow_key(99)), Raw(flow(0, 1)), 0)
        .expect("a flow");
    let mut removed = 0;
    while removed < 21 {
        removed += collect(&mut bpf, 7, true);
    }
    assert_eq!(collected().get(&1, 0).expect("told"), 10);
    // Of an endpoint that the programs do not count nobody tells.
    assert!(collected().get(&2, 0).is_err());
    flows
        .insert(Raw(flow_key(1)), Raw(flow(0, 1)), 0)
        .expect("a flow");
    assert_eq!(flush(&mut bpf, Flush::all()).0, 1);
    assert_eq!(collected().get(&1, 0).expect("told"), 11);
    // They end with the endpoint.
    bpf.delete(&EntryKey::EndpointStats(1)).expect("deleted");
    assert!(collected().get(&1, 0).is_err() && counts.get(&1, 0).is_err());
}

#[test]
fn a_half_lives_as_long_as_its_twin() {
    let host = Host::new();
    let (mut bpf, _) = host.open();
    let (mut flows, mut new_flows) = tables(&host);
    let (key, half) = (flow_key(1), flow(0, 1));
    let twin = FlowKey {
        zone: half.twin_zone,
        source: half.destination,
        destination: half.source,
        source_port: half.destination_port,
        destination_port: half.source_port,
        ..key
    };
    flows.insert(Raw(key), Raw(half), 0).expect("a flow");
    new_flows
        .insert(Raw(twin), Raw(flow(u64::MAX, 1)), 0)
        .expect("its twin");
    let mut pass = || (0..5).map(|_| collect(&mut bpf, 100, true)).sum::<u64>();
    assert_eq!(pass(), 0);
    new_flows
        .insert(Raw(twin), Raw(flow(0, 1)), 0)
        .expect("its twin");
    assert_eq!(pass(), 2);
}

#[test]
fn a_list_asks_between_batches_and_ends_when_it_is_told_to() {
    let host = Host::new();
    let (bpf, _) = host.open();
    fill(&host, MANY);
    let reader = bpf.reader().expect("a reader");
    let mut asked = 0;
    let mut go_on = || {
        asked += 1;
        true
    };
    let listed = reader.flows(&mut go_on).expect("flows");
    assert_eq!(listed.len(), usize::from(MANY));
    assert!((2..50).contains(&asked), "{asked} batches");
    for goes_on in [0, 1] {
        let mut left = goes_on;
        let error = reader.flows(&mut || {
            left -= 1;
            left >= 0
        });
        assert!(error.expect_err("told to stop").is_stopped());
        let mut left = goes_on;
        let error = reader.map_fill(&mut || {
            left -= 1;
            left >= 0
        });
        assert!(error.expect_err("told to stop").is_stopped());
    }
}

/// A walk from key to key begins anew where its key is gone.
#[test]
fn flows_that_go_meanwhile_make_no_list_longer() {
    let host = Host::new();
    let (bpf, _) = host.open();
    let (mut flows, _) = fill(&host, MANY);
    let reader = bpf.reader().expect("a reader");
    let mut batches = 0;
    let listed = reader.flows(&mut || {
        // In the midst of the table of established ones all go but every tenth.
        batches += 1;
        let going = (0..MANY).filter(|port| batches == 3 && port % 10 != 0);
        for port in going {
            flows.remove(&Raw(flow_key(port))).expect("it was there");
        }
        true
    });
    let mut counts: BTreeMap<FlowKey, usize> = BTreeMap::new();
    for record in listed.expect("flows") {
        *counts.entry(record.key).or_default() += 1;
    }
    assert!(batches > 3, "{batches}");
    assert!(counts.values().all(|count| *count == 1));
    assert!(counts.len() < MANY.into(), "some went in time");
    let stayed = (0..MANY).step_by(10);
    assert!(stayed.map(flow_key).all(|key| counts.contains_key(&key)));
}

#[test]
fn many_flows_are_flushed_in_steps_with_both_halves_at_once() {
    let host = Host::new();
    let (mut bpf, _) = host.open();
    let (mut flows, _) = fill(&host, MANY / 2);
    for port in 0..MANY / 2 {
        let twin = twin(&flow_key(port), &flow_of(port));
        let key = twin_key(&flow_key(port), &flow_of(port));
        flows.insert(Raw(key), Raw(twin), 0).expect("a flow");
    }
    let mut flush = Flush::all();
    let mut steps = 0;
    while bpf.flush(&mut flush).expect("a step") {
        steps += 1;
        if steps == 20 {
            let left: BTreeSet<FlowKey> = list(&bpf).iter().map(|record| record.key).collect();
            assert!(
                left.len() < MANY.into() && !left.is_empty(),
                "{}",
                left.len()
            );
            let both = |record: &FlowRecord| left.contains(&twin_key(&record.key, &record.flow));
            assert!(list(&bpf).iter().all(both));
        }
    }
    assert_eq!(flush.halves(), u64::from(MANY));
    assert!((20..500).contains(&steps), "{steps} steps");
    assert_eq!(list(&bpf), []);
}

/// All flows.
fn list(bpf: &Bpf) -> Vec<FlowRecord> {
    let reader = bpf.reader().expect("a reader");
    reader.flows(&mut || true).expect("flows")
}

/// How many halves were deleted, and in how many steps.
fn flush(bpf: &mut Bpf, mut flush: Flush) -> (u64, u32) {
    let mut steps = 1;
    while bpf.flush(&mut flush).expect("a step") {
        steps += 1;
    }
    (flush.halves(), steps)
}

/// How many halves a slice removes.
fn collect(bpf: &mut Bpf, budget: u32, alive: bool) -> u64 {
    let slice = bpf.collect_flows(budget, &Timeouts::default(), &|_| alive);
    slice.expect("a slice").halves
}

/// So many established flows, of one half each.
fn fill(host: &Host, count: u16) -> (FlowMap, FlowMap) {
    let (mut flows, new_flows) = tables(host);
    for port in 0..count {
        let half = Raw(flow_of(port));
        flows.insert(Raw(flow_key(port)), half, 0).expect("a flow");
    }
    (flows, new_flows)
}

/// A half that is in use, with a twin of its own.
fn flow_of(port: u16) -> Flow {
    Flow {
        source_port: port.to_be_bytes(),
        ..flow(u64::MAX, 1)
    }
}

type FlowMap = HashMap<MapData, Raw<FlowKey>, Raw<Flow>>;

fn tables(host: &Host) -> (FlowMap, FlowMap) {
    let open = |name| {
        Map::from_map_data(data(host, name))
            .and_then(FlowMap::try_from)
            .expect(name)
    };
    (open("FLOWS"), open("NEW_FLOWS"))
}

fn flow_key(port: u16) -> FlowKey {
    FlowKey {
        zone: 1,
        source: ADDRESS,
        destination: Addr::v4([192, 0, 2, 1]),
        source_port: port.to_be_bytes(),
        destination_port: 80_u16.to_be_bytes(),
        protocol: TCP,
        ..FlowKey::default()
    }
}

/// A half whose last packet, a TCP reset, was seen at `seen` (0: when the machine started), of
/// `endpoint`. After a reset flows are kept for seconds only.
fn flow(seen: u64, endpoint: u32) -> Flow {
    Flow {
        source: Addr::v4([198, 51, 100, 7]),
        destination: Addr::v4([192, 0, 2, 1]),
        source_port: [200, 0],
        destination_port: 80_u16.to_be_bytes(),
        tcp_flags: 4,
        endpoint,
        last_seen: seen,
        ..Flow::default()
    }
}
