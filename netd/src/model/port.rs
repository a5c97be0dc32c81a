//! Published ports.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

/// A transport protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP (6).
    Tcp,
    /// UDP (17).
    Udp,
    /// SCTP (132).
    Sctp,
}

impl Protocol {
    /// The IP protocol number.
    pub const fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Sctp => 132,
        }
    }

    /// Lower case, as in `80/tcp`.
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }
}

/// Ports `first..=last`, none of them 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PortRange {
    /// First port.
    pub first: u16,
    /// Last port, not before the first.
    pub last: u16,
}

impl PortRange {
    /// How many ports.
    pub const fn count(self) -> u32 {
        self.last as u32 - self.first as u32 + 1
    }

    /// The fewest prefixes of the 16-bit port number that cover the range exactly: first port and
    /// prefix length of each. At most 30.
    pub fn prefixes(self) -> impl Iterator<Item = (u16, u32)> {
        let mut next = Some(u32::from(self.first));
        std::iter::from_fn(move || {
            let first = next.filter(|first| *first <= u32::from(self.last))?;
            let left = u32::from(self.last) - first + 1;
            let free_bits = first.trailing_zeros().min(left.ilog2()).min(16);
            next = Some(first + (1 << free_bits));
            Some((first as u16, 16 - free_bits))
        })
    }

    /// Whether a port is in both.
    pub const fn overlaps(self, other: PortRange) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// A published port of a sandbox: host address and ports, and the ports inside that they lead to,
/// as many as on the host. Its target is the sandbox's gateway endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PublishedPort {
    /// An address, `0.0.0.0` or `::`. `None` as requested means both wildcards.
    pub host_address: IpAddr,
    /// Host ports as they are.
    pub host: PortRange,
    /// Host ports as asked for; `None`: any free one.
    pub requested: Option<PortRange>,
    /// Ports inside.
    pub target: PortRange,
    /// Its protocol.
    pub protocol: Protocol,
}

/// Ports that a sandbox says it serves: what `-P` publishes and what links open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ExposedPorts {
    /// Their protocol.
    pub protocol: Protocol,
    /// Ports inside.
    pub range: PortRange,
}

impl ExposedPorts {
    /// The same ports in order, each once and in as few ranges as can be.
    pub fn merged(ports: impl IntoIterator<Item = ExposedPorts>) -> Vec<ExposedPorts> {
        let mut all: Vec<ExposedPorts> = ports.into_iter().collect();
        all.sort();
        let mut merged: Vec<ExposedPorts> = Vec::new();
        for next in all {
            match merged.last_mut() {
                Some(last)
                    if last.protocol == next.protocol
                        && u32::from(next.range.first) <= u32::from(last.range.last) + 1 =>
                {
                    last.range.last = last.range.last.max(next.range.last);
                }
                _ => merged.push(next),
            }
        }
        merged
    }

    /// What is left of these ports without those of `others`, in order.
    pub fn without(self, others: &[ExposedPorts]) -> Vec<ExposedPorts> {
        let mut left = vec![self];
        for other in others.iter().filter(|o| o.protocol == self.protocol) {
            let keep = |first: u32, last: u32, ports: &ExposedPorts| ExposedPorts {
                range: PortRange {
                    first: first as u16,
                    last: last as u16,
                },
                ..*ports
            };
            let cut = |ports: ExposedPorts| {
                if !ports.range.overlaps(other.range) {
                    return vec![ports];
                }
                let (first, last) = (u32::from(ports.range.first), u32::from(ports.range.last));
                let (begin, end) = (u32::from(other.range.first), u32::from(other.range.last));
                let before = (first < begin).then(|| keep(first, begin.saturating_sub(1), &ports));
                let after = (end < last).then(|| keep(end + 1, last, &ports));
                before.into_iter().chain(after).collect()
            };
            left = left.into_iter().flat_map(cut).collect();
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ExposedPorts, PortRange, Protocol};

    fn exposed(first: u16, last: u16) -> ExposedPorts {
        ExposedPorts {
            protocol: Protocol::Tcp,
            range: PortRange { first, last },
        }
    }

    proptest! {
        #[test]
        fn prefixes_cover_the_range_exactly(a in 0u16.., b in 0u16..) {
            let range = PortRange { first: a.min(b), last: a.max(b) };
            let mut next = u32::from(range.first);
            let mut count = 0;
            for (first, bits) in range.prefixes() {
                let size = 1u32 << (16 - bits);
                prop_assert_eq!(u32::from(first), next);
                prop_assert_eq!(u32::from(first) % size, 0);
                next += size;
                count += 1;
            }
            prop_assert_eq!(next, u32::from(range.last) + 1);
            prop_assert!(count <= 30);
        }
    }

    #[test]
    fn exposed_ports_are_merged_and_cut() {
        let udp = ExposedPorts {
            protocol: Protocol::Udp,
            ..exposed(83, 83)
        };
        let all = [
            exposed(82, 90),
            udp,
            exposed(80, 81),
            exposed(85, 86),
            exposed(99, 99),
        ];
        let merged = ExposedPorts::merged(all);
        assert_eq!(merged, [exposed(80, 90), exposed(99, 99), udp]);
        let whole = exposed(1, 65_535);
        assert_eq!(
            whole.without(&merged),
            [exposed(1, 79), exposed(91, 98), exposed(100, 65_535)]
        );
        assert_eq!(exposed(80, 80).without(&merged), []);
        assert_eq!(udp.without(&merged[..2]), [udp]);
        assert_eq!(exposed(65_535, 65_535).without(&[whole]), []);
    }

    #[test]
    fn known_covers() {
        let cover = |first, last| PortRange { first, last }.prefixes().collect::<Vec<_>>();
        assert_eq!(cover(8080, 8080), [(8080, 16)]);
        assert_eq!(cover(0, 65_535), [(0, 0)]);
        assert_eq!(cover(8000, 8002), [(8000, 15), (8002, 16)]);
    }
}
