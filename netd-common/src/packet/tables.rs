//! What a decision may ask: the maps, the host's routes, time and chance. Two implementations:
//! the maps in BPF, plain collections on the host (which count look-ups).

use crate::{
    Addr,
    abi::{
        endpoint::{Endpoint, EndpointKey, Subnet},
        flow::{Flow, FlowKey},
        fragment::{FragmentKey, Fragments},
        host::{Config, HostAddress, Uplink},
        link::{LinkKey, OpenPorts},
        port::Port,
    },
    packet::view::View,
};

/// A packet as a flow's half records it. [`Seen::NOTHING`] only looks: it records nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Octets from the IP header on.
    pub bytes: u64,
    /// TCP flags, 0 for other protocols.
    pub tcp_flags: u8,
}

impl Seen {
    /// No packet: a look at the table.
    pub const NOTHING: Seen = Seen {
        bytes: 0,
        tcp_flags: 0,
    };
}

/// What the host's routing says of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Leaves through this interface.
    Via {
        /// Outgoing interface.
        ifindex: u32,
        /// The next hop's address (the destination itself where it is on link).
        next_hop: Addr,
        /// Its MAC is known, as far as the kernel says: the packet need not wait.
        resolved: bool,
    },
    /// A blackhole, unreachable or prohibit route.
    Prohibited,
    /// No route, or the destination is the host's own.
    None,
}

/// Why an insert did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertError {
    /// Somebody has that key.
    Exists,
    /// The table is full or has no memory.
    Full,
}

/// Look-ups, and the few writes a decision needs. What is large is copied into the caller's
/// memory; then the answer says whether there was something, and the memory is untouched if not.
pub trait Tables {
    /// The endpoint behind a host-side interface (`INTERFACES`).
    fn interface(&mut self, ifindex: u32, into: &mut Endpoint) -> bool;
    /// The endpoint with an address (`ENDPOINTS`).
    fn endpoint(&mut self, key: &EndpointKey, into: &mut Endpoint) -> bool;
    /// The network an address belongs to (`SUBNETS`).
    fn subnet(&mut self, address: &Addr) -> Option<Subnet>;
    /// Whether an address is the host's (`HOST_ADDRESSES`).
    fn host_address(&mut self, address: &Addr) -> Option<HostAddress>;
    /// The uplink with this ifindex (`UPLINKS`).
    fn uplink(&mut self, ifindex: u32, into: &mut Uplink) -> bool;
    /// The published port of exactly this host address or wildcard (`PORTS`); port in network order.
    fn port(&mut self, protocol: u8, address: &Addr, port: [u8; 2], into: &mut Port) -> bool;
    /// What may pass between two endpoints of a network that keeps them apart (`LINKS`).
    fn link(&mut self, key: &LinkKey, into: &mut OpenPorts) -> bool;
    /// Whether a container's port is published, so open to who may dial it directly (`PORTS`).
    fn open_port(&mut self, protocol: u8, address: &Addr, port: [u8; 2]) -> bool;
    /// Whether an interface may dial open ports of a network's endpoints directly (`TRUSTED`).
    fn trusts(&mut self, network: u32, ifindex: u32) -> bool;
    /// The agent's settings (`CONFIG`).
    fn config(&mut self) -> Config;

    /// The established half with this key (`FLOWS`), after recording `seen` in it.
    fn flow(&mut self, key: &FlowKey, seen: &Seen, into: &mut Flow) -> bool;
    /// The same in `NEW_FLOWS`.
    fn new_flow(&mut self, key: &FlowKey, seen: &Seen, into: &mut Flow) -> bool;
    /// Inserts a half into `NEW_FLOWS` unless the key is there.
    fn insert_new_flow(&mut self, key: &FlowKey, flow: &Flow) -> Result<(), InsertError>;
    /// Inserts a half into `FLOWS` unless the key is there.
    fn insert_flow(&mut self, key: &FlowKey, flow: &Flow) -> Result<(), InsertError>;
    /// Removes a half from `NEW_FLOWS`; nothing there is success.
    fn remove_new_flow(&mut self, key: &FlowKey);
    /// Removes a half from `FLOWS`; whether there was one.
    fn remove_flow(&mut self, key: &FlowKey) -> bool;
    /// Halves of an endpoint in `FLOWS`, as far as they were counted.
    fn established(&mut self, endpoint: u32) -> u64;
    /// Counts halves of an endpoint that came into `FLOWS`, or left it.
    fn count_established(&mut self, endpoint: u32, change: i64);

    /// What is known of a datagram in fragments (`FRAGMENTS`).
    fn fragments(&mut self, key: &FragmentKey, into: &mut Fragments) -> bool;
    /// Puts that, over what is there.
    fn put_fragments(&mut self, key: &FragmentKey, value: &Fragments);
    /// Puts that unless the key is there; whether it was not.
    fn add_fragments(&mut self, key: &FragmentKey, value: &Fragments) -> bool;

    /// Whether a socket of the host takes packets with this tuple: one that is connected so, or one
    /// that listens there (`bpf_skc_lookup_tcp`, `bpf_sk_lookup_udp`). Of no other protocol.
    fn host_uses(&mut self, key: &FlowKey) -> bool;

    /// The host's route for a packet, as if it came in by `ifindex` from `source`
    /// (`bpf_fib_lookup`): rules of the host may ask for addresses, protocol, ports and traffic
    /// class. Size plays no part: see [`Tables::too_big`].
    fn route(&mut self, ifindex: u32, source: &Addr, view: &View) -> Route;
    /// What the host itself would send from by that route: the route's preferred source, else the
    /// address of the interface that fits; [`Addr::NONE`] where the kernel cannot tell.
    fn preferred_source(&mut self, ifindex: u32, view: &View) -> Addr;
    /// Whether the packet (each segment of a GSO packet) is larger than `ifindex` takes
    /// (`bpf_check_mtu` with BPF_MTU_CHK_SEGS).
    fn too_big(&mut self, ifindex: u32) -> bool;
    /// The same where `ifindex` has no Ethernet header, which the packet at hand has and the kernel
    /// would count; `length` as [`super::view::Ip::length`].
    fn too_big_headerless(&mut self, ifindex: u32, length: u32) -> bool;
    /// The MTU of `ifindex` in octets.
    fn mtu(&mut self, ifindex: u32) -> u32;
    /// Whether one more ICMP error may be made now ([`super::icmp_error::Budget`]).
    fn may_complain(&mut self) -> bool;

    /// Nanoseconds of CLOCK_MONOTONIC.
    fn now(&mut self) -> u64;
    /// 32 random bits.
    fn random(&mut self) -> u32;
}
