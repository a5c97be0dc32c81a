//! [`Tables`] over plain collections. Counts look-ups, and can be full.

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};

use crate::{
    Addr,
    abi::{
        endpoint::{Endpoint, EndpointKey, Subnet},
        flow::{Flow, FlowKey},
        fragment::{FragmentKey, Fragments},
        host::{Config, HostAddress, Uplink},
        link::{LinkKey, OpenPorts},
        port::{PORT_PREFIX_BITS, Port, PortKey, purpose},
    },
    limits::ICMP_ERRORS_BURST,
    packet::{
        Tables,
        icmp_error::Budget,
        tables::{InsertError, Route, Seen},
        view::View,
    },
};

/// Look-ups since the last time somebody took the count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lookups {
    /// `INTERFACES` and `ENDPOINTS`.
    pub endpoints: u32,
    /// `FLOWS` and `NEW_FLOWS`.
    pub flows: u32,
    /// `PORTS`, `SUBNETS`, `HOST_ADDRESSES`, `LINKS`, `TRUSTED`.
    pub others: u32,
    /// Questions for a route.
    pub routes: u32,
    /// Questions for a socket of the host.
    pub sockets: u32,
    /// `FRAGMENTS`.
    pub fragments: u32,
    /// Questions for how many flows an endpoint has (`FLOW_COUNTS` and `FLOWS_COLLECTED`).
    pub counts: u32,
}

/// The tables, each to be filled as a test needs it.
#[derive(Clone, Debug)]
pub struct Memory {
    /// `INTERFACES`.
    pub interfaces: BTreeMap<u32, Endpoint>,
    /// `ENDPOINTS`.
    pub endpoints: BTreeMap<EndpointKey, Endpoint>,
    /// `SUBNETS`: prefix, its length in bits of 128, value.
    pub subnets: Vec<(Addr, u32, Subnet)>,
    /// `HOST_ADDRESSES`.
    pub host_addresses: BTreeMap<Addr, HostAddress>,
    /// `UPLINKS`.
    pub uplinks: BTreeMap<u32, Uplink>,
    /// `TRUSTED`: network and interface.
    pub trusted: BTreeSet<(u32, u32)>,
    /// `PORTS`: prefix length of [`PORT_PREFIX_BITS`], key, value.
    pub ports: Vec<(u32, PortKey, Port)>,
    /// `LINKS`.
    pub links: BTreeMap<LinkKey, OpenPorts>,
    /// `CONFIG`.
    pub config: Config,
    /// `FLOWS`.
    pub flows: BTreeMap<FlowKey, Flow>,
    /// `FLOW_COUNTS`.
    pub counts: BTreeMap<u32, i64>,
    /// Halves that `FLOWS` takes.
    pub max_flows: usize,
    /// `NEW_FLOWS`.
    pub new_flows: BTreeMap<FlowKey, Flow>,
    /// Halves that `NEW_FLOWS` keeps; the one seen longest ago makes room.
    pub max_new_flows: usize,
    /// So many look-ups in `NEW_FLOWS` find nothing, as if another CPU inserted right after.
    pub blind: u32,
    /// Sockets of the host that listen: protocol, address, port in network order.
    pub sockets: BTreeSet<(u8, Addr, [u8; 2])>,
    /// Routes from single sources, which come before those to destinations.
    pub policies: BTreeMap<Addr, Route>,
    /// What the host prefers as source towards single destinations.
    pub preferred: BTreeMap<Addr, Addr>,
    /// `FRAGMENTS`.
    pub fragments: BTreeMap<FragmentKey, Fragments>,
    /// Routes to single destinations.
    pub routes: BTreeMap<Addr, Route>,
    /// The route to everything else: the uplink; the next hop is the destination.
    pub default_uplink: Option<u32>,
    /// Every packet is larger than the next link takes.
    pub too_big: bool,
    /// How many ICMP errors may still be made.
    pub budget: Budget,
    /// Nanoseconds of CLOCK_MONOTONIC.
    pub now: u64,
    /// What [`Tables::random`] gives next; afterwards a fixed sequence.
    pub chances: VecDeque<u32>,
    /// Look-ups so far.
    pub lookups: Lookups,
    sequence: u32,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory {
            interfaces: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            subnets: Vec::new(),
            host_addresses: BTreeMap::new(),
            uplinks: BTreeMap::new(),
            trusted: BTreeSet::new(),
            ports: Vec::new(),
            links: BTreeMap::new(),
            config: Config::default(),
            flows: BTreeMap::new(),
            counts: BTreeMap::new(),
            max_flows: usize::MAX,
            new_flows: BTreeMap::new(),
            max_new_flows: usize::MAX,
            blind: 0,
            sockets: BTreeSet::new(),
            policies: BTreeMap::new(),
            preferred: BTreeMap::new(),
            fragments: BTreeMap::new(),
            routes: BTreeMap::new(),
            default_uplink: None,
            too_big: false,
            budget: Budget {
                tokens: ICMP_ERRORS_BURST,
                earned_until: 0,
            },
            now: 1,
            chances: VecDeque::new(),
            lookups: Lookups::default(),
            sequence: 1,
        }
    }
}

