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
}

impl Protocol {
    /// The IP protocol number.
    pub const fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
        }
    }

    /// Lower case, as in `80/tcp`.
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
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
    /// TCP or UDP.
    pub protocol: Protocol,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::PortRange;

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
    fn known_covers() {
        let cover = |first, last| PortRange { first, last }.prefixes().collect::<Vec<_>>();
        assert_eq!(cover(8080, 8080), [(8080, 16)]);
        assert_eq!(cover(0, 65_535), [(0, 0)]);
        assert_eq!(cover(8000, 8002), [(8000, 15), (8002, 16)]);
    }
}
