//! Typed handles of the pinned maps. A handle's types are checked against the kernel's sizes when
//! it is opened.

use std::path::Path;

use aya::{
    Pod,
    maps::{
        Array, HashMap, LpmTrie, Map, MapData, MapError, PerCpuHashMap, ProgramArray, lpm_trie::Key,
    },
};
use netd_common::{
    Addr,
    abi::{
        drops::{DropCount, DropKey},
        endpoint::{Endpoint, EndpointKey, EndpointStats, Subnet, TrustedKey},
        flow::{Flow, FlowKey},
        fragment::Parked,
        freed::FreeingPlaces,
        host::{Config, HostAddress, Uplink},
        link::{LinkKey, OpenPorts},
        maps,
        name::{Name, NameKey, Resolver, Scopes},
        port::{Port, PortKey},
    },
};

use super::{error::During, layout::Layout, pod::Raw};
use crate::kernel::KernelError;

/// A hash map of netd's types.
pub(super) type Hash<K, V> = HashMap<MapData, K, Raw<V>>;
/// Both tables of flows.
pub(super) type FlowMap = Hash<Raw<FlowKey>, Flow>;

/// All maps of the object.
pub(super) struct Maps {
    pub endpoints: Hash<Raw<EndpointKey>, Endpoint>,
    pub interfaces: Hash<u32, Endpoint>,
    pub endpoint_stats: PerCpuHashMap<MapData, u32, Raw<EndpointStats>>,
    pub subnets: LpmTrie<MapData, Raw<Addr>, Raw<Subnet>>,
    pub trusted: HashMap<MapData, Raw<TrustedKey>, u32>,
    pub host_addresses: Hash<Raw<Addr>, HostAddress>,
    pub uplinks: Hash<u32, Uplink>,
    pub config: Array<MapData, Raw<Config>>,
    pub ports: LpmTrie<MapData, Raw<PortKey>, Raw<Port>>,
    pub links: Hash<Raw<LinkKey>, OpenPorts>,
    pub flows: FlowMap,
    pub new_flows: FlowMap,
    pub flow_counts: HashMap<MapData, u32, u64>,
    pub flows_collected: HashMap<MapData, u32, u64>,
    pub parked: Hash<u32, Parked>,
    pub names: Hash<Raw<NameKey>, Name>,
    pub scopes: Hash<u32, Scopes>,
    pub resolvers: Hash<u64, Resolver>,
    pub drops: PerCpuHashMap<MapData, Raw<DropKey>, Raw<DropCount>>,
    pub freeing_places: Array<MapData, Raw<FreeingPlaces>>,
    pub tail_calls: ProgramArray<MapData>,
}

impl Maps {
    /// Opens all pins; their shapes have been checked.
    pub(super) fn open(layout: &Layout) -> Result<Maps, KernelError> {
        Ok(Maps {
            endpoints: open(layout, maps::ENDPOINTS)?,
            interfaces: open(layout, maps::INTERFACES)?,
            endpoint_stats: open(layout, maps::ENDPOINT_STATS)?,
            subnets: open(layout, maps::SUBNETS)?,
            trusted: open(layout, maps::TRUSTED)?,
            host_addresses: open(layout, maps::HOST_ADDRESSES)?,
            uplinks: open(layout, maps::UPLINKS)?,
            config: open(layout, maps::CONFIG)?,
            ports: open(layout, maps::PORTS)?,
            links: open(layout, maps::LINKS)?,
            flows: open(layout, maps::FLOWS)?,
            new_flows: open(layout, maps::NEW_FLOWS)?,
            flow_counts: open(layout, maps::FLOW_COUNTS)?,
            flows_collected: open(layout, maps::FLOWS_COLLECTED)?,
            parked: open(layout, maps::PARKED)?,
            names: open(layout, maps::NAMES)?,
            scopes: open(layout, maps::SCOPES)?,
            resolvers: open(layout, maps::RESOLVERS)?,
            drops: open(layout, maps::DROPS)?,
            freeing_places: open(layout, maps::FREEING_PLACES)?,
            tail_calls: open(layout, maps::TAIL_CALLS)?,
        })
    }
}

/// A handle of one pinned map.
pub(super) fn open<M: TryFrom<Map, Error = MapError>>(
    layout: &Layout,
    name: &str,
) -> Result<M, KernelError> {
    let path = layout.map(name);
    open_pin(&path).during(|| format!("open the map {}", path.display()))
}

fn open_pin<M: TryFrom<Map, Error = MapError>>(path: &Path) -> Result<M, MapError> {
    Map::from_map_data(MapData::from_pin(path)?)?.try_into()
}

/// An LPM key: the first `bits` of the data count.
pub(super) fn lpm<T>(bits: u32, data: T) -> Key<Raw<T>>
where
    Raw<T>: Pod,
{
    Key::new(bits, Raw(data))
}
