//! Counters that the programs keep per CPU, summed; and how full the maps are.

use aya::{
    Pod,
    maps::{HashMap, LpmTrie, MapData, MapError, MapKeys, PerCpuHashMap},
};
use netd_common::abi::{drops::DropCount, endpoint::EndpointStats, maps};

use super::{
    error::{During, if_there},
    maps::Maps,
    pod::Raw,
};
use crate::kernel::{DropRecord, KernelError, MapFill};

/// All drop counters.
pub(super) fn drops(maps: &Maps) -> Result<Vec<DropRecord>, KernelError> {
    maps.drops
        .iter()
        .map(|entry| {
            entry.map(|(Raw(key), per_cpu)| DropRecord {
                key,
                count: per_cpu
                    .iter()
                    .fold(DropCount::default(), |sum, Raw(one)| DropCount {
                        packets: sum.packets.wrapping_add(one.packets),
                        bytes: sum.bytes.wrapping_add(one.bytes),
                    }),
            })
        })
        .collect::<Result<_, _>>()
        .during(|| "read the drop counters".into())
}

/// Counters of an endpoint.
pub(super) fn endpoint_stats(
    maps: &Maps,
    endpoint: u32,
) -> Result<Option<EndpointStats>, KernelError> {
    let found = if_there(maps.endpoint_stats.get(&endpoint, 0))
        .during(|| format!("read the counters of endpoint {endpoint}"))?;
    Ok(found.map(|per_cpu| {
        per_cpu
            .iter()
            .fold(EndpointStats::default(), |sum, Raw(one)| add(sum, *one))
    }))
}

fn add(a: EndpointStats, b: EndpointStats) -> EndpointStats {
    EndpointStats {
        tx_packets: a.tx_packets.wrapping_add(b.tx_packets),
        tx_bytes: a.tx_bytes.wrapping_add(b.tx_bytes),
        tx_drops: a.tx_drops.wrapping_add(b.tx_drops),
        rx_packets: a.rx_packets.wrapping_add(b.rx_packets),
        rx_bytes: a.rx_bytes.wrapping_add(b.rx_bytes),
        rx_drops: a.rx_drops.wrapping_add(b.rx_drops),
    }
}

/// Fill levels of the maps that can be full; walks their keys. (Arrays always are.)
pub(super) fn fill(maps: &Maps) -> Result<Vec<MapFill>, KernelError> {
    [
        hash(maps::ENDPOINTS, &maps.endpoints),
        hash(maps::INTERFACES, &maps.interfaces),
        per_cpu(maps::ENDPOINT_STATS, &maps.endpoint_stats),
        trie(maps::SUBNETS, &maps.subnets),
        hash(maps::TRUSTED, &maps.trusted),
        hash(maps::HOST_ADDRESSES, &maps.host_addresses),
        hash(maps::UPLINKS, &maps.uplinks),
        trie(maps::PORTS, &maps.ports),
        hash(maps::FLOWS, &maps.flows),
        hash(maps::NEW_FLOWS, &maps.new_flows),
        hash(maps::LINKS, &maps.links),
        hash(maps::FLOW_COUNTS, &maps.flow_counts),
        hash(maps::FLOWS_COLLECTED, &maps.flows_collected),
        hash(maps::NAMES, &maps.names),
        hash(maps::SCOPES, &maps.scopes),
        hash(maps::RESOLVERS, &maps.resolvers),
        per_cpu(maps::DROPS, &maps.drops),
    ]
    .into_iter()
    .collect()
}

type Fill = Result<MapFill, KernelError>;

fn hash<K: Pod, V: Pod>(name: &'static str, map: &HashMap<MapData, K, V>) -> Fill {
    count(name, map.keys(), aya::maps::IterableMap::map(map))
}

fn per_cpu<K: Pod, V: Pod>(name: &'static str, map: &PerCpuHashMap<MapData, K, V>) -> Fill {
    count(name, map.keys(), aya::maps::IterableMap::map(map))
}

fn trie<K: Pod, V: Pod>(name: &'static str, map: &LpmTrie<MapData, K, V>) -> Fill {
    count(name, map.keys(), aya::maps::IterableMap::map(map))
}

fn count<K: Pod>(name: &'static str, keys: MapKeys<'_, K>, data: &MapData) -> Fill {
    let counted = || -> Result<MapFill, MapError> {
        let mut used = 0;
        for key in keys {
            key?;
            used += 1;
        }
        let capacity = u64::from(data.info()?.max_entries());
        Ok(MapFill {
            name,
            used,
            capacity,
        })
    };
    counted().during(|| format!("count the entries of {name}"))
}
