//! Names that the `dns` program answers, and who asks whom. Written by the agent.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::limits::{MAX_NAME, MAX_NAME_V4, MAX_NAME_V6, MAX_SCOPES};

/// Key of `NAMES`.
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
pub struct NameKey {
    /// A network or a sandbox (links), numbered by [`scope_of_network`] and [`scope_of_sandbox`].
    pub scope: u32,
    /// The wire-format name, lower case, with its root label; zero filled.
    pub name: [u8; MAX_NAME],
    /// Zero.
    pub reserved: [u8; 3],
}

/// Value of `NAMES`.
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
pub struct Name {
    /// [`name_kind`].
    pub kind: u8,
    /// IPv4 addresses in `v4`.
    pub count_v4: u8,
    /// IPv6 addresses in `v6`.
    pub count_v6: u8,
    /// Octets of `target`.
    pub target_len: u8,
    /// Answers to A, network order.
    pub v4: [[u8; 4]; MAX_NAME_V4],
    /// Answers to AAAA, network order.
    pub v6: [[u8; 16]; MAX_NAME_V6],
    /// Answer to PTR: `name.network.` in wire format.
    pub target: [u8; MAX_NAME],
    /// Zero.
    pub reserved: [u8; 3],
}

/// Values of [`Name::kind`].
pub mod name_kind {
    /// A and AAAA.
    pub const HOST: u8 = 1;
    /// PTR (`in-addr.arpa` or `ip6.arpa`).
    pub const POINTER: u8 = 2;
    /// More addresses than the entry holds: the agent answers.
    pub const AGENT: u8 = 3;
}

/// Value of `SCOPES`, by sandbox index: where its questions are looked up, in order.
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
pub struct Scopes {
    /// Used entries.
    pub count: u32,
    /// Scope numbers.
    pub scopes: [u32; MAX_SCOPES],
}

/// The scope of a network's names.
pub const fn scope_of_network(index: u32) -> u32 {
    index << 1
}

/// The scope of a sandbox's links.
pub const fn scope_of_sandbox(index: u32) -> u32 {
    index << 1 | 1
}

/// Value of `RESOLVERS`, by netns cookie: what 127.0.0.11:53 means in that namespace.
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
pub struct Resolver {
    /// The sandbox's index.
    pub sandbox: u32,
    /// IPv4, network order: a gateway of the sandbox.
    pub address: [u8; 4],
    /// Network order; [`crate::limits::RESOLVER_PORT`].
    pub port: [u8; 2],
    /// Zero.
    pub reserved: [u8; 2],
}
