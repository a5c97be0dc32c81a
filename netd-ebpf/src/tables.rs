//! [`Tables`] over the maps and the kernel's routes. Copies out at once and decides nothing.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST, bpf_check_mtu_flags},
    btf_maps::lpm_trie::Key,
    helpers::{bpf_check_mtu, bpf_get_prandom_u32, bpf_ktime_get_coarse_ns},
};
use netd_common::{
    Addr,
    abi::{
        endpoint::{Endpoint, EndpointKey, Subnet, TrustedKey},
        flow::{Flow, FlowKey},
        fragment::{FragmentKey, Fragments},
        host::{Config, HostAddress, Uplink},
        link::{LinkKey, OpenPorts},
        port::{PORT_PREFIX_BITS, Port, PortKey, purpose},
    },
    packet::{
        Tables,
        tables::{InsertError, Route, Seen},
        view::View,
    },
};

use crate::{
    ctx::{counter, fib, quote, skb::Skb, sockets},
    maps::{
        CONFIG, ENDPOINTS, FLOW_COUNTS, FLOWS, FLOWS_COLLECTED, FRAGMENTS, HOST_ADDRESSES,
        INTERFACES, LINKS, NEW_FLOWS, PORTS, SUBNETS, TRUSTED, UPLINKS,
    },
};

/// EEXIST, as helpers return it.
const EEXIST: i32 = -17;
/// Bits of an address as LPM key.
const ADDRESS_BITS: u32 = 128;

/// The maps, for one packet.
pub struct Maps<'a> {
    /// The packet, which the helpers for routes and sizes want.
    pub skb: &'a Skb<'a>,
}

