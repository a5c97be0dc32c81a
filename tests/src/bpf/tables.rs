//! The tables as plain collections: the host's side of a comparison. Time stands still in them.

use std::collections::BTreeMap;

use netd_common::{
    Addr,
    abi::{
        endpoint::{Endpoint, EndpointKey, Subnet},
        flow::{Flow, FlowKey},
        fragment::{FragmentKey, Fragments},
        host::{Config, HostAddress, Uplink},
        link::{LinkKey, OpenPorts},
        name::{Name, NameKey, Scopes},
        port::{Port, PortKey, purpose},
    },
    packet::{
        Tables,
        dns::Names,
        tables::{InsertError, Route, Seen},
        testing::Lot,
        view::View,
    },
};

use super::{World, routes::has_prefix};

/// The tables.
#[derive(Clone, Debug)]
pub struct PlainTables {
    /// What does not change.
    pub world: World,
    /// `FLOWS`.
    pub flows: BTreeMap<FlowKey, Flow>,
    /// `NEW_FLOWS`.
    pub new_flows: BTreeMap<FlowKey, Flow>,
    /// `FRAGMENTS`.
    pub fragments: BTreeMap<FragmentKey, Fragments>,
    /// `PARKED`.
    pub lot: Lot,
    /// Octets of the packet that is decided about, from its Ethernet header on.
    pub packet_length: u32,
    /// What [`Tables::random`] gives next.
    pub chance: u32,
}

impl PlainTables {
    /// Those of the world; no flow yet.
    pub fn new(world: World) -> PlainTables {
        PlainTables {
            world,
            flows: BTreeMap::new(),
            new_flows: BTreeMap::new(),
            fragments: BTreeMap::new(),
            lot: Lot::default(),
            packet_length: 0,
            chance: 1,
        }
    }
}

impl PlainTables {
    /// Where a sandbox's questions are looked up (`SCOPES`).
    pub fn scopes(&mut self, sandbox: u32) -> Option<Scopes> {
        find(&self.world.scopes, &sandbox)
    }
}

impl Tables for PlainTables {
    fn interface(&mut self, ifindex: u32, into: &mut Endpoint) -> bool {
        copy(find(&self.world.interfaces, &ifindex), into)
    }

    fn endpoint(&mut self, key: &EndpointKey, into: &mut Endpoint) -> bool {
        copy(find(&self.world.endpoints, key), into)
    }

    fn subnet(&mut self, address: &Addr) -> Option<Subnet> {
        longest(&self.world.subnets, |network| network.0, &address.0)
    }

    fn host_address(&mut self, address: &Addr) -> Option<HostAddress> {
        find(&self.world.host_addresses, address)
    }

    fn uplink(&mut self, ifindex: u32, into: &mut Uplink) -> bool {
        copy(find(&self.world.uplinks, &ifindex), into)
    }

    fn port(&mut self, protocol: u8, address: &Addr, port: [u8; 2], into: &mut Port) -> bool {
        let key = PortKey {
            protocol,
            purpose: 0,
            address: *address,
            port,
        };
        copy(longest(&self.world.ports, octets, &octets(&key)), into)
    }

    fn link(&mut self, key: &LinkKey, into: &mut OpenPorts) -> bool {
        copy(find(&self.world.open, key), into)
    }

    fn open_port(&mut self, protocol: u8, address: &Addr, port: [u8; 2]) -> bool {
        let key = PortKey {
            protocol,
            purpose: purpose::OPEN,
            address: *address,
            port,
        };
        longest(&self.world.ports, octets, &octets(&key)).is_some()
    }

    fn trusts(&mut self, network: u32, ifindex: u32) -> bool {
        self.world.trusted.contains(&(network, ifindex))
    }

    fn config(&mut self) -> Config {
        self.world.config
    }

    fn flow(&mut self, key: &FlowKey, seen: &Seen, into: &mut Flow) -> bool {
        record(self.flows.get_mut(key), seen, into)
    }

    fn new_flow(&mut self, key: &FlowKey, seen: &Seen, into: &mut Flow) -> bool {
        record(self.new_flows.get_mut(key), seen, into)
    }

    fn insert_new_flow(&mut self, key: &FlowKey, flow: &Flow) -> Result<(), InsertError> {
        insert(&mut self.new_flows, key, flow)
    }

