//! Processes of the host that dial a published port by loopback or an address of the host. No
//! uplink sees their packets: the socket itself is given the container as its far end, and told the
//! dialled one whenever it asks who that is.

use super::{dns::stub::Peer, published::wildcard};
use crate::{Addr, abi::port::Port};

/// What is asked of a socket and of the maps. Two implementations: the socket hooks, and plain
/// collections in tests.
pub trait Sockets {
    /// Whether the socket is in the host's network namespace.
    fn is_of_host(&mut self) -> bool;
    /// The address that the socket is bound to; unspecified where it is none.
    fn bound_to(&mut self) -> Addr;
    /// The published port of exactly this host address or wildcard; port in network order.
    fn port(&mut self, address: &Addr, port: [u8; 2]) -> Option<Port>;
    /// Whether an address is one of the host's interfaces'.
    fn is_host_address(&mut self, address: &Addr) -> bool;
    /// Notes that the socket, whose far end is `real`, believes it to be `dialled`.
    fn remember(&mut self, real: &Peer, dialled: &Peer);
    /// What was noted.
    fn recall(&mut self, real: &Peer) -> Option<Peer>;
}

/// Which far ends a hook can give to its socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Families {
    /// That of the dialled address alone. (The kernel refuses a v4-mapped destination that a
    /// program put in an unconnected datagram: ENOTSUPP of `udpv6_sendmsg`.)
    Same,
    /// An IPv6 socket may also be connected to an IPv4 address in its v4-mapped form.
    Mapped,
}

/// Where a socket goes that dials `dialled`; `None` leaves it alone. This runs for every
/// connection of the host, so what is cheap and decides most comes first.
///
/// A socket that is bound to an address keeps it, and no container can answer loopback, nor the
/// other family: such a socket is left to the host's stack, which refuses it.
pub fn forward<S: Sockets>(dialled: &Peer, families: Families, sockets: &mut S) -> Option<Peer> {
    if !sockets.is_of_host() {
        return None;
    }
    // Linux takes a connection to no address for one to itself.
    let address = match dialled.address {
        Addr::ANY_V4 => Addr::LOCALHOST_V4,
        Addr::NONE => Addr::LOCALHOST_V6,
        other => other,
    };
    let port = published(&address, dialled.port, sockets)?;
    if families == Families::Same && port.address.is_v4() != address.is_v4() {
        return None;
    }
    let bound = sockets.bound_to();
    let free = bound.is_unspecified();
    if !free && (bound.is_loopback() || bound.is_v4() != port.address.is_v4()) {
        return None;
    }
    let real = Peer {
        address: port.address,
        port: port.target_of(dialled.port),
    };
    let dialled = Peer {
        address,
        port: dialled.port,
    };
    sockets.remember(&real, &dialled);
    Some(real)
}

/// Whom a socket believes to hear, where its far end is `seen`; `None` leaves it alone.
pub fn backward<S: Sockets>(seen: &Peer, sockets: &mut S) -> Option<Peer> {
    if sockets.is_of_host() {
        sockets.recall(seen)
    } else {
        None
    }
}

