//! Published ports.

use std::net::IpAddr;

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

    /// Whether a port is in both.
    pub const fn overlaps(self, other: PortRange) -> bool {
        self.first <= other.last && other.first <= self.last
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