impl Memory {
    /// The look-ups since the last call.
    pub fn take_lookups(&mut self) -> Lookups {
        core::mem::take(&mut self.lookups)
    }
}

impl Tables for Memory {
    fn interface(&mut self, ifindex: u32, into: &mut Endpoint) -> bool {
        self.lookups.endpoints += 1;
        copy(self.interfaces.get(&ifindex), into)
    }

    fn endpoint(&mut self, key: &EndpointKey, into: &mut Endpoint) -> bool {
        self.lookups.endpoints += 1;
        copy(self.endpoints.get(key), into)
    }

    fn subnet(&mut self, address: &Addr) -> Option<Subnet> {
        self.lookups.others += 1;
        self.subnets
            .iter()
            .filter(|(prefix, bits, _)| has_prefix(&address.0, &prefix.0, *bits))
            .max_by_key(|(_, bits, _)| *bits)
            .map(|(_, _, subnet)| *subnet)
    }

    fn host_address(&mut self, address: &Addr) -> Option<HostAddress> {
        self.lookups.others += 1;
        self.host_addresses.get(address).copied()
    }

    fn uplink(&mut self, ifindex: u32, into: &mut Uplink) -> bool {
        copy(self.uplinks.get(&ifindex), into)
    }

    fn port(&mut self, protocol: u8, address: &Addr, port: [u8; 2], into: &mut Port) -> bool {
        self.lookups.others += 1;
        let ignored = |bits: u32| u16::MAX.checked_shl(PORT_PREFIX_BITS - bits).unwrap_or(0);
        let found = self
            .ports
            .iter()
            .filter(|(bits, key, _)| {
                let mask = ignored(*bits);
                key.protocol == protocol
                    && key.purpose == purpose::LEADS
                    && key.address == *address
                    && u16::from_be_bytes(key.port) & mask == u16::from_be_bytes(port) & mask
            })
            .max_by_key(|(bits, _, _)| *bits);
        copy(found.map(|(_, _, port)| port), into)
    }

    fn link(&mut self, key: &LinkKey, into: &mut OpenPorts) -> bool {
        self.lookups.others += 1;
        copy(self.links.get(key), into)
    }

    fn open_port(&mut self, protocol: u8, address: &Addr, port: [u8; 2]) -> bool {
        self.lookups.others += 1;
        let key = PortKey {
            protocol,
            purpose: purpose::OPEN,
            address: *address,
            port,
        };
        self.ports.iter().any(|(_, open, _)| *open == key)
    }

    fn trusts(&mut self, network: u32, ifindex: u32) -> bool {
        self.lookups.others += 1;
        self.trusted.contains(&(network, ifindex))
    }

    fn config(&mut self) -> Config {
        self.config
    }

    fn flow(&mut self, key: &FlowKey, seen: &Seen, into: &mut Flow) -> bool {
        self.lookups.flows += 1;
        record(self.flows.get_mut(key), seen, self.now, into)
    }

    fn new_flow(&mut self, key: &FlowKey, seen: &Seen, into: &mut Flow) -> bool {
        self.lookups.flows += 1;
        if self.blind > 0 {
            self.blind -= 1;
            return false;
        }
        record(self.new_flows.get_mut(key), seen, self.now, into)
    }

