//! Drop counters and drop events. Written by the programs; the agent sums and tells.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::Addr;

/// Key of `DROPS`.
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
pub struct DropKey {
    /// [`crate::DropReason`] as a number.
    pub reason: u16,
    /// [`super::Program`] as a number.
    pub program: u16,
    /// The network's index, 0 where none is known.
    pub network: u32,
}

/// Value of `DROPS`, per CPU.
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
pub struct DropCount {
    /// Packets dropped.
    pub packets: u64,
    /// Octets of them, from the IP header on.
    pub bytes: u64,
}

/// [`DropEvent::version`] of this layout. A reader ignores what has another.
pub const DROP_EVENT_VERSION: u16 = 1;

/// A record of `DROP_EVENTS`: one dropped packet, as far as it was read. Addresses that were not are
/// zero; ports that it has not, or that a later fragment's first one did not tell, are zero.
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
pub struct DropEvent {
    /// [`DROP_EVENT_VERSION`].
    pub version: u16,
    /// [`crate::DropReason`] as a number.
    pub reason: u16,
    /// [`super::Program`] as a number: where it was dropped.
    pub program: u16,
    /// The IP protocol number behind all extension headers; 0 where the IP header was not read.
    pub protocol: u8,
    /// Zero.
    pub reserved: u8,
    /// Nanoseconds of CLOCK_MONOTONIC, as of the last tick.
    pub time: u64,
    /// The network's index, 0 where none is known.
    pub network: u32,
    /// The index of the endpoint at whose interface it was, 0 on uplinks and where it is unknown.
    pub endpoint: u32,
    /// That interface, or the uplink.
    pub ifindex: u32,
    /// Octets from the IP header on.
    pub octets: u32,
    /// Packets that this CPU dropped for the same reason since its last event for that, and told
    /// nobody of: too many a second, or the ring was full.
    pub untold: u32,
    /// Source port or echo identifier, network order.
    pub source_port: [u8; 2],
    /// Destination port or echo identifier, network order.
    pub destination_port: [u8; 2],
    /// Source address.
    pub source: Addr,
    /// Destination address.
    pub destination: Addr,
}

/// Value of `EVENT_BUDGETS`: how many events a CPU may make for a reason, and what it did not tell.
/// All zero is a full bucket.
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
pub struct EventBudget {
    /// Nanoseconds of CLOCK_MONOTONIC up to which tokens were earned.
    pub earned_until: u64,
    /// Tokens left.
    pub tokens: u64,
    /// Drops without an event, since there were too many, ever.
    pub suppressed: u64,
    /// Drops without an event, since the ring was full, ever.
    pub lost: u64,
    /// Of both, those since the last event.
    pub untold: u64,
}
