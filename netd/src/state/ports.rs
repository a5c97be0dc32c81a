//! Published ports: which host ports are taken on which host address, and which a request gets.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{Refusal, interval::IntervalSet, request::PortSpec};
use crate::model::{PortRange, Protocol, PublishedPort};

/// Automatic host ports: from where Docker's begin, above what netd masquerades with by default.
const AUTOMATIC: PortRange = PortRange {
    first: 49_153,
    last: 65_535,
};

/// Host ports in use, by protocol and host address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortTable {
    used: BTreeMap<(Protocol, IpAddr), IntervalSet>,
    entries: usize,
}

impl PortTable {
    /// Entries that the published ports take in the map.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// Takes a published port.
    pub fn take(&mut self, port: &PublishedPort) {
        let key = (port.protocol, port.host_address);
        let used = self.used.entry(key).or_default();
        used.insert(port.host.first.into(), port.host.last.into());
        self.entries += port.host.prefixes().count();
    }

    /// Gives a published port back.
    pub fn release(&mut self, port: &PublishedPort) {
        let key = (port.protocol, port.host_address);
        if let Some(used) = self.used.get_mut(&key) {
            used.remove(port.host.first.into(), port.host.last.into());
            if *used == IntervalSet::default() {
                self.used.remove(&key);
            }
        }
        self.entries -= port.host.prefixes().count();
    }

    /// Whether a port of the range is taken where it would be heard: on the same address, and on
    /// every address of the family where one of both is the wildcard.
    pub fn is_taken(&self, protocol: Protocol, address: IpAddr, range: PortRange) -> bool {
        self.rivals(protocol, address)
            .any(|used| used.overlaps(range.first.into(), range.last.into()))
    }

    fn rivals(&self, protocol: Protocol, address: IpAddr) -> impl Iterator<Item = &IntervalSet> {
        let (wildcard, last) = match address {
            IpAddr::V4(_) => (
                IpAddr::from(Ipv4Addr::UNSPECIFIED),
                Ipv4Addr::BROADCAST.into(),
            ),
            IpAddr::V6(_) => {
                let last = IpAddr::from(Ipv6Addr::from_bits(u128::MAX));
                (IpAddr::from(Ipv6Addr::UNSPECIFIED), last)
            }
        };
        let (first, end) = if address == wildcard {
            (wildcard, last)
        } else {
            (address, address)
        };
        let own = self.used.range((protocol, first)..=(protocol, end));
        let wild = (address != wildcard)
            .then(|| self.used.get(&(protocol, wildcard)))
            .flatten();
        own.map(|(_, used)| used).chain(wild)
    }

    /// The first block of `count` ports in `range` that is free on all of `addresses`.
    fn free_block(
        &self,
        protocol: Protocol,
        addresses: &[IpAddr],
        range: PortRange,
        count: u32,
    ) -> Option<PortRange> {
        let (last, count) = (u128::from(range.last), u128::from(count));
        let mut start = u128::from(range.first);
        'moved: while start + count - 1 <= last {
            for address in addresses {
                for used in self.rivals(protocol, *address) {
                    let free = used.free_block(start, last, count)?;
                    if free != start {
                        start = free;
                        continue 'moved;
                    }
                }
            }
            return Some(PortRange {
                first: start as u16,
                last: (start + count - 1) as u16,
            });
        }
        None
    }

    /// What a request gets: one published port per host address.
    pub fn choose(
        &self,
        spec: &PortSpec,
        default_address: Option<IpAddr>,
        last: u16,
    ) -> Result<Vec<PublishedPort>, Refusal> {
        let addresses = match spec.host_address.or(default_address) {
            Some(address) => vec![address],
            None => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        };
        let host = self.choose_range(spec, &addresses, last)?;
        Ok(addresses
            .into_iter()
            .map(|host_address| PublishedPort {
                host_address,
                host,
                requested: spec.host,
                target: spec.target,
                protocol: spec.protocol,
            })
            .collect())
    }

    fn choose_range(
        &self,
        spec: &PortSpec,
        addresses: &[IpAddr],
        last: u16,
    ) -> Result<PortRange, Refusal> {
        let count = spec.target.count();
        let free = |range| self.free_block(spec.protocol, addresses, range, count);
        match spec.host {
            None => {
                let behind = PortRange {
                    first: last.saturating_add(1).max(AUTOMATIC.first),
                    last: AUTOMATIC.last,
                };
                free(behind)
                    .or_else(|| free(AUTOMATIC))
                    .ok_or(Refusal::PortsExhausted)
            }
            Some(range) if range.count() == count => {
                if let Some(refusal) = self.conflict(spec.protocol, addresses, range) {
                    return Err(refusal);
                }
                Ok(range)
            }
            Some(range) if count == 1 => free(range).ok_or(Refusal::PortsExhausted),
            Some(range) => Err(Refusal::Invalid(format!(
                "Invalid ranges specified for container and host Ports: {} and {}",
                spec.target, range
            ))),
        }
    }

    /// The first port of `range` that is taken on one of `addresses`, as Docker's text.
    fn conflict(
        &self,
        protocol: Protocol,
        addresses: &[IpAddr],
        range: PortRange,
    ) -> Option<Refusal> {
        let taken = |first, last| {
            let part = PortRange { first, last };
            let taken_on = |a: &&IpAddr| self.is_taken(protocol, **a, part);
            addresses.iter().find(taken_on)
        };
        taken(range.first, range.last)?;
        (range.first..=range.last).find_map(|port| {
            let address = taken(port, port)?.to_string();
            Some(Refusal::PortAllocated { address, port })
        })
    }
}
