//! Maps: every kind of entry there and back, prefixes, counters, flows.

use aya::maps::{HashMap, Map, MapData, PerCpuHashMap, PerCpuValues};
use netd::{
    kernel::bpf::pod::Raw,
    plan::{Entry, EntryKey},
};
use netd_common::{
    Addr, DropReason,
    abi::{
        Program,
        drops::{DropCount, DropKey},
        endpoint::{Endpoint, EndpointKey, EndpointStats, Subnet, TrustedKey},
        flow::{Flow, FlowKey},
        fragment::Parked,
        host::{Config, HostAddress, Uplink},
        name::{Name, NameKey, Resolver, Scopes},
        port::{PORT_PREFIX_BITS, Port, PortKey},
    },
    limits,
    packet::flow::Timeouts,
};
use zerocopy::FromZeros;

use crate::host::Host;

const ADDRESS: Addr = Addr::v4([172, 18, 0, 2]);
const TCP: u8 = 6;

/// One of each.
fn entries() -> Vec<Entry> {
    let endpoint = Endpoint {
        ifindex: 5,
        index: 3,
        mac: [2, 0x42, 0, 0, 0, 9],
        ..Endpoint::default()
    };
    let name = Name {
        count_v4: 1,
        ..Name::new_zeroed()
    };
    vec![
        Entry::Endpoint(key_of(ADDRESS), endpoint),
        Entry::Interface(5, endpoint),
        Entry::EndpointStats(3),
        Entry::Subnet(
            96 + 16,
            ADDRESS_16,
            Subnet {
                network: 1,
                flags: 2,
                egress: ADDRESS,
            },
        ),
        Entry::Trusted(TrustedKey {
            network: 1,
            ifindex: 7,
        }),
        Entry::HostAddress(
            ADDRESS,
            HostAddress {
                ifindex: 1,
                network: 0,
            },
        ),
        Entry::Uplink(
            2,
            Uplink {
                mtu: 1500,
                ..Uplink::default()
            },
        ),
        Entry::Config(Config {
            epoch: 4,
            host_cookie: 5,
            ..Config::default()
        }),
        Entry::Port(
            PORT_PREFIX_BITS,
            port_key(80),
            Port {
                endpoint: 3,
                ..Port::default()
            },
        ),
        Entry::Name(
            NameKey {
                scope: 2,
                ..NameKey::new_zeroed()
            },
            Box::new(name),
        ),
        Entry::Scopes(
            1,
            Scopes {
                count: 1,
                ..Scopes::default()
            },
        ),
        Entry::Resolver(
            u64::MAX,
            Resolver {
                sandbox: 1,
                ..Resolver::default()
            },
        ),
    ]
}

const ADDRESS_16: Addr = Addr::v4([172, 18, 0, 0]);

fn key_of(address: Addr) -> EndpointKey {
    EndpointKey {
        network: 1,
        address,
    }
}

fn port_key(port: u16) -> PortKey {
    PortKey {
        protocol: TCP,
        purpose: 0,
        address: Addr::ANY_V4,
        port: port.to_be_bytes(),
    }
}

#[test]
fn every_kind_of_entry_comes_back_and_goes() {
    let host = Host::new();
    let (mut bpf, _) = host.open();
    assert_eq!(bpf.entries().expect("entries"), []);
    for entry in entries() {
        assert_eq!(bpf.entry(&entry.key()).expect("entry"), None, "{entry:?}");
        bpf.put(&entry).expect("put");
        assert_eq!(bpf.entry(&entry.key()).expect("entry"), Some(entry));
    }
    drop(bpf);
    let (mut bpf, _) = host.open();
    let mut found = bpf.entries().expect("entries");
    found.sort();
    let mut all = entries();
    all.sort();
    assert_eq!(found, all);
    for entry in entries() {
        bpf.delete(&entry.key()).expect("delete");
        bpf.delete(&entry.key()).expect("delete what is gone");
        assert_eq!(bpf.entry(&entry.key()).expect("entry"), None);
    }
    assert_eq!(bpf.entries().expect("entries"), []);
}

#[test]
fn a_shorter_prefix_is_no_answer() {
    let host = Host::new();
    let (mut bpf, _) = host.open();
    bpf.put(&Entry::Subnet(
        96 + 16,
        ADDRESS_16,
        Subnet {
            network: 1,
            flags: 0,
            egress: Addr::NONE,
        },
    ))
    .expect("put");
    let longer = EntryKey::Subnet(96 + 24, ADDRESS_16);
    assert_eq!(bpf.entry(&longer).expect("entry"), None);
    drop(bpf);
    let (mut bpf, _) = host.open();
    assert_eq!(bpf.entry(&longer).expect("entry"), None);
    assert!(
        bpf.entry(&EntryKey::Subnet(96 + 16, ADDRESS_16))
            .expect("entry")
            .is_some()
    );
}

#[test]
fn a_full_map_says_so() {
    let host = Host::new();
    let (mut bpf, _) = host.open();
    for ifindex in 0..limits::MAX_UPLINKS {
        bpf.put(&Entry::Uplink(ifindex, Uplink::default()))
            .expect("put");
    }
    let error = bpf
        .put(&Entry::Uplink(limits::MAX_UPLINKS, Uplink::default()))
        .expect_err("one too many");
    assert!(error.to_string().contains("map UPLINKS is full"), "{error}");
    let fill = bpf.map_fill().expect("fill levels");
    let uplinks = fill
        .iter()
        .find(|map| map.name == "UPLINKS")
        .expect("UPLINKS");
    assert_eq!((uplinks.used, uplinks.capacity), (1_024, 1_024));
}

