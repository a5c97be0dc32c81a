//! Address management: which subnets are taken, which addresses of them. Knows nothing of who has
//! an address; never gives one out twice.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;
use netd_common::Addr;

use super::{Refusal, interval::IntervalSet};
use crate::model::{Id, Network, network::Subnet};

/// Subnets of all networks and the addresses in use in each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ipam {
    /// By first number: last number and network. Disjoint.
    taken: BTreeMap<u128, (u128, Id)>,
    /// By network: used numbers of all its subnets.
    used: BTreeMap<Id, IntervalSet>,
}

/// An address as a number; IPv4 as v4-mapped, so that one line of numbers holds both families.
pub fn number(address: IpAddr) -> u128 {
    u128::from_be_bytes(Addr::from(address).0)
}

/// The reverse of [`number`].
pub fn address(number: u128) -> IpAddr {
    Addr(number.to_be_bytes()).into()
}

/// First and last number of a subnet.
pub fn bounds(net: &IpNet) -> (u128, u128) {
    (number(net.network()), number(net.broadcast()))
}

impl Ipam {
    /// The network whose subnet overlaps with `pool`, if any.
    pub fn overlapping(&self, pool: &IpNet) -> Option<Id> {
        let (first, last) = bounds(pool);
        let (_, (end, network)) = self.taken.range(..=last).next_back()?;
        (*end >= first).then_some(*network)
    }

    /// The last number of a network's subnet that overlaps with `pool`.
    pub fn end_of_overlap(&self, pool: &IpNet) -> Option<u128> {
        let (first, last) = bounds(pool);
        let (_, (end, _)) = self.taken.range(..=last).next_back()?;
        (*end >= first).then_some(*end)
    }

    /// Subnets of all networks.
    pub fn subnet_count(&self) -> usize {
        self.taken.len()
    }

    /// Takes a network's subnets, with the addresses that are never given out.
    pub fn open(&mut self, network: &Network) {
        let used = self.used.entry(network.id).or_default();
        for subnet in &network.subnets {
            let (first, last) = bounds(&subnet.pool);
            self.taken.insert(first, (last, network.id));
            for number in reserved(&subnet.pool).chain(subnet.gateway.map(number)) {
                used.insert(number, number);
            }
            for aux in subnet.aux.values().copied().map(number) {
                used.insert(aux, aux);
            }
        }
    }

    /// Gives a network's subnets back.
    pub fn close(&mut self, network: &Network) {
        self.used.remove(&network.id);
        for subnet in &network.subnets {
            self.taken.remove(&bounds(&subnet.pool).0);
        }
    }

    /// Whether the address is in use or reserved.
    pub fn is_used(&self, network: Id, address: IpAddr) -> bool {
        let number = number(address);
        self.used
            .get(&network)
            .is_some_and(|used| used.overlaps(number, number))
    }

    /// Takes one address.
    pub fn take(&mut self, network: Id, address: IpAddr) {
        if let Some(used) = self.used.get_mut(&network) {
            used.insert(number(address), number(address));
        }
    }

    /// Gives one address back.
    pub fn release(&mut self, network: Id, address: IpAddr) {
        if let Some(used) = self.used.get_mut(&network) {
            used.remove(number(address), number(address));
        }
    }

    /// The next free address of a subnet: rising from behind the last one given out, then from the
    /// start again. `None`: the range is used up.
    pub fn next(&self, network: Id, subnet: &Subnet) -> Option<IpAddr> {
        let used = self.used.get(&network)?;
        let (first, last) = bounds(&subnet.range.unwrap_or(subnet.pool));
        let behind = subnet
            .last
            .map(|address| number(address).saturating_add(1))
            .filter(|next| (first..=last).contains(next));
        behind
            .and_then(|next| used.free_block(next, last, 1))
            .or_else(|| used.free_block(first, last, 1))
            .map(address)
    }

    /// Counters of one subnet.
    pub fn usage(&self, network: Id, subnet: &Subnet) -> Usage {
        let used_in = |net: &IpNet| {
            let (first, last) = bounds(net);
            let used = self.used.get(&network);
            used.map_or(0, |used| used.count(first, last))
        };
        let range = subnet.range.unwrap_or(subnet.pool);
        let (first, last) = bounds(&range);
        let free = (last - first)
            .saturating_add(1)
            .saturating_sub(used_in(&range));
        let saturated = |number: u128| u64::try_from(number).unwrap_or(u64::MAX);
        Usage {
            used: saturated(used_in(&subnet.pool)),
            free: saturated(free),
        }
    }
}

/// How many addresses of a subnet are in use or reserved, and how many can be given out
/// automatically.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// In the whole subnet; at most 2⁶⁴ − 1.
    pub used: u64,
    /// In the part that automatic addresses come from; at most 2⁶⁴ − 1.
    pub free: u64,
}

