//! Every map of the object, as named in [`netd_common::abi::maps`]. BTF definitions, so that
//! `bpftool map dump` prints named fields.
//!
//! What the agent writes is allocated as it is filled (`BPF_F_NO_PREALLOC`); what the programs
//! write is allocated beforehand, so that a packet never waits for memory.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    btf_maps::{
        Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, PerCpuHashMap, ProgramArray, RingBuf,
    },
    macros::btf_map,
};
use netd_common::{
    Addr,
    abi::{
        drops::{DropCount, DropEvent, DropKey, EventBudget},
        endpoint::{Endpoint, EndpointKey, EndpointStats, Subnet, TrustedKey},
        flow::{Flow, FlowKey},
        fragment::{FragmentKey, Fragments, Parked},
        freed::FreeingPlaces,
        host::{Config, HostAddress, Uplink},
        link::{LinkKey, OpenPorts},
        name::{Name, NameKey, Resolver, Scopes},
        port::{Port, PortKey},
        socket::{Dialled, DialledKey},
        tail_calls,
    },
    limits,
};

const GROWS: usize = BPF_F_NO_PREALLOC as usize;

#[btf_map]
pub static ENDPOINTS: HashMap<
    EndpointKey,
    Endpoint,
    { limits::MAX_ENDPOINT_ADDRESSES as usize },
    GROWS,
> = HashMap::new();

#[btf_map]
pub static INTERFACES: HashMap<u32, Endpoint, { limits::MAX_ENDPOINTS as usize }, GROWS> =
    HashMap::new();

#[btf_map]
pub static ENDPOINT_STATS: PerCpuHashMap<
    u32,
    EndpointStats,
    { limits::MAX_ENDPOINTS as usize },
    GROWS,
> = PerCpuHashMap::new();

#[btf_map]
pub static SUBNETS: LpmTrie<Addr, Subnet, { limits::MAX_SUBNETS as usize }> = LpmTrie::new();

#[btf_map]
pub static TRUSTED: HashMap<TrustedKey, u32, { limits::MAX_TRUSTED as usize }, GROWS> =
    HashMap::new();

#[btf_map]
pub static HOST_ADDRESSES: HashMap<
    Addr,
    HostAddress,
    { limits::MAX_HOST_ADDRESSES as usize },
    GROWS,
> = HashMap::new();

#[btf_map]
pub static UPLINKS: HashMap<u32, Uplink, { limits::MAX_UPLINKS as usize }, GROWS> = HashMap::new();

#[btf_map]
pub static CONFIG: Array<Config, 1> = Array::new();

#[btf_map]
pub static PORTS: LpmTrie<PortKey, Port, { limits::MAX_PORT_ENTRIES as usize }> = LpmTrie::new();

#[btf_map]
pub static LINKS: HashMap<LinkKey, OpenPorts, { limits::MAX_LINKS as usize }, GROWS> =
    HashMap::new();

#[btf_map]
pub static FLOWS: HashMap<FlowKey, Flow, { limits::MAX_FLOWS as usize }> = HashMap::new();

#[btf_map]
pub static NEW_FLOWS: LruHashMap<FlowKey, Flow, { limits::MAX_NEW_FLOWS as usize }> =
    LruHashMap::new();

#[btf_map]
pub static FLOW_COUNTS: HashMap<u32, u64, { limits::MAX_ENDPOINTS as usize }> = HashMap::new();

#[btf_map]
pub static FLOWS_COLLECTED: HashMap<u32, u64, { limits::MAX_ENDPOINTS as usize }, GROWS> =
    HashMap::new();

#[btf_map]
pub static FRAGMENTS: LruHashMap<FragmentKey, Fragments, { limits::MAX_FRAGMENTS as usize }> =
    LruHashMap::new();

#[btf_map]
pub static PARKED: HashMap<u32, Parked, { limits::MAX_PARKED as usize }> = HashMap::new();

#[btf_map]
pub static NAMES: HashMap<NameKey, Name, { limits::MAX_NAMES as usize }, GROWS> = HashMap::new();

#[btf_map]
pub static SCOPES: HashMap<u32, Scopes, { limits::MAX_SANDBOXES as usize }, GROWS> = HashMap::new();

#[btf_map]
pub static RESOLVERS: HashMap<u64, Resolver, { limits::MAX_SANDBOXES as usize }, GROWS> =
    HashMap::new();

#[btf_map]
pub static DIALLED: LruHashMap<DialledKey, Dialled, { limits::MAX_DIALLED as usize }> =
    LruHashMap::new();

#[btf_map]
pub static DROPS: PerCpuHashMap<DropKey, DropCount, { limits::MAX_DROP_COUNTERS as usize }> =
    PerCpuHashMap::new();

#[btf_map]
pub static DROP_EVENTS: RingBuf<DropEvent, { limits::DROP_EVENT_RING as usize }> = RingBuf::new();

#[btf_map]
pub static EVENT_BUDGETS: PerCpuArray<EventBudget, { limits::MAX_DROP_REASONS as usize }> =
    PerCpuArray::new();

#[btf_map]
pub static FREEING_PLACES: Array<FreeingPlaces, 1> = Array::new();

#[btf_map]
pub static WAITING: LruHashMap<u64, DropEvent, { limits::MAX_WAITING as usize }> =
    LruHashMap::new();

#[btf_map]
pub static TAIL_CALLS: ProgramArray<{ tail_calls::COUNT as usize }> = ProgramArray::new();
