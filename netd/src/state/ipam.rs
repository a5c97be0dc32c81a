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
}

/// Numbers of a subnet that no endpoint and no gateway may have: its own address and the IPv4
/// broadcast, except where the subnet has two addresses only (RFC 3021, RFC 6164).
fn reserved(pool: &IpNet) -> impl Iterator<Item = u128> {
    let (first, last) = bounds(pool);
    let point_to_point = last - first == 1;
    let broadcast = matches!(pool, IpNet::V4(_)).then_some(last);
    [Some(first), broadcast]
        .into_iter()
        .flatten()
        .filter(move |_| !point_to_point)
}

/// Checks a subnet as it was asked for and picks its gateway where none is given: the first free
/// address of its range, as Docker does.
pub fn check_subnet(mut subnet: Subnet) -> Result<Subnet, Refusal> {
    let pool = subnet.pool;
    let (first, last) = bounds(&pool);
    refuse_special(&pool)?;
    if let Some(range) = subnet.range {
        let (start, end) = bounds(&range);
        if start < first || end > last {
            return Err(Refusal::NoSubnetForRange(range.to_string()));
        }
    }
    if last == first {
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
        Some(gateway) => number(gateway),
        None => {
            let (start, end) = bounds(&subnet.range.unwrap_or(pool));
            used.free_block(start, end, 1)
                .ok_or_else(|| gateway_refusal(None, "No available addresses on this pool"))?
        }
    };
    used.insert(gateway, gateway);
    subnet.gateway = Some(address(gateway));
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

fn gateway_refusal(gateway: Option<IpAddr>, why: &str) -> Refusal {
    let gateway = gateway.map_or(String::new(), |gateway| gateway.to_string());
    Refusal::Invalid(format!("failed to allocate gateway ({gateway}): {why}"))
}

/// Subnets that cannot be a network's: the datapath drops their addresses.
fn refuse_special(pool: &IpNet) -> Result<(), Refusal> {
    let special: [(IpNet, &str); 7] = [
        (v4(0, 8), "this host"),
        (v4(127, 8), "loopback"),
        (v4(224, 4), "multicast"),
        (v6(0, 96), "loopback"),
        (v6(0xffff_0000_0000, 96), "IPv4 in IPv6"),
        (v6(0xfe80 << 112, 10), "link-local"),
        (v6(0xff << 120, 8), "multicast"),
    ];
    for (net, what) in special {
        let ((a, b), (c, d)) = (bounds(pool), bounds(&net));
        let same_family = matches!(pool, IpNet::V4(_)) == matches!(net, IpNet::V4(_));
        if same_family && a <= d && c <= b {
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