/// Numbers of a subnet that no endpoint and no gateway may have: its own address and the IPv4
/// broadcast, except where the subnet has one or two addresses only (RFC 3021, RFC 6164).
fn reserved(pool: &IpNet) -> impl Iterator<Item = u128> {
    let (first, last) = bounds(pool);
    let tiny = last - first <= 1;
    let broadcast = matches!(pool, IpNet::V4(_)).then_some(last);
    [Some(first), broadcast]
        .into_iter()
        .flatten()
        .filter(move |_| !tiny)
}

/// Checks a subnet as it was asked for. Where no gateway is given and `wants_gateway`, it is the
/// first free address of the range, as in Docker.
pub fn check_subnet(mut subnet: Subnet, wants_gateway: bool) -> Result<Subnet, Refusal> {
    let pool = subnet.pool;
    let (first, last) = bounds(&pool);
    refuse_special(&pool)?;
    if let Some(range) = subnet.range {
        let (start, end) = bounds(&range);
        if start < first || end > last {
            return Err(Refusal::NoSubnetForRange(range.to_string()));
        }
    }
    // A gateway would leave no address for an endpoint.
    if last == first && (wants_gateway || subnet.gateway.is_some()) {
        return Err(gateway_refusal(None, "No available addresses on this pool"));
    }
    let mut used = IntervalSet::default();
    reserved(&pool).for_each(|number| used.insert(number, number));
    let gateway = match subnet.gateway {
        Some(gateway) if !pool.contains(&gateway) => {
            return Err(Refusal::NoSubnetForGateway(gateway));
        }
        Some(gateway) if used.overlaps(number(gateway), number(gateway)) => {
            return Err(gateway_refusal(Some(gateway), "Address already in use"));
        }
        None if wants_gateway => {
            let (start, end) = bounds(&subnet.range.unwrap_or(pool));
            let free = used.free_block(start, end, 1);
            let none = || gateway_refusal(None, "No available addresses on this pool");
            Some(address(free.ok_or_else(none)?))
        }
        given => given,
    };
    if let Some(gateway) = gateway.map(number) {
        used.insert(gateway, gateway);
    }
    subnet.gateway = gateway;
    for (name, aux) in &subnet.aux {
        if !pool.contains(aux) {
            return Err(Refusal::NoSubnetForAux(*aux));
        }
        let aux_number = number(*aux);
        if used.overlaps(aux_number, aux_number) {
            return Err(Refusal::Invalid(format!(
                "failed to allocate secondary ip address ({name}:{aux}): Address already in use"
            )));
        }
        used.insert(aux_number, aux_number);
    }
    Ok(subnet)
}

/// The next address of a checked subnet's range that nothing is set aside for, if another one is left
/// behind it.
pub fn to_set_aside(subnet: &Subnet) -> Option<IpAddr> {
    let (first, last) = bounds(&subnet.range.unwrap_or(subnet.pool));
    let mut used = IntervalSet::default();
    let aside = subnet.gateway.iter().chain(subnet.aux.values());
    for number in reserved(&subnet.pool).chain(aside.copied().map(number)) {
        used.insert(number, number);
    }
    let found = used.free_block(first, last, 1)?;
    used.insert(found, found);
    used.free_block(first, last, 1).map(|_| address(found))
}

fn gateway_refusal(gateway: Option<IpAddr>, why: &str) -> Refusal {
    let gateway = gateway.map_or(String::new(), |gateway| gateway.to_string());
    Refusal::Invalid(format!("failed to allocate gateway ({gateway}): {why}"))
}

/// Subnets that cannot be a network's: the datapath drops their addresses. That of link-local ones is a
/// network's as a whole or not at all, since the kernel gives each interface an address of it.
fn refuse_special(pool: &IpNet) -> Result<(), Refusal> {
    let special: [(IpNet, &str); 6] = [
        (v4(0, 8), "this host"),
        (v4(127, 8), "loopback"),
        (v4(224, 4), "multicast"),
        (v6(0, 96), "loopback"),
        (v6(0xffff_0000_0000, 96), "IPv4 in IPv6"),
        (v6(0xff << 120, 8), "multicast"),
    ];
    let overlaps = |net: &IpNet| {
        let ((a, b), (c, d)) = (bounds(pool), bounds(net));
        let same_family = matches!(pool, IpNet::V4(_)) == matches!(net, IpNet::V4(_));
        same_family && a <= d && c <= b
    };
    let link_local = v6(0xfe80 << 112, 64);
    if *pool != link_local && overlaps(&link_local) {
        return Err(Refusal::Invalid(format!(
            "'{pool}' clashes with the Link-Local prefix '{link_local}'"
        )));
    }
    for (net, what) in special {
        if overlaps(&net) {
            return Err(Refusal::Invalid(format!(
                "subnet {pool} cannot be used: it overlaps with {net} ({what})"
            )));
        }
    }
    Ok(())
}

fn v4(first: u8, bits: u8) -> IpNet {
    IpNet::new_assert(Ipv4Addr::new(first, 0, 0, 0).into(), bits)
}

fn v6(number: u128, bits: u8) -> IpNet {
    IpNet::new_assert(Ipv6Addr::from_bits(number).into(), bits)
}
