//! Automatic subnets: the default pools cut into pieces, tried in order behind the last one taken;
//! pieces that overlap with networks or with the host's routes and addresses are skipped.

use std::net::Ipv6Addr;

use ipnet::{IpNet, Ipv6Net};

use super::{
    ipam::{Ipam, address, bounds, number},
    settings::AddressPool,
};
use crate::model::{HostFacts, Id};

/// The host's own ranges, sorted, without those inside of others (prefixes nest or are disjoint):
/// what a network must not overlap with.
pub struct HostRanges(Vec<(u128, u128, String)>);

impl HostRanges {
    /// From the facts, leaving out addresses of links that `is_ours` says are netd's.
    pub fn new(facts: &HostFacts, is_ours: impl Fn(&crate::model::IfName) -> bool) -> HostRanges {
        let routes = facts
            .routes
            .iter()
            .map(|net| (bounds(net), format!("route {net}")));
        let addresses = facts
            .addresses
            .values()
            .filter(|address| !is_ours(&address.link))
            .map(|address| {
                let what = format!("address {} ({})", address.net, address.link);
                (bounds(&address.net), what)
            });
        let mut ranges: Vec<_> = routes
            .chain(addresses)
            .map(|((first, last), what)| (first, last, what))
            .collect();
        ranges.sort_by(|(a, a_end, _), (b, b_end, _)| a.cmp(b).then(b_end.cmp(a_end)));
        let mut covered = None;
        ranges.retain(|(_, last, _)| {
            let outermost = covered < Some(*last);
            covered = covered.max(Some(*last));
            outermost
        });
        HostRanges(ranges)
    }

    /// What of the host a subnet overlaps with.
    pub fn overlapping(&self, pool: &IpNet) -> Option<&str> {
        let (first, last) = bounds(pool);
        let behind = self.0.partition_point(|(start, _, _)| *start <= last);
        let (_, end, what) = self.0.get(behind.checked_sub(1)?)?;
        (*end >= first).then_some(what.as_str())
    }
}

/// The next free piece of the pools of one family, behind `last`.
pub fn next_subnet(
    pools: &[AddressPool],
    ipv6: bool,
    last: Option<IpNet>,
    ipam: &Ipam,
    host: &HostRanges,
) -> Option<IpNet> {
    let pools: Vec<&AddressPool> = pools
        .iter()
        .filter(|pool| matches!(pool.base, IpNet::V6(_)) == ipv6)
        .collect();
    let total: u128 = pools.iter().map(|pool| pieces(pool)).sum();
    let start = last
        .and_then(|last| position(&pools, &last))
        .map_or(0, |position| position + 1);
    (0..total.min(MAX_TRIES))
        .filter_map(|step| piece(&pools, (start + step) % total))
        .find(|net| ipam.overlapping(net).is_none() && host.overlapping(net).is_none())
}

/// A private /64 (RFC 4193) for a network that asked for IPv6 without a subnet: its random bits
/// come from the network's id.
pub fn unique_local(id: Id, ipam: &Ipam, host: &HostRanges) -> Option<IpNet> {
    id.0.windows(7)
        .map(|random| {
            let mut octets = [0; 16];
            octets[0] = 0xfd;
            octets[1..8].copy_from_slice(random);
            IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from(octets), 64))
        })
        .find(|net| ipam.overlapping(net).is_none() && host.overlapping(net).is_none())
}

/// Pieces looked at for one network: more than a host can have networks.
const MAX_TRIES: u128 = 65_536;

fn pieces(pool: &AddressPool) -> u128 {
    1 << (pool.size - pool.base.prefix_len()).min(64)
}

fn piece(pools: &[&AddressPool], mut index: u128) -> Option<IpNet> {
    for pool in pools {
        let count = pieces(pool);
        if index < count {
            let bits = pool.base.max_prefix_len() - pool.size;
            let first = number(pool.base.network()).checked_add(index << bits)?;
            return IpNet::new(address(first), pool.size).ok();
        }
        index -= count;
    }
    None
}

fn position(pools: &[&AddressPool], net: &IpNet) -> Option<u128> {
    let mut before = 0;
    for pool in pools {
        if pool.base.contains(net) && pool.size == net.prefix_len() {
            let bits = pool.base.max_prefix_len() - pool.size;
            return Some(before + ((number(net.network()) - number(pool.base.network())) >> bits));
        }
        before += pieces(pool);
    }
    None
}
