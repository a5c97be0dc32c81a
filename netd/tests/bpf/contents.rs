//! Maps: every kind of entry there and back, prefixes, counters.

use aya::maps::{HashMap, Map, MapData, PerCpuHashMap, PerCpuValues};
use netd::{
    kernel::{Reader, bpf::pod::Raw},
    plan::{Entry, EntryKey},
};
use netd_common::{
    Addr, DropReason,
    abi::{
        Program,
        drops::{DropCount, DropKey},
        endpoint::{Endpoint, EndpointKey, EndpointStats, Subnet, TrustedKey},
        fragment::Parked,
        host::{Config, HostAddress, Uplink},
        name::{Name, NameKey, Resolver, Scopes},
        port::{PORT_PREFIX_BITS, Port, PortKey},
    },
    limits,
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
    let reader = bpf.reader().expect("a reader");
    let fill = reader.map_fill(&mut || true).expect("fill levels");
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
    let drops = bpf.reader().and_then(|reader| reader.drops());
    let drops = drops.expect("drops");
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

fn per_cpu<K: aya::Pod, V: aya::Pod>(host: &Host, name: &str) -> PerCpuHashMap<MapData, K, V> {
    Map::from_map_data(data(host, name))
        .and_then(TryFrom::try_from)
        .expect(name)
}

pub fn data(host: &Host, name: &str) -> MapData {
    MapData::from_pin(host.pin(&format!("maps/{name}"))).expect(name)
}

fn every_cpu<T>(value: T) -> PerCpuValues<Raw<T>>
where
    Raw<T>: aya::Pod,
{
    let cpus = aya::util::nr_cpus().expect("CPUs");
    PerCpuValues::try_from(vec![Raw(value); cpus]).expect("values")
}
