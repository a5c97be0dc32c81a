//! Published ports: which host ports are taken on which host address, and which a request gets.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{Refusal, interval::IntervalSet, request::PortSpec};
use crate::model::{
    PortRange, Protocol, PublishedPort,
    facts::{BoundSocket, Use},
};

/// Automatic host ports: from where Docker's begin, above what netd masquerades with by default.
const AUTOMATIC: PortRange = PortRange {
    first: 49_153,
    last: 65_535,
};

/// A prefix of port numbers (first port, prefix length in bits) that some address of a family has.
pub type NamedPiece = (Protocol, Family, u16, u32);

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The pieces of a port that is published at a named address; none of one at a wildcard.
pub fn named_pieces(port: &PublishedPort) -> impl Iterator<Item = NamedPiece> {
    let family = match port.host_address {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    };
    let (protocol, named) = (port.protocol, !port.host_address.is_unspecified());
    let pieces = named.then(|| port.host.prefixes()).into_iter().flatten();
    pieces.map(move |(first, bits)| (protocol, family, first, bits))
}

/// Host ports in use, by protocol and host address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortTable {
    /// Pieces of ports that are published at a named address rather than at all of a family, and
    /// by how many.
    named: BTreeMap<NamedPiece, usize>,
    used: Taken,
    entries: usize,
}

/// Ports that are taken, by protocol and host address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken(BTreeMap<(Protocol, IpAddr), IntervalSet>);

impl Taken {
    /// What the host's own sockets have. A TCP connection counts where the kernel picks ports for
    /// outgoing ones (`automatic`); elsewhere somebody accepted it, and Docker publishes there, too.
    pub fn by_sockets(sockets: &[BoundSocket], automatic: (u16, u16)) -> Taken {
        let mut taken = Taken::default();
        let (low, high) = automatic;
        for socket in sockets {
            let counts = match socket.used_for {
                Use::Bound => true,
                Use::Connection => (low..=high).contains(&socket.port),
            };
            if !counts {
                continue;
            }
            let port = u128::from(socket.port);
            let mut take = |address| {
                let used = taken.0.entry((socket.protocol, address)).or_default();
                used.insert(port, port);
            };
            take(socket.address);
            if socket.both_families && socket.address.is_unspecified() {
                take(Ipv4Addr::UNSPECIFIED.into());
            }
        }
        taken
    }

    fn overlaps(&self, protocol: Protocol, address: IpAddr, range: PortRange) -> bool {
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
        let own = self.0.range((protocol, first)..=(protocol, end));
        let wild = (address != wildcard)
            .then(|| self.0.get(&(protocol, wildcard)))
            .flatten();
        own.map(|(_, used)| used).chain(wild)
    }
}

impl PortTable {
    /// Entries that the published ports take in the map.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// Takes a published port.
    pub fn take(&mut self, port: &PublishedPort) {
        let key = (port.protocol, port.host_address);
        let used = self.used.0.entry(key).or_default();
        used.insert(port.host.first.into(), port.host.last.into());
        self.entries += port.host.prefixes().count();
        for piece in named_pieces(port) {
            *self.named.entry(piece).or_default() += 1;
            self.entries += 1;
        }
    }

    /// All published ports within an interval, whatever address and protocol, as few intervals.
    pub fn within(&self, (low, high): (u16, u16)) -> Vec<PortRange> {
        let mut all = IntervalSet::default();
        for used in self.used.0.values() {
            for (first, last) in used.intervals() {
                let (first, last) = (first.max(low.into()), last.min(high.into()));
                if first <= last {
                    all.insert(first, last);
                }
            }
        }
        let ranges = all.intervals().map(|(first, last)| PortRange {
            first: first as u16,
            last: last as u16,
        });
        ranges.collect()
    }

    /// Whether some named address has these ports.
    pub fn is_named(&self, piece: &NamedPiece) -> bool {
        self.named.contains_key(piece)
    }