impl Tables for Maps<'_> {
    fn interface(&mut self, ifindex: u32, into: &mut Endpoint) -> bool {
        copy(INTERFACES.get_ptr(ifindex), into)
    }

    fn endpoint(&mut self, key: &EndpointKey, into: &mut Endpoint) -> bool {
        copy(ENDPOINTS.get_ptr(key), into)
    }

    fn subnet(&mut self, address: &Addr) -> Option<Subnet> {
        SUBNETS.get(&Key::new(ADDRESS_BITS, *address)).copied()
    }

    fn host_address(&mut self, address: &Addr) -> Option<HostAddress> {
        // SAFETY: copied out at once.
        unsafe { HOST_ADDRESSES.get(address).copied() }
    }

    fn uplink(&mut self, ifindex: u32, into: &mut Uplink) -> bool {
        copy(UPLINKS.get_ptr(ifindex), into)
    }

    fn port(&mut self, protocol: u8, address: &Addr, port: [u8; 2], into: &mut Port) -> bool {
        let key = PortKey {
            protocol,
            purpose: purpose::LEADS,
            address: *address,
            port,
        };
        let found = PORTS.get(&Key::new(PORT_PREFIX_BITS, key));
        copy(found.map(core::ptr::from_ref), into)
    }

    fn link(&mut self, key: &LinkKey, into: &mut OpenPorts) -> bool {
        copy(LINKS.get_ptr(key), into)
    }

    fn open_port(&mut self, protocol: u8, address: &Addr, port: [u8; 2]) -> bool {
        let key = PortKey {
            protocol,
            purpose: purpose::OPEN,
            address: *address,
            port,
        };
        PORTS.get(&Key::new(PORT_PREFIX_BITS, key)).is_some()
    }

    fn trusts(&mut self, network: u32, ifindex: u32) -> bool {
        TRUSTED.get_ptr(TrustedKey { network, ifindex }).is_some()
    }

    fn config(&mut self) -> Config {
        CONFIG.get(0).copied().unwrap_or_default()
    }

    fn flow(&mut self, key: &FlowKey, seen: &Seen, into: &mut Flow) -> bool {
        record(FLOWS.get_ptr_mut(key), seen, into)
    }

    fn new_flow(&mut self, key: &FlowKey, seen: &Seen, into: &mut Flow) -> bool {
        record(NEW_FLOWS.get_ptr_mut(key), seen, into)
    }

    fn insert_new_flow(&mut self, key: &FlowKey, flow: &Flow) -> Result<(), InsertError> {
        NEW_FLOWS
            .insert(key, flow, BPF_NOEXIST.into())
            .map_err(insert_error)
    }

    fn insert_flow(&mut self, key: &FlowKey, flow: &Flow) -> Result<(), InsertError> {
        FLOWS
            .insert(key, flow, BPF_NOEXIST.into())
            .map_err(insert_error)
    }

    fn remove_new_flow(&mut self, key: &FlowKey) {
        // That nothing is there is success.
        let _ = NEW_FLOWS.remove(key);
    }

    fn remove_flow(&mut self, key: &FlowKey) -> bool {
        FLOWS.remove(key).is_ok()
    }

    fn fragments(&mut self, key: &FragmentKey, into: &mut Fragments) -> bool {
        copy(FRAGMENTS.get_ptr(key), into)
    }

    fn put_fragments(&mut self, key: &FragmentKey, value: &Fragments) {
        // Without memory for it later fragments wait in vain: counted when their time runs out.
        let _ = FRAGMENTS.insert(key, value, BPF_ANY.into());
    }

    fn add_fragments(&mut self, key: &FragmentKey, value: &Fragments) -> bool {
        FRAGMENTS.insert(key, value, BPF_NOEXIST.into()).is_ok()
    }

    fn established(&mut self, endpoint: u32) -> u64 {
        // SAFETY: copied out at once; an aligned word is read in one piece.
        let [counted, collected] = unsafe {
            [FLOW_COUNTS.get(endpoint), FLOWS_COLLECTED.get(endpoint)]
                .map(|count| count.copied().unwrap_or(0))
        };
        let left = counted.wrapping_sub(collected);
        // Below zero where the agent has told of more than the programs yet.
        if left.cast_signed() < 0 { 0 } else { left }
    }

    fn count_established(&mut self, endpoint: u32, change: i64) {
        if FLOW_COUNTS.get_ptr_mut(endpoint).is_none() {
            // Another CPU may be faster. What is not counted is not limited.
            let _ = FLOW_COUNTS.insert(endpoint, 0, BPF_NOEXIST.into());
        }
        counter::add(FLOW_COUNTS.get_ptr_mut(endpoint), change);
    }

    fn host_uses(&mut self, key: &FlowKey) -> bool {
        sockets::takes(self.skb, key)
    }

    fn route(&mut self, ifindex: u32, source: &Addr, view: &View) -> Route {
        fib::route(self.skb, ifindex, source, view)
    }

    fn preferred_source(&mut self, ifindex: u32, view: &View) -> Addr {
        fib::preferred_source(self.skb, ifindex, view)
    }

    fn too_big(&mut self, ifindex: u32) -> bool {
        // 0: the packet's own length counts.
        let mut mtu = 0;
        // SAFETY: the context is the program's own; the kernel writes the MTU to our variable.
        let result = unsafe {
            bpf_check_mtu(
                self.skb.ctx.skb.skb.cast(),
                ifindex,
                &raw mut mtu,
                0,
                bpf_check_mtu_flags::BPF_MTU_CHK_SEGS.into(),
            )
        };
        result > 0
    }

    fn too_big_headerless(&mut self, ifindex: u32, length: u32) -> bool {
        // Of a super-packet each segment counts, as network headers say.
        if self.skb.is_gso() {
            return self.too_big(ifindex);
        }
        length > self.mtu(ifindex)
    }

    fn mtu(&mut self, ifindex: u32) -> u32 {
        let mut mtu = 0;
        // SAFETY: as in `too_big`. Whatever the answer about the packet, the MTU is written where
        // there is such an interface.
        unsafe { bpf_check_mtu(self.skb.ctx.skb.skb.cast(), ifindex, &raw mut mtu, 0, 0) };
        mtu
    }

    fn may_complain(&mut self) -> bool {
        quote::may_complain()
    }

    // As of the last tick: timeouts are seconds, and reading the clock itself costs 20 ns.
    fn now(&mut self) -> u64 {
        // SAFETY: the helper has no argument and cannot fail.
        unsafe { bpf_ktime_get_coarse_ns() }
    }

    fn random(&mut self) -> u32 {
        // SAFETY: the helper has no argument and cannot fail.
        unsafe { bpf_get_prandom_u32() }
    }
}

/// Copies out what a look-up found, if it found something.
fn copy<T: Copy>(found: Option<*const T>, into: &mut T) -> bool {
    let Some(found) = found else {
        return false;
    };
    // SAFETY: the pointer comes from a look-up, so the memory stays an entry of the map until the
    // program has ended, and any bytes are a valid value of the maps' types.
    *into = unsafe { *found };
    true
}

/// Adds a packet to a half, and copies it out.
fn record(flow: Option<*mut Flow>, seen: &Seen, into: &mut Flow) -> bool {
    let Some(flow) = flow else {
        return false;
    };
    // SAFETY: as in `copy`. Two CPUs that have packets of one half at once may lose a count or
    // a TCP flag: the target has no atomic operations, and a timeout sees to it.
    unsafe {
        if seen.bytes != 0 {
            (*flow).packets = (*flow).packets.wrapping_add(1);
            (*flow).bytes = (*flow).bytes.wrapping_add(seen.bytes);
            (*flow).tcp_flags |= u16::from(seen.tcp_flags);
            (*flow).last_seen = bpf_ktime_get_coarse_ns();
        }
        *into = *flow;
    }
    true
}

fn insert_error(error: i32) -> InsertError {
    if error == EEXIST {
        InsertError::Exists
    } else {
        InsertError::Full
    }
}
