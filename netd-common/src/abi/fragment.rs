//! Datagrams that were cut into fragments: only the first has ports. Written by the programs.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Addr, limits::MAX_PARKED_OCTETS};

/// Key of `FRAGMENTS`: the datagram that a fragment is a part of (RFC 791 section 2.3, RFC 8200
/// section 4.5), where it comes in.
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
pub struct FragmentKey {
    /// Source address.
    pub source: Addr,
    /// Destination address.
    pub destination: Addr,
    /// The identification; IPv4's two octets come first.
    pub identification: [u8; 4],
    /// The endpoint's host-side interface, which no other endpoint ever gets; 0 outside, else
    /// [`arrival`].
    pub arrival: u32,
    /// The IP protocol number.
    pub protocol: u8,
    /// Zero.
    pub reserved: [u8; 3],
}

/// Values of [`FragmentKey::arrival`] that are no interface of an endpoint.
pub mod arrival {
    /// By an uplink.
    pub const OUTSIDE: u32 = 0;
    /// On its way out of an uplink by the host's stack.
    pub const LEAVING: u32 = u32::MAX;
    /// On its way to an endpoint by the host's stack.
    pub const ENTERING: u32 = u32::MAX - 1;
}

/// Value of `FRAGMENTS`.
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
pub struct Fragments {
    /// Nanoseconds of CLOCK_MONOTONIC when the entry was made.
    pub since: u64,
    /// Source port or echo identifier, network order.
    pub source_port: [u8; 2],
    /// Destination port or echo identifier, network order.
    pub destination_port: [u8; 2],
    /// [`crate::packet::transport::kind`].
    pub kind: u8,
    /// [`fragment_state`].
    pub state: u8,
    /// Zero.
    pub reserved: [u8; 2],
}

/// Values of [`Fragments::state`].
pub mod fragment_state {
    /// The first fragment was seen: ports and kind are known.
    pub const KNOWN: u8 = 1;
    /// It was not; later ones are parked.
    pub const AWAITED: u8 = 2;
}

/// Value of `PARKED`, by place: a fragment that came before the first of its datagram.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Parked {
    /// Its datagram.
    pub key: FragmentKey,
    /// The network's index, for the counter if its time runs out.
    pub network: u32,
    /// Nanoseconds of CLOCK_MONOTONIC when it was parked.
    pub since: u64,
    /// Used octets of `bytes`.
    pub length: u32,
    /// 1 where the host's stack has the fragment as well: then it is no loss.
    pub is_copy: u32,
    /// The fragment from its IP header on.
    pub bytes: [u8; MAX_PARKED_OCTETS],
    /// The index of the endpoint that sent it, 0 where it came in otherwise; for the event if its time
    /// runs out.
    pub endpoint: u32,
}
