//! Automatic subnets: the default pools cut into pieces, tried in order behind the last one taken;
//! pieces that overlap with networks or with the host are stepped over, never tried one by one.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;

use super::{
    ipam::{address, bounds, number},
    settings::AddressPool,
};
use crate::model::HostFacts;

/// The host's own ranges: what a network must not overlap with.
pub struct HostRanges {
    /// Routes and addresses, sorted, without those inside of others (prefixes nest or are disjoint).
    ranges: Vec<(u128, u128, String)>,
    /// Name servers: automatic subnets leave them reachable.
    servers: BTreeSet<u128>,
}

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
            // Each link has link-local addresses of its own.
            .filter(|address| !is_ours(&address.link) && !is_link_local(address.net.addr()))
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
        let servers = facts.resolv_conf.servers.iter();
        HostRanges {
            ranges,
            servers: servers.copied().map(number).collect(),
        }
    }

    /// What of the host a subnet overlaps with.
    pub fn overlapping(&self, pool: &IpNet) -> Option<&str> {
        self.range(pool).map(|(_, what)| what)
    }

    /// The last number that keeps an automatic subnet from being `pool`.
    pub fn end_of_overlap(&self, pool: &IpNet) -> Option<u128> {
        let (first, last) = bounds(pool);
        let server = self.servers.range(first..=last).next_back().copied();
        self.range(pool).map(|(end, _)| end).max(server)
    }

    fn range(&self, pool: &IpNet) -> Option<(u128, &str)> {
        let (first, last) = bounds(pool);
        let behind = self.ranges.partition_point(|(start, _, _)| *start <= last);
        let (_, end, what) = self.ranges.get(behind.checked_sub(1)?)?;
        (*end >= first).then_some((*end, what.as_str()))
    }
}

/// fe80::/10, which say nothing of what a subnet is.
fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// The next free piece of the pools behind `last`, then from the start again. `blocked` says what a
/// piece overlaps with: the last number of that.
pub fn next_subnet(
    pools: &[AddressPool],
    last: Option<IpNet>,
    blocked: impl Fn(&IpNet) -> Option<u128>,
) -> Option<IpNet> {
    let (at, behind) = last
        .and_then(|last| position(pools, &last))
        .unwrap_or_default();
    let rounds = 0..=pools.len();
    rounds.into_iter().find_map(|round| {
        let pool = pools.get((at + round) % pools.len().max(1))?;
        let (from, to) = match round {
            0 => (behind, pieces(pool)),
            round if round == pools.len() => (0, behind.min(pieces(pool))),
            _ => (0, pieces(pool)),
        };
        first_free(pool, from, to, &blocked)
    })
}

/// The first free piece among those numbered `from..to`.
fn first_free(
    pool: &AddressPool,
    from: u128,
    to: u128,
    blocked: &impl Fn(&IpNet) -> Option<u128>,
) -> Option<IpNet> {
    let mut index = from;
    while index < to {
        let net = piece(pool, index)?;
        match blocked(&net) {
            None => return Some(net),
            Some(end) => index = index_of(pool, end).max(index).saturating_add(1),
        }
    }
    None
}

fn pieces(pool: &AddressPool) -> u128 {
    let bits = u32::from(pool.size.saturating_sub(pool.base.prefix_len()));
    1u128.checked_shl(bits).unwrap_or(u128::MAX)
}

fn piece(pool: &AddressPool, index: u128) -> Option<IpNet> {
    let offset = index.checked_shl(host_bits(pool)).unwrap_or(0);
    let first = number(pool.base.network()).checked_add(offset)?;
    IpNet::new(address(first), pool.size).ok()
}

/// The piece that a number at or behind the pool's first is in.
fn index_of(pool: &AddressPool, number_in: u128) -> u128 {
    let offset = number_in.saturating_sub(number(pool.base.network()));
    offset.checked_shr(host_bits(pool)).unwrap_or(0)
}