#[test]
fn counters_are_kept_and_summed() {
    let host = Host::new();
    let (mut bpf, _) = host.open();
    assert_eq!(bpf.endpoint_stats(3).expect("stats"), None);
    bpf.put(&Entry::EndpointStats(3)).expect("put");
    assert_eq!(
        bpf.endpoint_stats(3).expect("stats"),
        Some(EndpointStats::default())
    );

    let one = EndpointStats {
        tx_packets: 1,
        rx_bytes: 100,
        ..EndpointStats::default()
    };
    let cpus = aya::util::nr_cpus().expect("CPUs");
    let mut stats: PerCpuHashMap<_, u32, Raw<EndpointStats>> = per_cpu(&host, "ENDPOINT_STATS");
    stats.insert(3, every_cpu(one), 0).expect("count");
    bpf.put(&Entry::EndpointStats(3)).expect("put again");
    let sum = bpf.endpoint_stats(3).expect("stats").expect("counters");
    assert_eq!(
        (sum.tx_packets, sum.rx_bytes),
        (cpus as u64, 100 * cpus as u64)
    );

    let key = DropKey {
        reason: DropReason::IccOff as u16,
        program: Program::FromEndpoint as u16,
        network: 1,
    };
    let mut drops: PerCpuHashMap<_, Raw<DropKey>, Raw<DropCount>> = per_cpu(&host, "DROPS");
    drops
        .insert(
            Raw(key),
            every_cpu(DropCount {
                packets: 2,
                bytes: 9,
            }),
            0,
        )
        .expect("count");
    let drops = bpf.drops().expect("drops");
    assert_eq!(drops.len(), 1);
    assert_eq!(
        (drops[0].key, drops[0].count.packets),
        (key, 2 * cpus as u64)
    );
}

#[test]
fn fragments_that_wait_go_with_their_endpoint() {
    let host = Host::new();
    let (mut bpf, _) = host.open();
    let mut parked: HashMap<MapData, u32, Raw<Parked>> = Map::from_map_data(data(&host, "PARKED"))
        .and_then(TryFrom::try_from)
        .expect("PARKED");
    for place in 0..40 {
        let mut fragment = Parked::new_zeroed();
        // From outside, of the endpoint that goes, of another one.
        fragment.key.arrival = [0, 5, 6][place as usize % 3];
        parked.insert(place, Raw(fragment), 0).expect("room");
    }
    bpf.delete(&EntryKey::Interface(5)).expect("delete");
    let mut left: Vec<u32> = parked.keys().collect::<Result<_, _>>().expect("the places");
    left.sort_unstable();
    let expected: Vec<u32> = (0..40).filter(|place| place % 3 != 1).collect();
    assert_eq!(left, expected);
}

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
    let listed = bpf.flows().expect("flows");
    assert_eq!(listed.len(), 11);
    assert_eq!(
        listed.iter().filter(|record| record.established).count(),
        10
    );
    assert_eq!(bpf.flush_flows().expect("flush"), 11);
    assert_eq!(bpf.flows().expect("flows"), []);
}

#[test]
fn expired_flows_are_collected_in_slices() {
    let host = Host::new();
    let (mut bpf, _) = host.open();
    assert_eq!(
        bpf.collect_flows(100, &Timeouts::default(), &|_| true)
            .expect("an empty pass"),
        0
    );
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
    let first = bpf
        .collect_flows(100, &Timeouts::default(), &|_| true)
        .expect("a slice");
    assert!(first <= 100, "{first}");
    let mut removed = first;
    for _ in 0..30 {
        removed += bpf
            .collect_flows(100, &Timeouts::default(), &|_| true)
            .expect("a slice");
    }
    assert_eq!(removed, 500);
    let left = bpf.flows().expect("flows");
    assert_eq!(left.len(), 500);
    assert!(left.iter().all(|record| record.flow.last_seen == u64::MAX));
    // Of an endpoint that is gone, those go too that have not expired.
    let mut gone = 0;
    for _ in 0..30 {
        gone += bpf
            .collect_flows(100, &Timeouts::default(), &|_| false)
            .expect("a slice");
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
        removed += bpf
            .collect_flows(7, &Timeouts::default(), &|_| true)
            .expect("a slice");
    }
    assert_eq!(collected().get(&1, 0).expect("told"), 10);
    // Of an endpoint that the programs do not count nobody tells.
    assert!(collected().get(&2, 0).is_err());
    flows
        .insert(Raw(flow_key(1)), Raw(flow(0, 1)), 0)
        .expect("a flow");
    assert_eq!(bpf.flush_flows().expect("flush"), 1);
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
    let mut pass = || {
        (0..5)
            .map(|_| {
                bpf.collect_flows(100, &Timeouts::default(), &|_| true)
                    .expect("a slice")
            })
            .sum::<u64>()
    };
    assert_eq!(pass(), 0);
    new_flows
        .insert(Raw(twin), Raw(flow(0, 1)), 0)
        .expect("its twin");
    assert_eq!(pass(), 2);
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

fn per_cpu<K: aya::Pod, V: aya::Pod>(host: &Host, name: &str) -> PerCpuHashMap<MapData, K, V> {
    Map::from_map_data(data(host, name))
        .and_then(TryFrom::try_from)
        .expect(name)
}

fn data(host: &Host, name: &str) -> MapData {
    MapData::from_pin(host.pin(&format!("maps/{name}"))).expect(name)
}

fn every_cpu<T>(value: T) -> PerCpuValues<Raw<T>>
where
    Raw<T>: aya::Pod,
{
    let cpus = aya::util::nr_cpus().expect("CPUs");
    PerCpuValues::try_from(vec![Raw(value); cpus]).expect("values")
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