    /// Gives a published port back.
    pub fn release(&mut self, port: &PublishedPort) {
        let key = (port.protocol, port.host_address);
        if let Some(used) = self.used.0.get_mut(&key) {
            used.remove(port.host.first.into(), port.host.last.into());
            if *used == IntervalSet::default() {
                self.used.0.remove(&key);
            }
        }
        self.entries -= port.host.prefixes().count();
        for piece in named_pieces(port) {
            self.entries -= 1;
            if let Some(count) = self.named.get_mut(&piece) {
                *count -= 1;
                if *count == 0 {
                    self.named.remove(&piece);
                }
            }
        }
    }

    /// Whether a port of the range is taken where it would be heard: on the same address, and on
    /// every address of the family where one of both is the wildcard.
    pub fn is_taken(&self, protocol: Protocol, address: IpAddr, range: PortRange) -> bool {
        self.used.overlaps(protocol, address, range)
    }

    /// The first block of `count` ports in `range` that is free on all of `addresses`.
    fn free_block(
        &self,
        busy: &Taken,
        protocol: Protocol,
        addresses: &[IpAddr],
        range: PortRange,
        count: u32,
    ) -> Option<PortRange> {
        let (last, count) = (u128::from(range.last), u128::from(count));
        let mut start = u128::from(range.first);
        'moved: while start + count - 1 <= last {
            for address in addresses {
                let published = self.used.rivals(protocol, *address);
                for used in published.chain(busy.rivals(protocol, *address)) {
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

    /// What a request gets: one published port per host address. `busy` is what sockets have.
    pub fn choose(
        &self,
        busy: &Taken,
        spec: &PortSpec,
        default_address: Option<IpAddr>,
        last: u16,
    ) -> Result<Vec<PublishedPort>, Refusal> {
        let addresses = match spec.host_address.or(default_address) {
            Some(address) => vec![address],
            None => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        };
        let host = self.choose_range(busy, spec, &addresses, last)?;
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
        busy: &Taken,
        spec: &PortSpec,
        addresses: &[IpAddr],
        last: u16,
    ) -> Result<PortRange, Refusal> {
        if spec.protocol == Protocol::Sctp {
            return self.choose_same(busy, spec, addresses);
        }
        let count = spec.target.count();
        let free = |range| self.free_block(busy, spec.protocol, addresses, range, count);
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
                if let Some(refusal) = self.conflict(busy, spec.protocol, addresses, range) {
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

    /// SCTP: the host ports are those inside, since no packet's ports are changed.
    fn choose_same(
        &self,
        busy: &Taken,
        spec: &PortSpec,
        addresses: &[IpAddr],
    ) -> Result<PortRange, Refusal> {
        let target = spec.target;
        let among = |host: PortRange| host.first <= target.first && target.last <= host.last;
        let fits = match spec.host {
            None => true,
            // A range for one port may pick any of its own: then the one that is the same.
            Some(host) if target.count() == 1 => among(host),
            Some(host) => host == target,
        };
        match spec.host {
            Some(host) if !fits => Err(Refusal::SctpPort { target, host }),
            _ => match self.conflict(busy, spec.protocol, addresses, target) {
                Some(refusal) => Err(refusal),
                None => Ok(target),
            },
        }
    }

    /// The first port of `range` that is taken on one of `addresses`, as Docker's text.
    fn conflict(
        &self,
        busy: &Taken,
        protocol: Protocol,
        addresses: &[IpAddr],
        range: PortRange,
    ) -> Option<Refusal> {
        let taken = |first, last| {
            let part = PortRange { first, last };
            let taken_on = |a: &&IpAddr| {
                self.is_taken(protocol, **a, part) || busy.overlaps(protocol, **a, part)
            };
            addresses.iter().find(taken_on)
        };
        taken(range.first, range.last)?;
        (range.first..=range.last).find_map(|port| {
            let address = taken(port, port)?.to_string();
            Some(Refusal::PortAllocated { address, port })
        })
    }
}
