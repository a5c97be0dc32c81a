//! A host with two networks, an uplink and a published port, for tests.

use alloc::vec::Vec;

use super::{Frame, Lot, Memory, Payload, apply, turn_back};
use crate::{
    Addr,
    abi::{
        endpoint::{Endpoint, EndpointKey, Subnet, flags},
        host::{Config, HostAddress, Uplink},
        port::{PORT_PREFIX_BITS, Port, PortKey, purpose},
    },
    packet::{
        Verdict, Work, fragment::parking, from_endpoint, from_uplink, icmp_error, to_endpoint,
        to_uplink, view::protocol,
    },
};

/// Who is who in the [`Scene`]. Each has an IPv4 and an IPv6 address, in this order.
pub mod names {
    use crate::Addr;

    /// Endpoint 11 of network 1, at interface 111.
    pub const WEB: [Addr; 2] = [Addr::v4([172, 18, 0, 2]), v6(1, 2)];
    /// Endpoint 12 of network 1, at interface 112.
    pub const CLIENT: [Addr; 2] = [Addr::v4([172, 18, 0, 3]), v6(1, 3)];
    /// Endpoint 21 of network 2, at interface 121.
    pub const STRANGER: [Addr; 2] = [Addr::v4([172, 19, 0, 2]), v6(2, 2)];
    /// The gateway of network 1.
    pub const GATEWAY: [Addr; 2] = [Addr::v4([172, 18, 0, 1]), v6(1, 1)];
    /// The gateway of network 2.
    pub const OTHER_GATEWAY: [Addr; 2] = [Addr::v4([172, 19, 0, 1]), v6(2, 1)];
    /// The host at its uplink, interface 50.
    pub const HOST: [Addr; 2] = [Addr::v4([198, 18, 0, 2]), v6(0x18, 2)];
    /// Somebody outside.
    pub const OUTSIDE: [Addr; 2] = [Addr::v4([203, 0, 113, 9]), v6(0x71, 9)];
    /// Somebody else outside.
    pub const OUTSIDE_TOO: [Addr; 2] = [Addr::v4([203, 0, 113, 10]), v6(0x71, 10)];

    /// MACs of interfaces in the scene end with their number.
    pub const fn mac(interface: u8) -> [u8; 6] {
        [2, 0x42, 0, 0, 0, interface]
    }

    /// The published port, which leads to port 80 of [`WEB`].
    pub const PORT: u16 = 8080;
    /// Interface and MAC number of [`WEB`].
    pub const AT_WEB: u8 = 111;
    /// Of [`CLIENT`].
    pub const AT_CLIENT: u8 = 112;
    /// Of [`STRANGER`].
    pub const AT_STRANGER: u8 = 121;
    /// Of the uplink.
    pub const UPLINK: u8 = 50;
    /// Of the resolver.
    pub const RESOLVER: u8 = 99;
    /// Of network 1's bridge.
    pub const BRIDGE: u8 = 101;
    /// Of network 2's bridge.
    pub const OTHER_BRIDGE: u8 = 102;

    const fn v6(network: u8, host: u8) -> Addr {
        Addr::v6([
            0x20, 1, 0x0d, 0xb8, 0, network, 0, 0, 0, 0, 0, 0, 0, 0, 0, host,
        ])
    }
}

/// Tables and working memory: a host to send packets through.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The tables.
    pub memory: Memory,
    /// The working memory, with the last decision's outcome.
    pub work: Work,
    /// Fragments that wait, and what comes in once more.
    pub lot: Lot,
}

impl Default for Scene {
    fn default() -> Scene {
        Scene::new()
    }
}

