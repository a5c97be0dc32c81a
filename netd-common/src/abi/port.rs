//! Published ports. Written by the agent, read by `from_uplink` and `from_endpoint`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::Addr;

/// Key data of `PORTS` (after the LPM prefix length): the port stands last, so that a range is a
/// few prefixes of it. Prefix length in bits: [`PORT_PREFIX_BITS`] − (16 − port bits).
#[repr(C)]
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
pub struct PortKey {
    /// The IP protocol number.
    pub protocol: u8,
    /// [`purpose`].
    pub purpose: u8,
    /// The host address; `::ffff:0.0.0.0` and `::` are the wildcards of their family.
    pub address: Addr,
    /// The host port, network order.
    pub port: [u8; 2],
}

/// Values of [`PortKey::purpose`].
pub mod purpose {
    /// Leads to a container.
    pub const LEADS: u8 = 0;
    /// Published at some address of the wildcard's family that is not the wildcard: held against
    /// who binds to all addresses. The value means nothing.
    pub const SOMEWHERE: u8 = 1;
    /// Not a host's address and port but a container's: published, so open to who may dial the
    /// container directly. The value means nothing.
    pub const OPEN: u8 = 2;
}

/// Prefix length of a key that names one port.
pub const PORT_PREFIX_BITS: u32 = 160;

/// Value of `PORTS`.
#[repr(C)]
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
pub struct Port {
    /// The target endpoint's network.
    pub network: u32,
    /// The target endpoint's index.
    pub endpoint: u32,
    /// The target endpoint's generation.
    pub generation: u32,
    /// The target endpoint's address. IPv4 behind an IPv6 host address where the sandbox has no
    /// IPv6: then it is for sockets of the host alone.
    pub address: Addr,
    /// First host port of the range, network order.
    pub first: [u8; 2],
    /// The container port that the first host port leads to, network order.
    pub target: [u8; 2],
}

impl Port {
    /// The container port behind a host port of the range; both in network order.
    pub fn target_of(&self, port: [u8; 2]) -> [u8; 2] {
        let offset = u16::from_be_bytes(port).wrapping_sub(u16::from_be_bytes(self.first));
        u16::from_be_bytes(self.target)
            .wrapping_add(offset)
            .to_be_bytes()
    }
}
