//! What containers were made on a host: networks and published ports in the order in which they came.
//! Rule sets are functions of it.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// A host's networks and published ports, oldest first.
#[derive(Clone, Debug)]
pub struct History {
    /// Whether the userland proxy (docker-proxy) serves what rules do not.
    pub proxy: bool,
    /// Whether the policy of FORWARD is DROP: Docker sets that where it had to switch forwarding on.
    pub forward_drop: bool,
    /// Bridge networks, the default one first.
    pub networks: Vec<Network>,
    /// Published ports of running containers.
    pub ports: Vec<Port>,
}

/// A bridge network.
#[derive(Clone, Debug)]
pub struct Network {
    /// Its bridge's name.
    pub bridge: String,
    /// Its addresses.
    pub subnet: Ipv4Net,
}

/// A published port.
#[derive(Clone, Debug)]
pub struct Port {
    /// Position of the container's network in [`History::networks`].
    pub network: usize,
    /// Transport protocol.
    pub protocol: Protocol,
    /// The host's address that it is published at; every one if `None`.
    pub host: Option<Ipv4Addr>,
    /// The host's port, native byte order.
    pub host_port: u16,
    /// The container's address.
    pub container: Ipv4Addr,
    /// The container's port, native byte order.
    pub container_port: u16,
}

/// A transport protocol that ports are published for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// As rules name it.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}

impl History {
    /// The bridge of a port's network.
    ///
    /// # Panics
    /// If the port names a network that is not there.
    pub(super) fn bridge(&self, port: &Port) -> &str {
        &self.networks[port.network].bridge
    }
}
