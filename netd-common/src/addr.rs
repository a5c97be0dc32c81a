//! An IP address as netd carries it everywhere: sixteen bytes in network order, IPv4 as
//! v4-mapped IPv6 (RFC 4291 section 2.5.5.2). Only the header reader and writer ask which family.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Sixteen bytes, network order; `::ffff:a.b.c.d` for IPv4. All zero means "none" or, in a
/// published port's key, the IPv6 wildcard.
#[repr(transparent)]
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
    Unaligned,
)]
pub struct Addr(pub [u8; 16]);

/// The third word of IPv4 in mapped form; those before are zero.
const V4_PREFIX: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);

impl Addr {
    /// No address; also `::`.
    pub const NONE: Addr = Addr([0; 16]);
    /// `0.0.0.0`, as v4-mapped.
    pub const ANY_V4: Addr = Addr::v4([0; 4]);
    /// `127.0.0.1`, as v4-mapped.
    pub const LOCALHOST_V4: Addr = Addr::v4([127, 0, 0, 1]);
    /// `::1`.
    pub const LOCALHOST_V6: Addr = Addr([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    /// An IPv4 address (network order) in mapped form.
    pub const fn v4(octets: [u8; 4]) -> Addr {
        let [a, b, c, d] = octets;
        let mut bytes = [0; 16];
        bytes[10] = 0xff;
        bytes[11] = 0xff;
        bytes[12] = a;
        bytes[13] = b;
        bytes[14] = c;
        bytes[15] = d;
        Addr(bytes)
    }

    /// Becomes an IPv4 address (network order). In place: BPF then moves words, where a value made
    /// of octets goes through the stack one by one.
    pub fn set_v4(&mut self, octets: &[u8; 4]) {
        let (words, _) = self.0.as_chunks_mut::<4>();
        if let [a, b, c, d] = words {
            (*a, *b, *c, *d) = ([0; 4], [0; 4], [0, 0, 0xff, 0xff], *octets);
        }
    }

    /// An IPv6 address (network order).
    pub const fn v6(octets: [u8; 16]) -> Addr {
        Addr(octets)
    }

    /// Whether the bytes have the v4-mapped prefix.
    pub fn is_v4(&self) -> bool {
        let [a, b, c, _] = self.words();
        a | b == 0 && c == V4_PREFIX
    }

    /// Whether all bytes are zero.
    pub fn is_none(&self) -> bool {
        let [a, b, c, d] = self.words();
        a | b | c | d == 0
    }

    /// Four words in memory order: what BPF compares in one step each, where it has to gather
    /// octets one by one.
    fn words(&self) -> [u32; 4] {
        let (words, _) = self.0.as_chunks::<4>();
        match words {
            [a, b, c, d] => [*a, *b, *c, *d].map(u32::from_ne_bytes),
            _ => [0; 4],
        }
    }

    /// Whether this is 127.0.0.0/8 or `::1`.
    pub fn is_loopback(&self) -> bool {
        if self.is_v4() {
            self.0[12] == 127
        } else {
            *self == Addr::LOCALHOST_V6
        }
    }

    /// Whether this is a multicast address or IPv4's limited broadcast.
    pub fn is_multicast(&self) -> bool {
        if self.is_v4() {
            self.0[12] & 0xf0 == 0xe0 || self.octets_v4() == [255; 4]
        } else {
            self.0[0] == 0xff
        }
    }

    /// Whether this is `0.0.0.0` or `::`.
    pub fn is_unspecified(&self) -> bool {
        self.is_none() || *self == Addr::ANY_V4
    }

    /// Whether this is an IPv6 link-local address (fe80::/10), which no router forwards.
    pub fn is_link_local_v6(&self) -> bool {
        self.0[0] == 0xfe && self.0[1] & 0xc0 == 0x80
    }

    /// The last four bytes: the IPv4 address when [`Addr::is_v4`].
    pub fn octets_v4(&self) -> [u8; 4] {
        let [.., a, b, c, d] = self.0;
        [a, b, c, d]
    }
}

impl From<core::net::IpAddr> for Addr {
    fn from(address: core::net::IpAddr) -> Addr {
        match address {
            core::net::IpAddr::V4(v4) => Addr::v4(v4.octets()),
            core::net::IpAddr::V6(v6) => Addr(v6.octets()),
        }
    }
}

impl From<Addr> for core::net::IpAddr {
    fn from(address: Addr) -> core::net::IpAddr {
        if address.is_v4() {
            core::net::IpAddr::from(address.octets_v4())
        } else {
            core::net::IpAddr::from(address.0)
        }
    }
}
