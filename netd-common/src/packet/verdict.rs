//! What a decision says: a value, carried out by the adapter that asked. Offsets and bytes are
//! computed here; the adapter only stores them.

use crate::{Addr, DropReason};

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not netd's: the next program and the kernel go on with it, untouched. Uplinks only.
    Pass,
    /// To the host's own stack, for one of its addresses (from an endpoint), or on to the
    /// container (to an endpoint), after the rewrite.
    Host(Rewrite),
    /// Into the namespace behind the host-side interface `ifindex` (`bpf_redirect_peer`).
    Peer {
        /// Host side of the target's veth pair.
        ifindex: u32,
        /// Changes first.
        rewrite: Rewrite,
    },
    /// Out through an uplink, the neighbour resolved by the kernel (`bpf_redirect_neigh`).
    Neighbour {
        /// The uplink.
        ifindex: u32,
        /// The next hop.
        next_hop: Addr,
        /// Changes first.
        rewrite: Rewrite,
    },
    /// The packet, turned into an answer, goes back to its sender (`bpf_redirect_peer` to the
    /// own interface). The bytes replace the packet from its Ethernet header on.
    Answer(Answer),
    /// A question to the resolver: the `dns` program decides.
    Dns,
    /// Dropped and counted.
    Drop(DropReason),
}

/// Changes to a packet that is going on. Fields that do not change are `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// New destination and source MAC.
    pub ethernet: Option<([u8; 6], [u8; 6])>,
    /// Decrement the TTL or hop limit.
    pub hop: bool,
    /// New addresses and ports, with the checksum changes they need.
    pub translation: Option<Translation>,
}

/// Address and port changes, all computed: the adapter stores bytes at offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// IPv4 (else IPv6).
    pub is_v4: bool,
    /// Offset of the IP header.
    pub ip: u16,
    /// Offset of the transport header.
    pub transport: u16,
    /// The IP protocol number.
    pub protocol: u8,
    /// New source address, where it changes.
    pub source: Option<Addr>,
    /// New destination address, where it changes.
    pub destination: Option<Addr>,
    /// New source port at the transport header's start, where it changes; network order.
    pub source_port: Option<[u8; 2]>,
    /// New destination port, where it changes; network order.
    pub destination_port: Option<[u8; 2]>,
    /// New ICMP echo identifier, where it changes; network order.
    pub identifier: Option<[u8; 2]>,
    /// One's complement difference of the addresses, unfolded, as `bpf_csum_diff` gives it: for
    /// the IPv4 header, and with the pseudo header flag for the transport checksum.
    pub address_delta: u32,
    /// One's complement difference of ports or identifier, for the transport checksum alone.
    pub port_delta: u32,
}

/// A packet of netd's own: an ARP reply or a neighbour advertisement. At most
/// [`Answer::MAX`] octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The bytes from the Ethernet header on.
    pub bytes: [u8; Answer::MAX],
    /// Used octets of `bytes`.
    pub len: u16,
}

impl Answer {
    /// Ethernet (14) + IPv6 (40) + neighbour advertisement with target link-layer address (32).
    pub const MAX: usize = 86;
}