    fn insert_new_flow(&mut self, key: &FlowKey, flow: &Flow) -> Result<(), InsertError> {
        if self.max_new_flows == 0 {
            return Err(InsertError::Full);
        }
        if self.new_flows.len() >= self.max_new_flows {
            let oldest = self.new_flows.iter().min_by_key(|(_, flow)| flow.last_seen);
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                self.new_flows.remove(&oldest);
            }
        }
        insert(&mut self.new_flows, usize::MAX, key, flow)
    }

    fn insert_flow(&mut self, key: &FlowKey, flow: &Flow) -> Result<(), InsertError> {
        insert(&mut self.flows, self.max_flows, key, flow)
    }

    fn remove_new_flow(&mut self, key: &FlowKey) {
        self.new_flows.remove(key);
    }

    fn remove_flow(&mut self, key: &FlowKey) -> bool {
        self.flows.remove(key).is_some()
    }

    fn fragments(&mut self, key: &FragmentKey, into: &mut Fragments) -> bool {
        self.lookups.fragments += 1;
        copy(self.fragments.get(key), into)
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
        self.lookups.counts += 1;
        self.counts.get(&endpoint).copied().unwrap_or(0) as u64
    }

    fn count_established(&mut self, endpoint: u32, change: i64) {
        *self.counts.entry(endpoint).or_default() += change;
    }

    fn host_uses(&mut self, key: &FlowKey) -> bool {
        self.lookups.sockets += 1;
        let socket = (key.protocol, key.destination, key.destination_port);
        self.sockets.contains(&socket)
    }

    fn route(&mut self, _ifindex: u32, source: &Addr, view: &View) -> Route {
        self.lookups.routes += 1;
        let destination = &view.ip.destination;
        let policy = self.policies.get(source);
        if let Some(route) = policy.or_else(|| self.routes.get(destination)) {
            return *route;
        }
        match self.default_uplink {
            Some(ifindex) => Route::Via {
                ifindex,
                next_hop: *destination,
                resolved: true,
            },
            None => Route::None,
        }
    }

    fn preferred_source(&mut self, _ifindex: u32, view: &View) -> Addr {
        self.lookups.routes += 1;
        let found = self.preferred.get(&view.ip.destination);
        found.copied().unwrap_or_default()
    }

    fn too_big(&mut self, _ifindex: u32) -> bool {
        self.too_big
    }

    fn too_big_headerless(&mut self, ifindex: u32, length: u32) -> bool {
        self.too_big || length > self.mtu(ifindex)
    }

    fn mtu(&mut self, ifindex: u32) -> u32 {
        self.uplinks.get(&ifindex).map_or(0, |uplink| uplink.mtu)
    }

    fn may_complain(&mut self) -> bool {
        self.budget.take(self.now)
    }

    fn now(&mut self) -> u64 {
        self.now
    }

    fn random(&mut self) -> u32 {
        self.chances.pop_front().unwrap_or_else(|| {
            // Numerical Recipes' linear congruence: well spread, and the same each time.
            self.sequence = self
                .sequence
                .wrapping_mul(1_664_525)
                .wrapping_add(1_013_904_223);
            self.sequence
        })
    }
}

fn copy<T: Copy>(found: Option<&T>, into: &mut T) -> bool {
    match found {
        Some(found) => {
            *into = *found;
            true
        }
        None => false,
    }
}

fn record(found: Option<&mut Flow>, seen: &Seen, now: u64, into: &mut Flow) -> bool {
    let Some(flow) = found else {
        return false;
    };
    if *seen != Seen::NOTHING {
        flow.packets += 1;
        flow.bytes += seen.bytes;
        flow.tcp_flags |= u16::from(seen.tcp_flags);
        flow.last_seen = now;
    }
    *into = *flow;
    true
}

fn insert(
    table: &mut BTreeMap<FlowKey, Flow>,
    max: usize,
    key: &FlowKey,
    flow: &Flow,
) -> Result<(), InsertError> {
    if table.contains_key(key) {
        return Err(InsertError::Exists);
    }
    if table.len() >= max {
        return Err(InsertError::Full);
    }
    table.insert(*key, *flow);
    Ok(())
}

fn has_prefix(address: &[u8; 16], prefix: &[u8; 16], bits: u32) -> bool {
    let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
    u128::from_be_bytes(*address) & mask == u128::from_be_bytes(*prefix) & mask
}
