//! Published ports are held without a socket each: a process of the host that binds to one is told
//! that the address is in use.

use super::{dns::stub::Peer, published::wildcard};
use crate::Addr;

/// What is asked of a socket and of the maps. Two implementations: the bind hooks, and plain
/// collections in tests.
pub trait Binder {
    /// Whether the socket is in the host's network namespace.
    fn is_of_host(&mut self) -> bool;
    /// Whether a port is published at exactly this host address or wildcard; network order.
    fn is_published(&mut self, address: &Addr, port: [u8; 2]) -> bool;
    /// Whether a port is published at some address of this wildcard's family.
    fn is_published_somewhere(&mut self, wildcard: &Addr, port: [u8; 2]) -> bool;
}

/// Whether a socket may not have `bound`, where it is bound already: somebody published that port
/// there, or everywhere, or the socket would have it everywhere. The wildcard of IPv6 stands for
/// both families (whether the socket is for IPv6 alone, the hook does not tell).
pub fn is_held<B: Binder>(bound: &Peer, binder: &mut B) -> bool {
    if !binder.is_of_host() {
        return false;
    }
    let Peer { address, port } = *bound;
    if address.is_unspecified() {
        return is_held_somewhere(&address, port, binder)
            || (!address.is_v4() && is_held_somewhere(&Addr::ANY_V4, port, binder));
    }
    binder.is_published(&address, port) || binder.is_published(&wildcard(address.is_v4()), port)
}

fn is_held_somewhere<B: Binder>(wildcard: &Addr, port: [u8; 2], binder: &mut B) -> bool {
    binder.is_published(wildcard, port) || binder.is_published_somewhere(wildcard, port)
}

#[cfg(test)]
mod tests {
    use super::{Binder, Peer, is_held, wildcard};
    use crate::Addr;

    const ONE: Addr = Addr::v4([198, 18, 0, 2]);
    const OTHER: Addr = Addr::v4([198, 18, 0, 3]);
    const SIX: Addr = Addr([0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);

    /// Port 80 is published at one address.
    struct Host(Addr);

    impl Binder for Host {
        fn is_of_host(&mut self) -> bool {
            true
        }
        fn is_published(&mut self, address: &Addr, port: [u8; 2]) -> bool {
            self.0 == *address && port == [0, 80]
        }
        fn is_published_somewhere(&mut self, any: &Addr, port: [u8; 2]) -> bool {
            !self.0.is_unspecified() && wildcard(self.0.is_v4()) == *any && port == [0, 80]
        }
    }

    #[test]
    fn who_would_hear_the_port_may_not_have_it() {
        for (published, bound, held) in [
            (Addr::ANY_V4, Addr::ANY_V4, true),
            (Addr::ANY_V4, ONE, true),
            (Addr::ANY_V4, Addr::LOCALHOST_V4, true),
            (Addr::ANY_V4, Addr::NONE, true),
            (Addr::ANY_V4, SIX, false),
            (Addr::NONE, SIX, true),
            (Addr::NONE, Addr::NONE, true),
            (Addr::NONE, Addr::ANY_V4, false),
            (ONE, ONE, true),
            (ONE, OTHER, false),
            (ONE, Addr::ANY_V4, true),
            (ONE, Addr::NONE, true),
            (SIX, Addr::NONE, true),
            (SIX, Addr::ANY_V4, false),
        ] {
            let peer = |port| Peer {
                address: bound,
                port,
            };
            let mut host = Host(published);
            assert_eq!(
                is_held(&peer([0, 80]), &mut host),
                held,
                "{published:?} {bound:?}"
            );
            assert!(!is_held(&peer([0, 81]), &mut host));
        }
    }

    #[test]
    fn other_namespaces_bind_what_they_like() {
        struct Foreign;
        impl Binder for Foreign {
            fn is_of_host(&mut self) -> bool {
                false
            }
            fn is_published(&mut self, _: &Addr, _: [u8; 2]) -> bool {
                true
            }
            fn is_published_somewhere(&mut self, _: &Addr, _: [u8; 2]) -> bool {
                true
            }
        }
        let bound = Peer {
            address: Addr::ANY_V4,
            port: [0, 80],
        };
        assert!(!is_held(&bound, &mut Foreign));
    }
}
