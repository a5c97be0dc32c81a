//! [`Tables`] over the maps and the kernel's routes. Copies out at once and decides nothing.

use aya_ebpf::{
    bindings::{
        BPF_FIB_LKUP_RET_BLACKHOLE, BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_PROHIBIT,
        BPF_FIB_LKUP_RET_SUCCESS, BPF_FIB_LKUP_RET_UNREACHABLE, BPF_NOEXIST, bpf_check_mtu_flags,
        bpf_fib_lookup, bpf_fib_lookup__bindgen_ty_1, bpf_fib_lookup__bindgen_ty_2,
        bpf_fib_lookup__bindgen_ty_3, bpf_fib_lookup__bindgen_ty_4, bpf_fib_lookup__bindgen_ty_5,
    },
    btf_maps::lpm_trie::Key,
    helpers::{
        bpf_check_mtu, bpf_fib_lookup as fib_lookup, bpf_get_prandom_u32, bpf_ktime_get_coarse_ns,
    },
};
use netd_common::{
    Addr,
    abi::{
        endpoint::{Endpoint, EndpointKey, Subnet},
        flow::{Flow, FlowKey},
        host::{Config, HostAddress, Uplink},
        link::{LinkKey, OpenPorts},
        port::{PORT_PREFIX_BITS, Port, PortKey, purpose},
    },
    packet::{
        Tables,
        tables::{InsertError, Route, Seen},
    },
};

use crate::{
    ctx::{
        quote,
        skb::{AF_INET, AF_INET6, Skb, words},
    },
    maps::{
        CONFIG, ENDPOINTS, FLOWS, HOST_ADDRESSES, INTERFACES, LINKS, NEW_FLOWS, PORTS, SUBNETS,
        UPLINKS,
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

    fn remove_flow(&mut self, key: &FlowKey) {
        // That nothing is there is success.
        let _ = FLOWS.remove(key);
    }

    fn route(&mut self, ifindex: u32, source: &Addr, destination: &Addr, protocol: u8) -> Route {
        route(self.skb, ifindex, source, destination, protocol)
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
            (*flow).tcp_flags |= u32::from(seen.tcp_flags);
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

/// Asks as if the packet came from the bridge: with the veth's or the uplink's index the kernel
/// says that forwarding is disabled there.
fn route(skb: &Skb<'_>, bridge: u32, source: &Addr, destination: &Addr, protocol: u8) -> Route {
    let (source, destination, family) = if destination.is_v4() {
        let word = |address: &Addr| [u32::from_ne_bytes(address.octets_v4()), 0, 0, 0];
        (word(source), word(destination), AF_INET)
    } else {
        (words(&source.0), words(&destination.0), AF_INET6)
    };
    let mut params = bpf_fib_lookup {
        family,
        l4_protocol: protocol,
        sport: 0,
        dport: 0,
        __bindgen_anon_1: bpf_fib_lookup__bindgen_ty_1 { tot_len: 0 },
        ifindex: bridge,
        __bindgen_anon_2: bpf_fib_lookup__bindgen_ty_2 { flowinfo: 0 },
        __bindgen_anon_3: bpf_fib_lookup__bindgen_ty_3 { ipv6_src: source },
        __bindgen_anon_4: bpf_fib_lookup__bindgen_ty_4 {
            ipv6_dst: destination,
        },
        __bindgen_anon_5: bpf_fib_lookup__bindgen_ty_5 { tbid: 0 },
        smac: [0; 6],
        dmac: [0; 6],
    };
    // SAFETY: the context is the program's own; the kernel reads and writes our structure.
    let result = unsafe {
        fib_lookup(
            skb.ctx.skb.skb.cast(),
            &raw mut params,
            size_of::<bpf_fib_lookup>() as i32,
            0,
        )
    };
    match u32::try_from(result) {
        Ok(BPF_FIB_LKUP_RET_SUCCESS | BPF_FIB_LKUP_RET_NO_NEIGH) => {
            // SAFETY: every bit pattern is a valid address; the gateway's where there is one, in
            // whose family `family` now is (IPv4 may go by an IPv6 gateway).
            let next_hop = unsafe { params.__bindgen_anon_4.ipv6_dst };
            Route::Via {
                ifindex: params.ifindex,
                next_hop: address(params.family, &next_hop),
            }
        }
        Ok(
            BPF_FIB_LKUP_RET_BLACKHOLE | BPF_FIB_LKUP_RET_UNREACHABLE | BPF_FIB_LKUP_RET_PROHIBIT,
        ) => Route::Prohibited,
        _ => Route::None,
    }
}

fn address(family: u8, [a, b, c, d]: &[u32; 4]) -> Addr {
    if family == AF_INET {
        return Addr::v4(a.to_ne_bytes());
    }
    let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (a.to_ne_bytes(), b.to_ne_bytes());
    let ([c0, c1, c2, c3], [d0, d1, d2, d3]) = (c.to_ne_bytes(), d.to_ne_bytes());
    Addr::v6([
        a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3,
    ])
}