impl Scene {
    /// Everybody up, ICC and masquerade on, [`names::PORT`] published for TCP and UDP by
    /// [`names::WEB`] at all addresses of the host.
    pub fn new() -> Scene {
        let mut scene = Scene {
            memory: Memory::default(),
            work: Work::default(),
            lot: Lot::default(),
        };
        let memory = &mut scene.memory;
        memory.config = Config {
            ports: [[1024, 32767], [61000, 65535]],
            resolver_ifindex: names::RESOLVER.into(),
            resolver_mac: names::mac(names::RESOLVER),
            epoch: 7,
            host_cookie: 0,
            ..Config::default()
        };
        memory.uplinks.insert(
            names::UPLINK.into(),
            Uplink {
                addresses: names::HOST,
                mtu: 1500,
                flags: 0,
            },
        );
        memory.default_uplink = Some(names::UPLINK.into());
        let hosts = [
            (names::HOST, names::UPLINK, 0),
            (names::GATEWAY, names::BRIDGE, 1),
            (names::OTHER_GATEWAY, names::OTHER_BRIDGE, 2),
        ];
        for (addresses, interface, network) in hosts {
            let ifindex = interface.into();
            for address in addresses {
                let value = HostAddress { ifindex, network };
                memory.host_addresses.insert(address, value);
            }
        }
        scene.network(1, names::GATEWAY);
        scene.network(2, names::OTHER_GATEWAY);
        scene.endpoint(names::WEB, names::AT_WEB, 1, 11, flags::PUBLISHES);
        scene.endpoint(names::CLIENT, names::AT_CLIENT, 1, 12, 0);
        scene.endpoint(names::STRANGER, names::AT_STRANGER, 2, 21, 0);
        scene.resolver();
        scene.publish(names::PORT, names::PORT, 80);
        scene
    }

    fn network(&mut self, network: u32, [v4, v6]: [Addr; 2]) {
        let subnet = Subnet {
            network,
            ..Subnet::default()
        };
        self.memory.subnets.push((v4, 112, subnet));
        self.memory.subnets.push((v6, 64, subnet));
    }

    fn endpoint(
        &mut self,
        addresses: [Addr; 2],
        interface: u8,
        network: u32,
        index: u32,
        more: u32,
    ) {
        let (bridge, gateways) = if network == 1 {
            (names::BRIDGE, names::GATEWAY)
        } else {
            (names::OTHER_BRIDGE, names::OTHER_GATEWAY)
        };
        let endpoint = Endpoint {
            ifindex: interface.into(),
            network,
            index,
            generation: 1,
            sandbox: index,
            bridge: bridge.into(),
            flags: flags::UP | flags::ICC | flags::MASQUERADE | flags::RESOLVER | more,
            mtu: 1500,
            mac: names::mac(interface),
            gateway_mac: names::mac(bridge),
            addresses,
            gateways,
        };
        self.put(&endpoint);
    }

    fn resolver(&mut self) {
        let resolver = Endpoint {
            ifindex: names::RESOLVER.into(),
            flags: flags::UP | flags::IS_RESOLVER,
            mac: names::mac(names::RESOLVER),
            gateway_mac: names::mac(98),
            ..Endpoint::default()
        };
        self.memory.interfaces.insert(resolver.ifindex, resolver);
    }

    /// Enters an endpoint wherever it belongs.
    pub fn put(&mut self, endpoint: &Endpoint) {
        let memory = &mut self.memory;
        memory.interfaces.insert(endpoint.ifindex, *endpoint);
        for address in endpoint.addresses {
            let network = endpoint.network;
            if !address.is_none() {
                let key = EndpointKey { network, address };
                memory.endpoints.insert(key, *endpoint);
            }
        }
    }

    /// Changes the endpoint at an interface.
    ///
    /// # Panics
    /// If there is none.
    pub fn change(&mut self, interface: u8, change: impl FnOnce(&mut Endpoint)) {
        let mut endpoint = self.memory.interfaces[&u32::from(interface)];
        change(&mut endpoint);
        self.put(&endpoint);
    }

    /// Publishes ports `first..=last` of all addresses of the host, for TCP and UDP, to [`names::WEB`]
    /// from port `target` on: one entry each.
    pub fn publish(&mut self, first: u16, last: u16, target: u16) {
        for number in first..=last {
            for protocol in [protocol::TCP, protocol::UDP] {
                for (address, target_address) in
                    [Addr::ANY_V4, Addr::NONE].into_iter().zip(names::WEB)
                {
                    let key = PortKey {
                        protocol,
                        purpose: 0,
                        address,
                        port: number.to_be_bytes(),
                    };
                    let port = Port {
                        network: 1,
                        endpoint: 11,
                        generation: 1,
                        address: target_address,
                        first: first.to_be_bytes(),
                        target: target.to_be_bytes(),
                    };
                    self.memory.ports.push((PORT_PREFIX_BITS, key, port));
                }
            }
        }
    }

