//! Drop counters. Written by the programs, summed by the agent.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

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