    fn insert_flow(&mut self, key: &FlowKey, flow: &Flow) -> Result<(), InsertError> {
        insert(&mut self.flows, key, flow)
    }

    fn remove_new_flow(&mut self, key: &FlowKey) {
        self.new_flows.remove(key);
    }

    fn remove_flow(&mut self, key: &FlowKey) -> bool {
        self.flows.remove(key).is_some()
    }

    fn fragments(&mut self, key: &FragmentKey, into: &mut Fragments) -> bool {
        copy(self.fragments.get(key).copied(), into)
    }

    fn put_fragments(&mut self, key: &FragmentKey, value: &Fragments) {
        self.fragments.insert(*key, *value);
    }

    fn add_fragments(&mut self, key: &FragmentKey, value: &Fragments) -> bool {
        let is_new = !self.fragments.contains_key(key);
        self.fragments.entry(*key).or_insert(*value);
        is_new
    }

    fn established(&mut self, endpoint: u32) -> u64 {
        let of_endpoint = |flow: &&Flow| flow.endpoint == endpoint;
        self.flows.values().filter(of_endpoint).count() as u64
    }

    // Counted each time.
    fn count_established(&mut self, _: u32, _: i64) {}

    fn host_uses(&mut self, _: &FlowKey) -> bool {
        false
    }

    fn route(&mut self, _: u32, _: &Addr, view: &View) -> Route {
        self.world.route(&view.ip.destination)
    }

    // The only address of the uplink, which the kernel prefers, is the one in `UPLINKS`.
    fn preferred_source(&mut self, _: u32, _: &View) -> Addr {
        Addr::NONE
    }

    fn too_big_headerless(&mut self, ifindex: u32, length: u32) -> bool {
        length > self.mtu(ifindex)
    }

    fn too_big(&mut self, ifindex: u32) -> bool {
        let link = self.world.links.iter().find(|link| link.ifindex == ifindex);
        link.is_some_and(|link| self.packet_length > link.mtu + 14)
    }

    fn mtu(&mut self, ifindex: u32) -> u32 {
        let link = self.world.links.iter().find(|link| link.ifindex == ifindex);
        link.map_or(0, |link| link.mtu)
    }

    fn may_complain(&mut self) -> bool {
        true
    }

    fn now(&mut self) -> u64 {
        1
    }

    fn random(&mut self) -> u32 {
        self.chance = self
            .chance
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        self.chance
    }
}

impl Names for PlainTables {
    fn name(&mut self, key: &NameKey) -> Option<&Name> {
        let mut entries = self.world.names.iter();
        entries
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }
}

fn find<K: PartialEq, V: Copy>(entries: &[(K, V)], key: &K) -> Option<V> {
    let mut entries = entries.iter();
    entries
        .find(|(entry, _)| entry == key)
        .map(|(_, value)| *value)
}

/// The entry with the longest prefix that `key` has, as an LPM trie finds it.
fn longest<K, V: Copy, const N: usize>(
    entries: &[(K, u32, V)],
    octets: impl Fn(&K) -> [u8; N],
    key: &[u8; N],
) -> Option<V> {
    let matching = entries
        .iter()
        .filter(|(prefix, bits, _)| has_prefix(key, &octets(prefix), *bits));
    matching
        .max_by_key(|(_, bits, _)| *bits)
        .map(|(.., value)| *value)
}

fn octets(key: &PortKey) -> [u8; 20] {
    super::raw(key)
}

fn copy<T>(found: Option<T>, into: &mut T) -> bool {
    match found {
        Some(found) => {
            *into = found;
            true
        }
        None => false,
    }
}

fn record(flow: Option<&mut Flow>, seen: &Seen, into: &mut Flow) -> bool {
    let Some(flow) = flow else {
        return false;
    };
    if seen.bytes != 0 {
        flow.packets += 1;
        flow.bytes += seen.bytes;
        flow.tcp_flags |= u16::from(seen.tcp_flags);
    }
    *into = *flow;
    true
}

fn insert(
    flows: &mut BTreeMap<FlowKey, Flow>,
    key: &FlowKey,
    flow: &Flow,
) -> Result<(), InsertError> {
    if flows.contains_key(key) {
        return Err(InsertError::Exists);
    }
    flows.insert(*key, *flow);
    Ok(())
}