    /// Changes both subnets of a network.
    pub fn change_network(&mut self, network: u32, change: impl Fn(&mut Subnet)) {
        let subnets = self.memory.subnets.iter_mut();
        subnets
            .map(|(_, _, subnet)| subnet)
            .filter(|subnet| subnet.network == network)
            .for_each(change);
    }

    /// Opens a port of a container for TCP and UDP to who may dial it directly.
    pub fn open_port(&mut self, address: Addr, port: u16) {
        for protocol in [protocol::TCP, protocol::UDP] {
            let key = PortKey {
                protocol,
                purpose: purpose::OPEN,
                address,
                port: port.to_be_bytes(),
            };
            let entry = (PORT_PREFIX_BITS, key, Port::default());
            self.memory.ports.push(entry);
        }
    }

    /// A frame of the endpoint at `interface` to its gateway's MAC.
    pub fn frame(&self, interface: u8, source: Addr, destination: Addr, payload: Payload) -> Frame {
        let endpoint = &self.memory.interfaces[&u32::from(interface)];
        Frame {
            to: endpoint.gateway_mac,
            from: endpoint.mac,
            source,
            destination,
            hops: 64,
            payload,
        }
    }

    /// A frame from outside to the uplink's MAC.
    pub fn outside_frame(&self, source: Addr, destination: Addr, payload: Payload) -> Frame {
        Frame {
            to: names::mac(names::UPLINK),
            from: names::mac(1),
            source,
            destination,
            hops: 60,
            payload,
        }
    }

    /// What becomes of a packet of the endpoint at `interface`; the packet is then what it has
    /// become.
    pub fn from_endpoint(&mut self, interface: u8, packet: &mut Vec<u8>) -> Verdict {
        let bytes = packet.as_slice();
        let (memory, work) = (&mut self.memory, &mut self.work);
        let verdict = from_endpoint::decide(&bytes, interface.into(), memory, work);
        self.carry_out(verdict, packet)
    }

    /// The same of a packet that comes in by the uplink.
    pub fn from_uplink(&mut self, packet: &mut Vec<u8>) -> Verdict {
        let bytes = packet.as_slice();
        let (memory, work) = (&mut self.memory, &mut self.work);
        let verdict = from_uplink::decide(&bytes, names::UPLINK.into(), memory, work);
        self.carry_out(verdict, packet)
    }

    /// Does as the adapters of the hooks and of programs `icmp` and `fragments`.
    fn carry_out(&mut self, verdict: Verdict, packet: &mut Vec<u8>) -> Verdict {
        let (memory, work) = (&mut self.memory, &mut self.work);
        if verdict == Verdict::Fragment {
            self.lot.packet.clone_from(packet);
            let verdict = parking::decide(memory, &mut self.lot, work);
            packet.clone_from(&self.lot.packet);
            return verdict;
        }
        if verdict != Verdict::IcmpError {
            apply(verdict, work, packet);
            return verdict;
        }
        let verdict = icmp_error::decide(&packet.as_slice(), memory, work);
        if matches!(verdict, Verdict::Peer | Verdict::Neighbour) {
            turn_back(work, packet);
        }
        apply(verdict, work, packet);
        verdict
    }

    /// The same of a packet that the host's stack sends to the endpoint at `interface`; `forwarded`
    /// from the uplink.
    pub fn to_endpoint(&mut self, interface: u8, forwarded: bool, packet: &mut Vec<u8>) -> Verdict {
        let ingress = if forwarded { names::UPLINK } else { 0 };
        self.to_endpoint_from(ingress, interface, packet)
    }

    /// The same of a packet that came into the host by the interface `ingress`.
    pub fn to_endpoint_from(
        &mut self,
        ingress: u8,
        interface: u8,
        packet: &mut Vec<u8>,
    ) -> Verdict {
        let bytes = packet.as_slice();
        let (memory, work) = (&mut self.memory, &mut self.work);
        let verdict = to_endpoint::decide(&bytes, interface.into(), ingress.into(), memory, work);
        apply(verdict, work, packet);
        verdict
    }

    /// The same of a packet that the host's stack sends out by the uplink.
    pub fn to_uplink(&mut self, forwarded: bool, packet: &mut Vec<u8>) -> Verdict {
        let bytes = packet.as_slice();
        let (memory, work) = (&mut self.memory, &mut self.work);
        let verdict = to_uplink::decide(&bytes, forwarded, memory, work);
        apply(verdict, work, packet);
        verdict
    }
}
