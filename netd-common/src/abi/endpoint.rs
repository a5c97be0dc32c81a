//! Endpoints and subnets. Written by the agent, read by every program.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::Addr;

/// Key of `ENDPOINTS`: an address means something only in its network.
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
pub struct EndpointKey {
    /// The network's index.
    pub network: u32,
    /// One of the endpoint's addresses.
    pub address: Addr,
}

/// Value of `ENDPOINTS` (target of a packet) and of `INTERFACES` (its source): all that a program
/// must know of an endpoint and its network, so that a packet needs one look-up for each.
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
pub struct Endpoint {
    /// Host side of the veth pair.
    pub ifindex: u32,
    /// The network's index.
    pub network: u32,
    /// The endpoint's index.
    pub index: u32,
    /// Grows with each attach of this endpoint; flows carry it.
    pub generation: u32,
    /// The sandbox's index.
    pub sandbox: u32,
    /// The network's bridge, for `bpf_fib_lookup`.
    pub bridge: u32,
    /// [`flags`].
    pub flags: u32,
    /// The network's MTU in octets.
    pub mtu: u32,
    /// The container's interface.
    pub mac: [u8; 6],
    /// The bridge: source of what the network's gateway sends.
    pub gateway_mac: [u8; 6],
    /// The first IPv4 and the first IPv6 address; [`Addr::NONE`] where there is none. Further
    /// addresses are found in `ENDPOINTS`.
    pub addresses: [Addr; 2],
    /// The network's gateways, IPv4 and IPv6, which its bridge has; [`Addr::NONE`] where there is none.
    pub gateways: [Addr; 2],
}

impl Endpoint {
    /// Whether an address is one of the network's gateways.
    pub fn has_gateway(&self, address: &Addr) -> bool {
        !address.is_none() && self.gateways.contains(address)
    }
}

/// Bits of [`Endpoint::flags`].
pub mod flags {
    /// The link is up.
    pub const UP: u32 = 1;
    /// Endpoints of the network may talk to each other.
    pub const ICC: u32 = 1 << 1;
    /// The network is internal: nothing goes out, nothing comes in from outside.
    pub const INTERNAL: u32 = 1 << 2;
    /// What leaves the host gets the uplink's address.
    pub const MASQUERADE: u32 = 1 << 3;
    /// The sandbox publishes ports through this endpoint: its packets may be replies to a flow.
    pub const PUBLISHES: u32 = 1 << 4;
    /// The sandbox asks netd's resolver (127.0.0.11).
    pub const RESOLVER: u32 = 1 << 5;
    /// This is the agent's resolver itself, not a container: it may answer any endpoint.
    pub const IS_RESOLVER: u32 = 1 << 6;
    /// On a network without [`ICC`]: a link opens ports from or to this endpoint.
    pub const LINKED: u32 = 1 << 7;
    /// Gateway mode `routed`, by family: nothing is translated, and open ports are dialled directly.
    pub const ROUTED: [u32; 2] = [1 << 8, 1 << 9];
    /// Gateway mode `nat-unprotected`, by family: every port may be dialled directly.
    pub const UNPROTECTED: [u32; 2] = [1 << 10, 1 << 11];
    /// The network has an address of its own that it is masqueraded with, by family: in
    /// [`super::Subnet::egress`].
    pub const EGRESS: [u32; 2] = [1 << 12, 1 << 13];
    /// Open ports are dialled directly, wherever the packet comes from.
    pub const DIRECT: u32 = 1 << 14;
    /// Open ports are dialled directly by some interfaces (`TRUSTED`).
    pub const TRUSTS: u32 = 1 << 15;
    /// Endpoints may be DHCP servers.
    pub const SERVES_DHCP: u32 = 1 << 16;

    /// The bit of a family.
    pub fn of_family([v4, v6]: [u32; 2], is_v4: bool) -> u32 {
        if is_v4 { v4 } else { v6 }
    }
}

/// Key data of `SUBNETS` is an [`Addr`]; IPv4 prefixes are 96 longer.
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
pub struct Subnet {
    /// The network's index.
    pub network: u32,
    /// [`flags`] of the network.
    pub flags: u32,
    /// What the network is masqueraded with; [`Addr::NONE`]: the uplink's address.
    pub egress: Addr,
}

/// Key of `TRUSTED`.
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
pub struct TrustedKey {
    /// The network's index.
    pub network: u32,
    /// An uplink, or the bridge of another network.
    pub ifindex: u32,
}

/// Per-CPU counters of an endpoint, seen from the container.
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
pub struct EndpointStats {
    /// Packets that the container sent and netd carried.
    pub tx_packets: u64,
    /// Octets of them, from the IP header on.
    pub tx_bytes: u64,
    /// Packets of the container that were dropped.
    pub tx_drops: u64,
    /// Packets delivered to the container.
    pub rx_packets: u64,
    /// Octets of them.
    pub rx_bytes: u64,
    /// Packets to the container that were dropped.
    pub rx_drops: u64,
}
