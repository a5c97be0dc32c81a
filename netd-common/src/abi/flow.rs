//! Flows: each conversation has two halves, one per direction, each keyed by its packets as they
//! arrive. Written by the programs; the agent collects what has expired.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::Addr;

/// Key of `FLOWS` and `NEW_FLOWS`: a packet's tuple where it arrives.
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
pub struct FlowKey {
    /// The network's index the packet comes from; 0 for the outside.
    pub zone: u32,
    /// Source address.
    pub source: Addr,
    /// Destination address.
    pub destination: Addr,
    /// Source port, or the ICMP echo identifier; network order.
    pub source_port: [u8; 2],
    /// Destination port, or the ICMP echo identifier; network order.
    pub destination_port: [u8; 2],
    /// The IP protocol number.
    pub protocol: u8,
    /// Zero.
    pub reserved: [u8; 3],
}

/// One half: what becomes of a packet with that tuple. The twin's key is the rewritten tuple,
/// reversed, in [`Flow::twin_zone`].
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
pub struct Flow {
    /// The tuple as it leaves: source address.
    pub source: Addr,
    /// Destination address.
    pub destination: Addr,
    /// Source port, network order.
    pub source_port: [u8; 2],
    /// Destination port, network order.
    pub destination_port: [u8; 2],
    /// Where the other half's packets arrive.
    pub twin_zone: u32,
    /// The network of the endpoint inside.
    pub network: u32,
    /// The endpoint inside.
    pub endpoint: u32,
    /// Its generation when the flow began.
    pub generation: u32,
    /// [`super::host::Config::epoch`] when the flow was decided.
    pub epoch: u32,
    /// The uplink through which a masqueraded flow was begun, else 0.
    pub uplink: u32,
    /// [`flow_flags`].
    pub flags: u16,
    /// TCP flags seen from this direction, or'ed (FIN 1, SYN 2, RST 4, ACK 16).
    pub tcp_flags: u16,
    /// Packets of this half.
    pub packets: u64,
    /// Octets of this half, from the IP header on.
    pub bytes: u64,
    /// Nanoseconds of CLOCK_MONOTONIC when the half was made.
    pub created: u64,
    /// Nanoseconds of CLOCK_MONOTONIC when its last packet was seen.
    pub last_seen: u64,
}

/// Bits of [`Flow::flags`].
pub mod flow_flags {
    /// This half's packets come from the side that began the flow.
    pub const ORIGINAL: u16 = 1;
    /// Begun inside, source translated to the uplink (masquerade).
    pub const MASQUERADE: u16 = 1 << 1;
    /// Begun towards a published port, destination translated.
    pub const PUBLISHED: u16 = 1 << 2;
    /// This half's packets are for the endpoint inside (else they come from it).
    pub const TO_ENDPOINT: u16 = 1 << 3;
    /// Both halves are in `FLOWS`.
    pub const ESTABLISHED: u16 = 1 << 4;
}
