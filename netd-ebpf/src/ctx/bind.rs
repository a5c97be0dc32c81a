//! [`Binder`] over a bind hook (`struct bpf_sock`) and the maps. Decides nothing.

use aya_ebpf::{
    EbpfContext as _,
    btf_maps::lpm_trie::Key,
    helpers::{bpf_get_netns_cookie, bpf_set_retval},
    programs::SockContext,
};
use netd_common::{
    Addr,
    abi::port::{PORT_PREFIX_BITS, PortKey, purpose},
    packet::{dns::stub::Peer, hold::Binder},
};

use crate::maps::{CONFIG, PORTS};

/// A socket that is being bound.
pub struct Bound<'a> {
    /// aya's view of it.
    pub ctx: &'a SockContext,
}

impl Binder for Bound<'_> {
    fn is_of_host(&mut self) -> bool {
        // SAFETY: the helper takes the context of a bind hook.
        let cookie = unsafe { bpf_get_netns_cookie(self.ctx.as_ptr()) };
        CONFIG
            .get(0)
            .is_some_and(|config| config.host_cookie == cookie)
    }

    fn is_published(&mut self, address: &Addr, port: [u8; 2]) -> bool {
        self.find(purpose::LEADS, address, port)
    }

    fn is_published_somewhere(&mut self, wildcard: &Addr, port: [u8; 2]) -> bool {
        self.find(purpose::SOMEWHERE, wildcard, port)
    }
}

impl Bound<'_> {
    fn find(&self, purpose: u8, address: &Addr, port: [u8; 2]) -> bool {
        // SAFETY: the kernel passes a valid context; `protocol` may be read as 32 bits.
        let protocol = unsafe { (&raw const (*self.ctx.sock).protocol).read_volatile() };
        let key = PortKey {
            protocol: protocol as u8,
            purpose,
            address: *address,
            port,
        };
        PORTS.get(&Key::new(PORT_PREFIX_BITS, key)).is_some()
    }

    /// What it is bound to, in a hook of IPv4.
    pub fn address_v4(&self) -> Peer {
        // SAFETY: the kernel passes a valid context; `src_ip4` may be read in hooks of IPv4.
        let address = unsafe { (&raw const (*self.ctx.sock).src_ip4).read_volatile() };
        Peer {
            address: Addr::v4(address.to_ne_bytes()),
            port: self.port(),
        }
    }

    /// What it is bound to, in a hook of IPv6.
    pub fn address_v6(&self) -> Peer {
        let mut octets = [0; 16];
        let (words, _) = octets.as_chunks_mut::<4>();
        for (i, word) in words.iter_mut().enumerate() {
            // SAFETY: the kernel passes a valid context; each of the four words of `src_ip6` may
            // be read in hooks of IPv6.
            let value = unsafe { (&raw const (*self.ctx.sock).src_ip6[i]).read_volatile() };
            *word = value.to_ne_bytes();
        }
        Peer {
            address: Addr(octets),
            port: self.port(),
        }
    }

    fn port(&self) -> [u8; 2] {
        // SAFETY: the kernel passes a valid context; `src_port` may be read, in native order.
        let port = unsafe { (&raw const (*self.ctx.sock).src_port).read_volatile() };
        (port as u16).to_be_bytes()
    }

    /// What `bind` fails with, where the program refuses.
    pub fn set_error(&self, error: i32) {
        // SAFETY: the helper notes a number. Where the kernel does not take it, bind fails with EPERM.
        let _ = unsafe { bpf_set_retval(error) };
    }
}
