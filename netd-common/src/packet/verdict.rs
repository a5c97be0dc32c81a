//! What a decision says: a value, carried out by the adapter that asked. Offsets and bytes are
//! computed here; the adapter only stores them.

use crate::{Addr, DropReason};

/// A verdict and whom it concerns, for the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of the packet.
    pub verdict: Verdict,
    /// The network's index, 0 where none is known.
    pub network: u32,
    /// The index of the endpoint whose interface this is, 0 on uplinks and where it is unknown.
    pub endpoint: u32,
}

impl Decision {
    /// A decision about a packet of which nothing is known yet.
    pub const fn unknown(verdict: Verdict) -> Decision {
        Decision {
            verdict,
            network: 0,
            endpoint: 0,
        }
    }
}

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
        /// The target endpoint's index, for its counters; 0 for the resolver.
        endpoint: u32,
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
    /// New TTL or hop limit.
    pub hop: Option<Hop>,
    /// New addresses and ports, with the checksum changes they need.
    pub translation: Option<Translation>,
    /// One's complement difference for the IPv4 header checksum, of addresses and TTL together;
    /// unfolded, as `bpf_csum_diff` gives it. 0 for IPv6 and where nothing changes.
    pub header_delta: u32,
}

/// A TTL or hop limit, one less than it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Offset of the octet.
    pub offset: u16,
    /// Its new value.
    pub value: u8,
}

/// Address and port changes, all computed: the adapter stores bytes at offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// IPv4 (else IPv6).
    pub is_v4: bool,
    /// Offset of the transport header.
    pub transport: u16,
    /// The IP protocol number.
    pub protocol: u8,
    /// New source address, where it changes.
    pub source: Option<Addr>,
    /// New destination address, where it changes.
    pub destination: Option<Addr>,
    /// New source and destination port at the transport header's start, where one of them
    /// changes; network order.
    pub ports: Option<[u8; 4]>,
    /// New ICMP echo identifier, where it changes; network order.
    pub identifier: Option<[u8; 2]>,
    /// One's complement difference of the addresses, unfolded: for the transport checksum with
    /// the pseudo header flag.
    pub address_delta: u32,
    /// One's complement difference of ports or identifier, unfolded: for the transport checksum
    /// alone.
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

    /// Writes `bytes` at `offset`; past the end of the buffer nothing happens.
    pub(super) fn put<const N: usize>(&mut self, offset: usize, bytes: [u8; N]) {
        let place = self.bytes.get_mut(offset..);
        if let Some(place) = place.and_then(|rest| rest.first_chunk_mut::<N>()) {
            *place = bytes;
        }
    }
}
