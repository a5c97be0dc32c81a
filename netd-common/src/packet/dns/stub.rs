//! 127.0.0.11:53, the resolver as sandboxes know it, and the socket address it stands for. There
//! is no table of rewritten sockets: the real port is used for nothing else, so the way back is
//! decided by the address alone.

use crate::{
    Addr,
    abi::name::Resolver,
    limits::{STUB_ADDRESS, STUB_PORT},
};

/// An address and a port (network order), as sockets and datagrams name their far end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// IPv4 in v4-mapped form, whatever the socket's family.
    pub address: Addr,
    /// Network order.
    pub port: [u8; 2],
}

impl Peer {
    /// 127.0.0.11:53.
    pub const STUB: Peer = Peer {
        address: Addr::v4(STUB_ADDRESS),
        port: STUB_PORT.to_be_bytes(),
    };

    /// Where the questions to 127.0.0.11:53 really go.
    pub const fn of(resolver: &Resolver) -> Peer {
        Peer {
            address: Addr::v4(resolver.address),
            port: resolver.port,
        }
    }
}

/// Where a socket of a sandbox goes that dials `dialled`; `None` leaves it alone. `resolver` is
/// asked only for 127.0.0.11:53, since this runs for every connection of the host.
pub fn forward(dialled: &Peer, resolver: impl FnOnce() -> Option<Resolver>) -> Option<Peer> {
    if *dialled != Peer::STUB {
        return None;
    }
    resolver().map(|resolver| Peer::of(&resolver))
}

/// Whom a socket of a sandbox believes to hear, where `seen` is the resolver; `None` leaves it
/// alone. `resolver` is asked only for `port`, the resolver's.
pub fn backward(
    seen: &Peer,
    port: u16,
    resolver: impl FnOnce() -> Option<Resolver>,
) -> Option<Peer> {
    if seen.port != port.to_be_bytes() {
        return None;
    }
    (*seen == Peer::of(&resolver()?)).then_some(Peer::STUB)
}

#[cfg(test)]
mod tests {
    use super::{Peer, backward, forward};
    use crate::{Addr, abi::name::Resolver, limits::RESOLVER_PORT};

    const RESOLVER: Resolver = Resolver {
        sandbox: 7,
        address: [172, 18, 0, 1],
        port: RESOLVER_PORT.to_be_bytes(),
        reserved: [0; 2],
    };

    fn peer(address: [u8; 4], port: u16) -> Peer {
        Peer {
            address: Addr::v4(address),
            port: port.to_be_bytes(),
        }
    }

    #[test]
    fn there_and_back() {
        let real = forward(&Peer::STUB, || Some(RESOLVER)).expect("a sandbox's socket");
        assert_eq!(real, peer([172, 18, 0, 1], RESOLVER_PORT));
        assert_eq!(
            backward(&real, RESOLVER_PORT, || Some(RESOLVER)),
            Some(Peer::STUB)
        );
    }

    #[test]
    fn other_destinations_are_left_alone_without_a_look_up() {
        for dialled in [
            peer([127, 0, 0, 11], 80),
            peer([127, 0, 0, 53], 53),
            peer([172, 18, 0, 1], 53),
        ] {
            assert_eq!(forward(&dialled, || panic!("looked up")), None);
            assert_eq!(
                backward(&dialled, RESOLVER_PORT, || panic!("looked up")),
                None
            );
        }
    }

    #[test]
    fn other_namespaces_are_left_alone() {
        assert_eq!(forward(&Peer::STUB, || None), None);
        let real = Peer::of(&RESOLVER);
        assert_eq!(backward(&real, RESOLVER_PORT, || None), None);
    }

    #[test]
    fn another_server_on_the_resolvers_port_keeps_its_name() {
        let other = peer([192, 0, 2, 1], RESOLVER_PORT);
        assert_eq!(backward(&other, RESOLVER_PORT, || Some(RESOLVER)), None);
    }

    /// `::7f00:b` and the like share the last octets with 127.0.0.11 but are other addresses.
    #[test]
    fn only_the_mapped_form_is_the_stub() {
        let mut octets = [0; 16];
        octets[12..].copy_from_slice(&[127, 0, 0, 11]);
        let dialled = Peer {
            address: Addr::v6(octets),
            ..Peer::STUB
        };
        assert_eq!(forward(&dialled, || panic!("looked up")), None);
    }
}
