//! The host's routes: as the kernel gets them, and as [`super::PlainTables`] looks them up.

use std::{net::IpAddr, sync::LazyLock};

use netd_common::{Addr, packet::tables::Route};

use super::World;

/// Routes of the host, longest prefix first: the kernel's words, then what they mean.
pub const ROUTES: [(&str, &str, Via); 14] = [
    // The kernel's own, with the uplinks' addresses.
    ("192.0.2.255/32", "", Via::Broadcast),
    ("8.0.128.255/32", "", Via::Broadcast),
    (
        "198.51.100.0/24",
        "blackhole 198.51.100.0/24",
        Via::Prohibited,
    ),
    ("192.0.2.0/24", "", Via::OnLink(21)),
    ("2001:db8:1::/64", "", Via::OnLink(21)),
    ("8.0.128.0/24", "", Via::OnLink(23)),
    ("2001:db8:86dd:1::/64", "", Via::OnLink(23)),
    (
        "2001:db8:dead::/48",
        "unreachable 2001:db8:dead::/48",
        Via::Prohibited,
    ),
    ("100.64.0.0/10", "100.64.0.0/10 dev other", Via::OnLink(22)),
    (
        "2001:db8:64::/48",
        "2001:db8:64::/48 dev other",
        Via::OnLink(22),
    ),
    (
        "8.0.0.0/16",
        "8.0.0.0/16 via 8.0.128.1",
        Via::Gateway(23, "8.0.128.1"),
    ),
    (
        "2001:db8:86dd::/48",
        "2001:db8:86dd::/48 via 2001:db8:86dd:1::1",
        Via::Gateway(23, "2001:db8:86dd:1::1"),
    ),
    (
        "0.0.0.0/0",
        "default via 192.0.2.1",
        Via::Gateway(21, "192.0.2.1"),
    ),
    (
        "::/0",
        "default via 2001:db8:1::1",
        Via::Gateway(21, "2001:db8:1::1"),
    ),
];

/// Next hops whose MACs the kernel knows, as is usual. Those on link it does not.
pub const NEIGHBOURS: [&str; 2] = [
    "192.0.2.1 lladdr 02:00:00:00:00:01 dev up",
    "2001:db8:1::1 lladdr 02:00:00:00:00:01 dev up",
];

/// Where a route leads.
#[derive(Clone, Copy, Debug)]
pub enum Via {
    /// To the destination itself, through this interface.
    OnLink(u32),
    /// To this neighbour.
    Gateway(u32, &'static str),
    /// Nowhere.
    Prohibited,
    /// To everybody on link, which is no way for a packet that is forwarded.
    Broadcast,
}

/// [`ROUTES`] once read: network, its prefix length in bits of the sixteen octets, what it means.
static READ: LazyLock<Vec<(Addr, u32, Way)>> = LazyLock::new(|| {
    let read = |(network, _, via): &(&str, &str, Via)| {
        let (network, bits) = prefix(network);
        let way = match via {
            Via::OnLink(ifindex) => Way::OnLink(*ifindex),
            Via::Gateway(ifindex, gateway) => Way::Gateway(*ifindex, address(gateway)),
            Via::Prohibited => Way::Prohibited,
            Via::Broadcast => Way::Broadcast,
        };
        (network, bits, way)
    };
    ROUTES.iter().map(read).collect()
});

/// [`Via`] without text.
enum Way {
    OnLink(u32),
    Gateway(u32, Addr),
    Prohibited,
    Broadcast,
}

impl World {
    /// The host's route, as [`ROUTES`] has it.
    pub fn route(&self, destination: &Addr) -> Route {
        let mut own = self.host_addresses.iter();
        if own.any(|(own, _)| own == destination) {
            return Route::None;
        }
        let found = READ.iter().find(|(network, bits, _)| {
            network.is_v4() == destination.is_v4() && has_prefix(&destination.0, &network.0, *bits)
        });
        match found {
            Some((_, _, Way::OnLink(ifindex))) => Route::Via {
                ifindex: *ifindex,
                next_hop: *destination,
                resolved: false,
            },
            Some((_, _, Way::Gateway(ifindex, gateway))) => Route::Via {
                ifindex: *ifindex,
                next_hop: *gateway,
                resolved: false,
            },
            Some((_, _, Way::Prohibited)) => Route::Prohibited,
            Some((_, _, Way::Broadcast)) | None => Route::None,
        }
    }
}

/// Whether both begin with the same `bits` bits.
pub fn has_prefix(octets: &[u8], prefix: &[u8], bits: u32) -> bool {
    let (whole, rest) = (bits as usize / 8, bits % 8);
    octets[..whole] == prefix[..whole]
        && (rest == 0 || (octets[whole] ^ prefix[whole]) >> (8 - rest) == 0)
}

/// An address from text.
pub fn address(text: &str) -> Addr {
    let parsed: IpAddr = text.parse().expect("an address");
    parsed.into()
}

/// An address and its prefix length in bits of the sixteen octets.
pub fn prefix(text: &str) -> (Addr, u32) {
    let (address_text, bits) = text.split_once('/').expect("a prefix");
    let own = address(address_text);
    let bits: u32 = bits.parse().expect("a length");
    (own, if own.is_v4() { bits + 96 } else { bits })
}
