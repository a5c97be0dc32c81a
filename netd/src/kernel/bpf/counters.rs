//! Counters that the programs keep per CPU, summed; and how full the maps are. Changes nothing.

use aya::{
    Pod,
    maps::{IterableMap, LpmTrie, MapData, MapError, PerCpuValues},
    util::nr_cpus,
};
use netd_common::abi::{
    drops::{DropCount, DropKey},
    endpoint::EndpointStats,
    maps,
};

use super::{
    batch::{self, Batches},
    error::{During, if_there},
    maps::Maps,
    pod::Raw,
};
use crate::kernel::{DropRecord, KernelError, MapFill, Stopped};

/// All drop counters.
pub(super) fn drops(maps: &Maps) -> Result<Vec<DropRecord>, KernelError> {
    let doing = || "read the drop counters".into();
    let cpus = cpus().during(doing)?;
    let mut records = Vec::new();
    for batch in batch::batches_per_cpu::<Raw<DropKey>, Raw<DropCount>>(maps.drops.map(), cpus) {
        let batch = batch.during(doing)?;
        records.extend(batch.per_cpu().map(|(Raw(key), per_cpu)| {
            DropRecord {
                key: *key,
                count: per_cpu
                    .iter()
                    .fold(DropCount::default(), |sum, Raw(one)| DropCount {
                        packets: sum.packets.wrapping_add(one.packets),
                        bytes: sum.bytes.wrapping_add(one.bytes),
                    }),
            }
        }));
    }
    Ok(records)
}

fn cpus() -> Result<usize, MapError> {
    nr_cpus().map_err(|(_, error)| MapError::IoError(error))
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

/// Fill levels of the maps that can be full. (Arrays always are.)
pub(super) fn fill(
    maps: &Maps,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Vec<MapFill>, KernelError> {
    let mut counting = Counting { go_on };
    [
        counting.hash(maps::ENDPOINTS, &maps.endpoints),
        counting.hash(maps::INTERFACES, &maps.interfaces),
        counting.per_cpu(maps::ENDPOINT_STATS, &maps.endpoint_stats),
        counting.trie(maps::SUBNETS, &maps.subnets),
        counting.hash(maps::TRUSTED, &maps.trusted),
        counting.hash(maps::HOST_ADDRESSES, &maps.host_addresses),
        counting.hash(maps::UPLINKS, &maps.uplinks),
        counting.trie(maps::PORTS, &maps.ports),
        counting.hash(maps::FLOWS, &maps.flows),
        counting.hash(maps::NEW_FLOWS, &maps.new_flows),
        counting.hash(maps::LINKS, &maps.links),
        counting.hash(maps::FLOW_COUNTS, &maps.flow_counts),
        counting.hash(maps::FLOWS_COLLECTED, &maps.flows_collected),
        counting.hash(maps::NAMES, &maps.names),
        counting.hash(maps::SCOPES, &maps.scopes),
        counting.hash(maps::RESOLVERS, &maps.resolvers),
        counting.per_cpu(maps::DROPS, &maps.drops),
    ]
    .into_iter()
    .collect()
}

type Fill = Result<MapFill, KernelError>;

/// Counts what is in maps, for as long as it may go on.
struct Counting<'a> {
    go_on: &'a mut dyn FnMut() -> bool,
}

impl Counting<'_> {
    fn hash<K: Pod, V: Pod>(&mut self, name: &'static str, map: &impl IterableMap<K, V>) -> Fill {
        self.sum(name, map.map(), batch::batches::<K, V>(map.map()))
    }

    fn per_cpu<K: Pod, V: Pod>(
        &mut self,
        name: &'static str,
        map: &impl IterableMap<K, PerCpuValues<V>>,
    ) -> Fill {
        let doing = || format!("count the entries of {name}");
        let cpus = cpus().during(doing)?;
        let batches = batch::batches_per_cpu::<K, V>(map.map(), cpus);
        self.sum(name, map.map(), batches)
    }

    /// A trie has no buckets: key by key.
    fn trie<K: Pod, V: Pod>(&mut self, name: &'static str, map: &LpmTrie<MapData, K, V>) -> Fill {
        let keys = map.keys().map(|key| key.map(|_| 1));
        self.sum_of(name, IterableMap::map(map), keys)
    }

    fn sum<K: Pod, V: Pod>(
        &mut self,
        name: &'static str,
        data: &MapData,
        batches: Batches<'_, K, V>,
    ) -> Fill {
        self.sum_of(
            name,
            data,
            batches.map(|batch| batch.map(|batch| batch.len())),
        )
    }

    fn sum_of(
        &mut self,
        name: &'static str,
        data: &MapData,
        counts: impl Iterator<Item = Result<usize, MapError>>,
    ) -> Fill {
        let doing = || format!("count the entries of {name}");
        let mut used = 0;
        for count in counts {
            Stopped::unless((self.go_on)()).during(doing)?;
            used += count.during(doing)? as u64;
        }
        let capacity = u64::from(data.info().during(doing)?.max_entries());
        Ok(MapFill {
            name,
            used,
            capacity,
        })
    }
}
