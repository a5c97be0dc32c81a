//! Links: which ports are open between two endpoints of a network that keeps its endpoints apart.
//! Written by the agent, read by `from_endpoint`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::limits::MAX_LINK_RANGES;

/// Key of `LINKS`: who sends, and to whom.
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
pub struct LinkKey {
    /// The sending endpoint's index.
    pub from: u32,
    /// The receiving endpoint's index.
    pub to: u32,
}

/// Value of `LINKS`: what may pass from one to the other, so that a packet needs one look-up.
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
pub struct OpenPorts {
    /// The first of them count up to one without a protocol. Two links, one each way, fill all.
    pub ranges: [OpenRange; 2 * MAX_LINK_RANGES],
}

/// A range of ports that is open.
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
pub struct OpenRange {
    /// First port, native order.
    pub first: u16,
    /// Last port, native order.
    pub last: u16,
    /// The IP protocol number; 0: none, and none follow.
    pub protocol: u8,
    /// [`side`].
    pub side: u8,
}

/// Values of [`OpenRange::side`].
pub mod side {
    /// The ports are destinations: the sender is linked to the receiver.
    pub const SERVED: u8 = 0;
    /// The ports are sources: the sender answers.
    pub const ANSWERS: u8 = 1;
}