fn host_bits(pool: &AddressPool) -> u32 {
    u32::from(pool.base.max_prefix_len().saturating_sub(pool.size))
}

/// Which pool a subnet was cut from, and the number of the piece behind it.
fn position(pools: &[AddressPool], net: &IpNet) -> Option<(usize, u128)> {
    let at = pools.iter().position(|pool| pool.base.contains(net))?;
    let (_, end) = bounds(net);
    Some((at, index_of(pools.get(at)?, end).saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;
    use proptest::prelude::*;

    use super::{AddressPool, bounds, next_subnet};

    fn pool(base: &str, size: u8) -> AddressPool {
        AddressPool {
            base: base.parse().unwrap(),
            size,
        }
    }

    /// Blocked by any of `taken`, which may nest.
    fn blocked(taken: &[IpNet]) -> impl Fn(&IpNet) -> Option<u128> + '_ {
        |net| {
            let (first, last) = bounds(net);
            let ranges = taken.iter().map(bounds);
            let overlapping = ranges.filter(|(a, b)| *a <= last && first <= *b);
            overlapping.map(|(_, end)| end).max()
        }
    }

    #[test]
    fn a_large_taken_range_is_one_step() {
        // 2^46 pieces, all but the last few of which are taken.
        let pools = [pool("fd00::/16", 62)];
        let taken = ["fd00::/17", "fd00:8000::/18", "fd00:c000::/18"].map(|t| t.parse().unwrap());
        assert_eq!(next_subnet(&pools, None, blocked(&taken)), None);
        let found = next_subnet(&pools, None, blocked(&taken[..2])).unwrap();
        assert_eq!(found.to_string(), "fd00:c000::/62");
    }

    #[test]
    fn the_whole_of_ipv6_and_the_smallest_piece_do_not_overflow() {
        let found = next_subnet(&[pool("::/0", 128)], None, |_| None).unwrap();
        assert_eq!(found.to_string(), "::/128");
        let all = |_: &IpNet| Some(u128::MAX);
        assert_eq!(next_subnet(&[pool("::/0", 128)], None, all), None);
        assert_eq!(next_subnet(&[pool("::/0", 0)], None, all), None);
        assert_eq!(next_subnet(&[], None, all), None);
        let last = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128".parse().ok();
        let found = next_subnet(&[pool("ff00::/8", 128)], last, |_| None).unwrap();
        assert_eq!(found.to_string(), "ff00::/128");
    }

    proptest! {
        /// It finds what looking at each piece in turn would find.
        #[test]
        fn it_is_the_next_free_piece(
            taken in prop::collection::vec((0u8..8, 0u8..=255, 20u8..=32), 0..24),
            last in prop::option::of((0usize..3, 0u8..16)),
        ) {
            let pools = [pool("10.0.0.0/20", 24), pool("10.4.0.0/22", 26), pool("10.7.0.0/24", 24)];
            let taken: Vec<IpNet> = taken
                .into_iter()
                .map(|(b, c, bits)| format!("10.{b}.{}.0/{bits}", c % 16).parse::<IpNet>().unwrap().trunc())
                .collect();
            let all: Vec<IpNet> = pools
                .iter()
                .flat_map(|pool| pool.base.subnets(pool.size).unwrap())
                .collect();
            let last = last.map(|(at, n)| {
                let pieces: Vec<IpNet> = pools[at].base.subnets(pools[at].size).unwrap().collect();
                pieces[usize::from(n) % pieces.len()]
            });
            let start = last.map_or(0, |last| 1 + all.iter().position(|net| *net == last).unwrap());
            let blocked = blocked(&taken);
            let expected = (0..all.len())
                .map(|step| all[(start + step) % all.len()])
                .find(|net| blocked(net).is_none());
            prop_assert_eq!(next_subnet(&pools, last, &blocked), expected);
        }
    }
}