/// At exactly that address, or at all addresses of the host, if it is one of them: all of 127/8 is.
fn published<S: Sockets>(address: &Addr, number: [u8; 2], sockets: &mut S) -> Option<Port> {
    if let Some(port) = sockets.port(address, number) {
        return Some(port);
    }
    let port = sockets.port(&wildcard(address.is_v4()), number)?;
    (address.is_loopback() || sockets.is_host_address(address)).then_some(port)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::{Families, Sockets, backward, forward};
    use crate::{Addr, abi::port::Port, packet::dns::stub::Peer};

    const WEB: Addr = Addr::v4([172, 18, 0, 2]);
    const WEB6: Addr = Addr([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    const HOST: Addr = Addr::v4([198, 18, 0, 2]);

    /// One socket of a host with ports 8080 to 8089 → 80 to 89 on both wildcards.
    struct Host {
        foreign: bool,
        bound: Addr,
        ports: BTreeMap<Addr, Addr>,
        addresses: BTreeSet<Addr>,
        notes: BTreeMap<(Addr, [u8; 2]), Peer>,
    }

    impl Default for Host {
        fn default() -> Host {
            Host {
                foreign: false,
                bound: Addr::NONE,
                ports: [(Addr::ANY_V4, WEB), (Addr::NONE, WEB6)].into(),
                addresses: [HOST].into(),
                notes: BTreeMap::new(),
            }
        }
    }

    impl Sockets for Host {
        fn is_of_host(&mut self) -> bool {
            !self.foreign
        }
        fn bound_to(&mut self) -> Addr {
            self.bound
        }
        fn port(&mut self, address: &Addr, port: [u8; 2]) -> Option<Port> {
            let target = *self.ports.get(address)?;
            (8080..8090)
                .contains(&u16::from_be_bytes(port))
                .then(|| Port {
                    address: target,
                    first: 8080u16.to_be_bytes(),
                    target: 80u16.to_be_bytes(),
                    ..Port::default()
                })
        }
        fn is_host_address(&mut self, address: &Addr) -> bool {
            self.addresses.contains(address)
        }
        fn remember(&mut self, real: &Peer, dialled: &Peer) {
            self.notes.insert((real.address, real.port), *dialled);
        }
        fn recall(&mut self, real: &Peer) -> Option<Peer> {
            self.notes.get(&(real.address, real.port)).copied()
        }
    }

    fn peer(address: Addr, port: u16) -> Peer {
        Peer {
            address,
            port: port.to_be_bytes(),
        }
    }

    #[test]
    fn loopback_and_own_addresses_lead_there_and_back() {
        for address in [
            Addr::LOCALHOST_V4,
            Addr::v4([127, 9, 9, 9]),
            HOST,
            Addr::LOCALHOST_V6,
        ] {
            let mut host = Host::default();
            let web = if address.is_v4() { WEB } else { WEB6 };
            let dialled = peer(address, 8083);
            let real = forward(&dialled, Families::Same, &mut host).expect("published");
            assert_eq!(real, peer(web, 83));
            assert_eq!(backward(&real, &mut host), Some(dialled));
            assert_eq!(backward(&peer(web, 84), &mut host), None);
        }
    }

    #[test]
    fn no_address_is_loopback() {
        for (dialled, seen) in [
            (Addr::ANY_V4, Addr::LOCALHOST_V4),
            (Addr::NONE, Addr::LOCALHOST_V6),
        ] {
            let mut host = Host::default();
            let real = forward(&peer(dialled, 8080), Families::Same, &mut host).expect("published");
            assert_eq!(backward(&real, &mut host), Some(peer(seen, 8080)));
        }
    }

    #[test]
    fn other_ports_addresses_and_namespaces_are_left_alone() {
        let mut host = Host::default();
        let foreign = Addr::v4([203, 0, 113, 1]);
        for dialled in [peer(Addr::LOCALHOST_V4, 8090), peer(foreign, 8080)] {
            assert_eq!(forward(&dialled, Families::Mapped, &mut host), None);
        }
        host.foreign = true;
        let dialled = peer(Addr::LOCALHOST_V4, 8080);
        assert_eq!(forward(&dialled, Families::Mapped, &mut host), None);
        host.notes.insert((WEB, [0, 80]), dialled);
        assert_eq!(backward(&peer(WEB, 80), &mut host), None);
    }

    #[test]
    fn one_address_is_that_address_alone() {
        let mut host = Host {
            ports: [(Addr::LOCALHOST_V4, WEB)].into(),
            ..Host::default()
        };
        let mut dial = |address| forward(&peer(address, 8080), Families::Mapped, &mut host);
        assert_eq!(dial(Addr::LOCALHOST_V4), Some(peer(WEB, 80)));
        assert_eq!(dial(Addr::v4([127, 0, 0, 2])), None);
        assert_eq!(dial(HOST), None);
        assert_eq!(dial(Addr::LOCALHOST_V6), None);
    }

    #[test]
    fn without_ipv6_inside_only_connections_lead_there() {
        let mut host = Host {
            ports: [(Addr::NONE, WEB)].into(),
            ..Host::default()
        };
        let dialled = peer(Addr::LOCALHOST_V6, 8080);
        assert_eq!(forward(&dialled, Families::Same, &mut host), None);
        let real = forward(&dialled, Families::Mapped, &mut host);
        assert_eq!(real, Some(peer(WEB, 80)));
        assert_eq!(backward(&peer(WEB, 80), &mut host), Some(dialled));
    }

    #[test]
    fn a_bound_socket_is_left_alone_where_no_answer_could_come() {
        let cases = [
            (Addr::LOCALHOST_V4, WEB, false),
            (Addr::v4([127, 0, 0, 9]), WEB, false),
            (Addr::LOCALHOST_V6, WEB6, false),
            (Addr::LOCALHOST_V6, WEB, false),
            (WEB6, WEB, false),
            (HOST, WEB, true),
            (WEB6, WEB6, true),
        ];
        for (bound, target, works) in cases {
            let mut host = Host {
                bound,
                ports: [(Addr::ANY_V4, target), (Addr::NONE, target)].into(),
                ..Host::default()
            };
            let dialled = peer(Addr::LOCALHOST_V6, 8080);
            let real = forward(&dialled, Families::Mapped, &mut host);
            assert_eq!(real.is_some(), works, "{bound:?} {target:?}");
        }
    }
}
