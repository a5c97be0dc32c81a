//! [`Sockets`] over a socket address hook and the maps. Copies out at once and decides nothing.

use aya_ebpf::{
    EbpfContext as _,
    btf_maps::lpm_trie::Key,
    helpers::{bpf_get_netns_cookie, bpf_get_socket_cookie},
    programs::SockAddrContext,
};
use netd_common::{
    Addr,
    abi::{
        port::{PORT_PREFIX_BITS, Port, PortKey, purpose},
        socket::{Dialled, DialledKey},
    },
    packet::{dial::Sockets, dns::stub::Peer},
};

use crate::maps::{CONFIG, DIALLED, HOST_ADDRESSES, PORTS};

/// Replace or create (`linux/bpf.h`).
const ANY: u64 = 0;

/// A socket in a hook of IPv4, or of IPv6. (The verifier wants each field of the socket read at a
/// constant offset, so the two are different programs.)
pub struct Socket<'a, const V6: bool> {
    /// aya's view of it.
    pub ctx: &'a SockAddrContext,
}

impl<const V6: bool> Sockets for Socket<'_, V6> {
    fn is_of_host(&mut self) -> bool {
        // SAFETY: the helper takes the context of a socket address hook.
        let cookie = unsafe { bpf_get_netns_cookie(self.ctx.as_ptr()) };
        CONFIG
            .get(0)
            .is_some_and(|config| config.host_cookie == cookie)
    }

    fn bound_to(&mut self) -> Addr {
        // SAFETY: the kernel passes a valid context, whose socket is always there.
        let socket =
            unsafe { (&raw const (*self.ctx.sock_addr).__bindgen_anon_1.sk).read_volatile() };
        if !V6 {
            // SAFETY: `src_ip4` may be read of any socket.
            let address = unsafe { (&raw const (*socket).src_ip4).read_volatile() };
            return Addr::v4(address.to_ne_bytes());
        }
        let mut octets = [0; 16];
        let (words, _) = octets.as_chunks_mut::<4>();
        for (i, word) in words.iter_mut().enumerate() {
            // SAFETY: each of the four words of `src_ip6` may be read of any socket.
            let value = unsafe { (&raw const (*socket).src_ip6[i]).read_volatile() };
            *word = value.to_ne_bytes();
        }
        Addr(octets)
    }

    fn port(&mut self, address: &Addr, port: [u8; 2]) -> Option<Port> {
        // SAFETY: the kernel passes a valid context; `protocol` may be read as 32 bits.
        let protocol = unsafe { (&raw const (*self.ctx.sock_addr).protocol).read_volatile() };
        let key = PortKey {
            protocol: protocol as u8,
            purpose: purpose::LEADS,
            address: *address,
            port,
        };
        PORTS.get(&Key::new(PORT_PREFIX_BITS, key)).copied()
    }

    fn is_host_address(&mut self, address: &Addr) -> bool {
        HOST_ADDRESSES.get_ptr(address).is_some()
    }

    fn remember(&mut self, real: &Peer, dialled: &Peer) {
        let value = Dialled {
            address: dialled.address,
            port: dialled.port,
            reserved: [0; 2],
        };
        // Without a note the far end shows as the container's; the connection works all the same.
        let _ = DIALLED.insert(self.key(real), value, ANY);
    }

    fn recall(&mut self, real: &Peer) -> Option<Peer> {
        // SAFETY: copied out at once.
        let Dialled { address, port, .. } = unsafe { DIALLED.get(self.key(real)) }.copied()?;
        Some(Peer { address, port })
    }
}

impl<const V6: bool> Socket<'_, V6> {
    fn key(&self, real: &Peer) -> DialledKey {
        DialledKey {
            // SAFETY: the helper takes the context of a socket address hook.
            socket: unsafe { bpf_get_socket_cookie(self.ctx.as_ptr()) },
            address: real.address,
            port: real.port,
            reserved: [0; 6],
        }
    }
}
