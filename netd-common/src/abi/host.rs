//! The host as the programs need to know it. Written by the agent.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::Addr;

/// Value of `HOST_ADDRESSES`.
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
pub struct HostAddress {
    /// The interface that has the address.
    pub ifindex: u32,
    /// The network's index where this is a gateway address of netd, else 0.
    pub network: u32,
}

/// Value of `UPLINKS`.
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
pub struct Uplink {
    /// What IPv4 and IPv6 are masqueraded with; [`Addr::NONE`] where there is none.
    pub addresses: [Addr; 2],
    /// The uplink's MTU in octets.
    pub mtu: u32,
    /// [`uplink_flags`].
    pub flags: u32,
}

/// Bits of [`Uplink::flags`].
pub mod uplink_flags {
    /// No Ethernet header (tun, wireguard).
    pub const L3: u32 = 1;
}

/// The one value of `CONFIG`.
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
pub struct Config {
    /// Masquerade source ports: two closed intervals [low, high], native order; low > high is empty.
    pub ports: [[u16; 2]; 2],
    /// Host side of the resolver's veth pair; 0 while there is none.
    pub resolver_ifindex: u32,
    /// The resolver's interface inside its namespace.
    pub resolver_mac: [u8; 6],
    /// Zero.
    pub reserved: [u8; 2],
    /// A flow of another epoch is decided anew.
    pub epoch: u32,
    /// The host's network namespace (SO_NETNS_COOKIE): the sockets that may dial published ports by
    /// loopback and the host's own addresses. 0: not known.
    pub host_cookie: u64,
    /// Established flow halves that an endpoint may have; 0: as many as there is room for.
    pub endpoint_halves: u64,
}
