//! What a decision says: a value, carried out by the adapter that asked. Offsets and bytes are
//! computed here; the adapter only stores them.
//!
//! The verdict itself is a number; where the packet goes and what changes stands in an
//! [`Outcome`], whose every byte is always valid: kernels before 6.3 refuse a program that copies
//! the unused part of an enum.

use zerocopy::FromBytes;

use super::view::ETHERNET;
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
    /// To the host, and to every other endpoint of the network: a copy into the bridge
    /// [`Outcome::ifindex`], then out of it (`bpf_clone_redirect`, `bpf_redirect`).
    Flood,
    /// The packet, replaced by [`super::Work::answer`], goes back to its sender
    /// (`bpf_redirect_peer` to the own interface; on an uplink, `bpf_redirect`).
    Answer,
    /// An ICMP error to translate or to make: the `icmp` program decides.
    IcmpError,
    /// A fragment to park, or one for which others wait: the `fragments` program decides.
    Fragment,
    /// A fragment that was parked, or comes in once more: nothing goes on, and nothing is lost.
    Kept,
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
    /// Of [`Verdict::Peer`], [`Verdict::Neighbour`] and [`Verdict::Flood`]: through which interface.
    pub ifindex: u32,
    /// Of [`Verdict::Peer`]: the index of the endpoint that gets the packet, 0 for the resolver.
    /// For the counters.
    pub receiver: u32,
    /// The number of a [`DropReason`] that is counted though the packet goes on; else 0.
    pub noted: u32,
    /// Of [`Verdict::Neighbour`]: 1 where the kernel has to ask for the next hop's MAC first, as far as
    /// it said.
    pub unresolved: u32,
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
    /// [`changes::ETHERNET`]: destination and source MAC.
    pub ethernet: [u8; 12],
    /// [`changes::HEADER`]: the changed part of the headers.
    pub header: Header,
    /// [`changes::HEADER`]: one's complement difference of the addresses, unfolded as
    /// `bpf_csum_diff` gives it: for the transport checksum with the pseudo header flag. 0 where
    /// the checksum covers no addresses (ICMP of IPv4).
    pub address_delta: u32,
    /// [`changes::HEADER`]: the same of ports or identifier, for the transport checksum alone.
    pub port_delta: u32,
    /// [`changes::HEADER`]: offset of the transport checksum.
    pub checksum: u16,
    /// [`changes::APART`]: offset of the transport header.
    pub transport: u16,
}

/// Bits of [`Rewrite::changes`].
pub mod changes {
    /// New MACs.
    pub const ETHERNET: u32 = 1;
    /// New hop limit, addresses, ports or echo identifier.
    pub const HEADER: u32 = 1 << 1;
    /// With [`HEADER`]: the packet is IPv4.
    pub const IS_V4: u32 = 1 << 2;
    /// With [`HEADER`]: the transport is ICMP echo, with an identifier in the fifth octet and
    /// no ports.
    pub const IS_ECHO: u32 = 1 << 3;
    /// With [`HEADER`]: the transport header is not right behind the fixed part of the IP header.
    pub const APART: u32 = 1 << 5;
    /// With [`HEADER`]: there is no transport header (a later fragment).
    pub const NO_TRANSPORT: u32 = 1 << 6;
    /// With [`HEADER`]: a transport checksum of 0 means none and stays so (UDP).
    pub const ZERO_IS_NONE: u32 = 1 << 4;
}

/// The part of the headers that changes, in one piece so that it is stored in one step: TTL or hop
/// limit, in IPv4 protocol and header checksum, then addresses, then ports or twice the echo
/// identifier.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes)]
pub struct Header([u8; 40]);

impl Header {
    /// Where the piece begins in an IPv4 packet without options.
    pub const OFFSET_V4: usize = ETHERNET + 8;
    /// Where it begins in an IPv6 packet.
    pub const OFFSET_V6: usize = ETHERNET + 7;
    /// In the piece of IPv6: addresses stand aligned, so the hop limit is at an odd place.
    const HOP_V6: usize = 3;

    /// The piece of an IPv4 packet with ports.
    pub fn v4(&self) -> Option<&[u8; 16]> {
        self.0.first_chunk()
    }

    /// The same without ports.
    pub fn addresses_v4(&self) -> Option<&[u8; 12]> {
        self.0.first_chunk()
    }

    /// The piece of an IPv6 packet with ports.
    pub fn v6(&self) -> Option<&[u8; 37]> {
        self.0.get(Header::HOP_V6..)?.first_chunk()
    }

    /// The same without ports.
    pub fn addresses_v6(&self) -> Option<&[u8; 33]> {
        self.0.get(Header::HOP_V6..)?.first_chunk()
    }

    /// The ports, or twice the echo identifier.
    pub fn ports(&self, is_v4: bool) -> Option<&[u8; 4]> {
        let at = if is_v4 { 12 } else { 36 };
        self.0.get(at..)?.first_chunk()
    }

    /// The echo identifier.
    pub fn identifier(&self, is_v4: bool) -> Option<&[u8; 2]> {
        self.ports(is_v4)?.first_chunk()
    }

    pub(super) fn put_v4(
        &mut self,
        first: [u8; 4],
        source: [u8; 4],
        destination: [u8; 4],
        ports: [u8; 4],
    ) {
        let (words, _) = self.0.as_chunks_mut::<4>();
        if let [a, b, c, d, ..] = words {
            (*a, *b, *c, *d) = (first, source, destination, ports);
        }
    }

    pub(super) fn put_v6(&mut self, hops: u8, source: &Addr, destination: &Addr, ports: [u8; 4]) {
        let [_, _, _, hop, addresses @ .., p0, p1, p2, p3] = &mut self.0;
        *hop = hops;
        let (addresses, _) = addresses.as_chunks_mut::<16>();
        if let [a, b] = addresses {
            (*a, *b) = (source.0, destination.0);
        }
        [*p0, *p1, *p2, *p3] = ports;
    }
}

impl Default for Header {
    fn default() -> Header {
        Header([0; 40])
    }
}

/// A packet of netd's own: an ARP reply, a neighbour advertisement, an ICMP error. At most
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
    /// Ethernet (14) + IPv6 (40) + ICMPv6 (8) + what an error quotes (128).
    pub const MAX: usize = 190;

    /// The octets at `offset`, where there are so many.
    pub(super) fn chunk<const N: usize>(&self, offset: usize) -> Option<&[u8; N]> {
        self.bytes.get(offset..)?.first_chunk::<N>()
    }

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
