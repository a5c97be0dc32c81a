//! Sockets of the host whose far end is a published port's container. Written and read by the
//! `sock_*` programs alone.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::Addr;

/// Key of `DIALLED`: a socket and its real far end. (An unconnected UDP socket has several.)
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
pub struct DialledKey {
    /// SO_COOKIE.
    pub socket: u64,
    /// The container's address.
    pub address: Addr,
    /// Its port, network order.
    pub port: [u8; 2],
    /// Zero.
    pub reserved: [u8; 6],
}

/// Value of `DIALLED`: what the socket's owner asked for.
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
pub struct Dialled {
    /// 127.0.0.1, `::1`, or an address of the host.
    pub address: Addr,
    /// The host port, network order.
    pub port: [u8; 2],
    /// Zero.
    pub reserved: [u8; 2],
}
