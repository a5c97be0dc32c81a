//! What a decision says: a value, carried out by the adapter that asked. Offsets and bytes are
//! computed here; the adapter only stores them.
//!
//! The verdict itself is a number; where the packet goes and what changes stands in an
//! [`Outcome`], whose every byte is always valid: kernels before 6.3 refuse a program that copies
//! the unused part of an enum.

use zerocopy::FromBytes;

use crate::{Addr, DropReason};

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not netd's: the next program and the kernel go on with it, untouched. Uplinks only.
    Pass,
    /// To the host's own stack, for one of its addresses (from an endpoint), or on its way (to an
    /// endpoint, to an uplink), after the rewrite.
    Host,
    /// Into the namespace behind the host-side interface [`Outcome::ifindex`], after the rewrite
    /// (`bpf_redirect_peer`).
    Peer,
    /// Out through the uplink [`Outcome::ifindex`] to [`Outcome::next_hop`], whose MAC the kernel
    /// finds, after the rewrite (`bpf_redirect_neigh`).
    Neighbour,
    /// The packet, replaced by [`super::Work::answer`], goes back to its sender
    /// (`bpf_redirect_peer` to the own interface).
    Answer,
    /// A question to the resolver: the `dns` program decides.
    Dns,
    /// Dropped and counted.
    Drop(DropReason),
}

/// Where a packet goes, what changes first, and whom it concerns.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes)]
pub struct Outcome {
    /// The network's index, 0 where none is known. For the counters.
    pub network: u32,
    /// The index of the endpoint whose interface this is, 0 on uplinks and where it is unknown.
    /// For the counters.
    pub endpoint: u32,
    /// Of [`Verdict::Peer`] and [`Verdict::Neighbour`]: through which interface.
    pub ifindex: u32,
    /// Of [`Verdict::Peer`]: the index of the endpoint that gets the packet, 0 for the resolver.
    /// For the counters.
    pub receiver: u32,
    /// Of [`Verdict::Neighbour`]: the next hop's address.
    pub next_hop: Addr,
    /// What changes first.
    pub rewrite: Rewrite,
}

/// Changes to a packet that is going on.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes)]
pub struct Rewrite {
    /// Which of the following apply: [`changes`].
    pub changes: u32,
    /// One's complement difference for the IPv4 header checksum, of addresses and TTL together;
    /// unfolded, as `bpf_csum_diff` gives it. 0 for IPv6.
    pub header_delta: u32,
    /// [`changes::ETHERNET`]: destination and source MAC.
    pub ethernet: [u8; 12],
    /// [`changes::HOP`]: offset of the TTL or hop limit.
    pub hop_offset: u16,
    /// [`changes::HOP`]: its new value.
    pub hop: u8,
    /// Zero.
    pub reserved: u8,
    /// [`changes::TRANSLATION`].
    pub translation: Translation,
}

/// Bits of [`Rewrite::changes`].
pub mod changes {
    /// New MACs.
    pub const ETHERNET: u32 = 1;
    /// One hop less.
    pub const HOP: u32 = 1 << 1;
    /// New addresses, ports or echo identifier.
    pub const TRANSLATION: u32 = 1 << 2;
    /// With [`TRANSLATION`]: the packet is IPv4, so that its addresses are four octets each.
    pub const IS_V4: u32 = 1 << 3;
    /// With [`TRANSLATION`]: the transport is ICMP echo, with an identifier in the fifth octet and
    /// no ports.
    pub const IS_ECHO: u32 = 1 << 4;
    /// With [`TRANSLATION`]: a transport checksum of 0 means none and stays so (UDP).
    pub const ZERO_IS_NONE: u32 = 1 << 5;
}

/// Addresses and ports as they leave; what stays the same stands here, too.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes)]
pub struct Translation {
    /// Source address.
    pub source: Addr,
    /// Destination address.
    pub destination: Addr,
    /// Source and destination port, or twice the echo identifier; network order.
    pub ports: [u8; 4],
    /// Offset of the transport header.
    pub transport: u16,
    /// Offset of the transport checksum.
    pub checksum: u16,
    /// One's complement difference of the addresses, unfolded: for the transport checksum with
    /// the pseudo header flag. 0 where the checksum covers no addresses (ICMP of IPv4).
    pub address_delta: u32,
    /// One's complement difference of ports or identifier, unfolded: for the transport checksum
    /// alone.
    pub port_delta: u32,
}

/// A packet of netd's own: an ARP reply or a neighbour advertisement. At most
/// [`Answer::MAX`] octets.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes)]
pub struct Answer {
    /// The bytes from the Ethernet header on.
    pub bytes: [u8; Answer::MAX],
    /// Used octets of `bytes`.
    pub len: u16,
}

impl Answer {
    /// Ethernet (14) + IPv6 (40) + neighbour advertisement with target link-layer address (32).
    pub const MAX: usize = 86;

    /// Writes `bytes` at `offset`; past the end of the buffer nothing happens.
    pub(super) fn put<const N: usize>(&mut self, offset: usize, bytes: [u8; N]) {
        let place = self.bytes.get_mut(offset..);
        if let Some(place) = place.and_then(|rest| rest.first_chunk_mut::<N>()) {
            *place = bytes;
        }
    }
}

impl Default for Answer {
    fn default() -> Answer {
        Answer {
            bytes: [0; Answer::MAX],
            len: 0,
        }
    }
}
