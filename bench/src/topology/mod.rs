//! What every mode stands on: a host with an uplink to an outside, containers `a` and `b` on one of
//! its networks and `c` on another. Shapes, names and addresses are the same in all modes; what makes
//! the networks is not.

mod bridges;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path as FilePath,
};

use anyhow::{Context, Result};
use ipnet::Ipv4Net;
use netd_tests::lab::{Agent, Lab, Namespace};

use crate::rules::{Port, Protocol};

/// The host, on its uplink.
pub const HOST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
/// The outside's end of the uplink, the host's default gateway.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// The outside's address that containers dial, behind the gateway.
pub const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// Addresses of clients outside; all of them are its own.
pub const CLIENTS: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(198, 19, 0, 0), 16);
/// The bridges of modes other than netd, for networks one and two.
pub const BRIDGES: [&str; 2] = ["br-one", "br-two"];
/// The first published port; others follow. Below the ports that clients have.
pub const FIRST_PORT: u16 = 20_000;
/// The port that servers outside have.
pub const OUTSIDE_PORT: u16 = 7_000;

/// A network's place in the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Of `a` and `b`.
    One,
    /// Of `c`.
    Two,
}

impl Network {
    /// Its addresses: those that Docker takes for its first user networks.
    pub const fn subnet(self) -> Ipv4Net {
        Ipv4Net::new_assert(Ipv4Addr::new(172, self.second_octet(), 0, 0), 16)
    }

    /// The host's address on it.
    pub const fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::new(172, self.second_octet(), 0, 1)
    }

    const fn second_octet(self) -> u8 {
        match self {
            Network::One => 18,
            Network::Two => 19,
        }
    }
}

/// A container: its name and network.
pub const CONTAINERS: [(&str, Network, Ipv4Addr); 3] = [
    ("a", Network::One, SERVER),
    ("b", Network::One, Ipv4Addr::new(172, 18, 0, 3)),
    ("c", Network::Two, Ipv4Addr::new(172, 19, 0, 2)),
];

/// Container `a`, which has the servers and the published ports.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(172, 18, 0, 2);

/// The namespaces of a mode, as long as this value lives.
pub struct Place {
    /// The world that the uplink leads to.
    pub outside: Namespace,
    /// Has the servers.
    pub a: Namespace,
    /// On the same network.
    pub b: Namespace,
    /// On another network.
    pub c: Namespace,
    /// netd's, in its mode.
    pub agent: Option<Agent>,
    /// The host, and everything else around it. Last, since the rest lives in it.
    pub lab: Lab,
}

impl Place {
    /// With bridges and veths as Docker makes them; forwarding on, no rules.
    pub fn bridged(name: &str, netd: &FilePath) -> Result<Place> {
        let (lab, outside) = uplinked(name, netd)?;
        let [a, b, c] = bridges::containers(&lab).context("bridges")?;
        Ok(Place {
            outside,
            a,
            b,
            c,
            agent: None,
            lab,
        })
    }

    /// With netd: its agent, its networks, its sandboxes, ports published by it. One sandbox holds all
    /// flows, where by default it may have half of the table.
    pub fn with_netd(name: &str, netd: &FilePath, ports: &[Port]) -> Result<Place> {
        let (lab, outside) = uplinked(name, netd)?;
        let agent = lab.start_agent("--flow-per-endpoint 262144")?;
        for (name, network) in [("one", Network::One), ("two", Network::Two)] {
            let (subnet, gateway) = (network.subnet(), network.gateway());
            lab.host().run_checked(&format!(
                "netd network create --subnet {subnet} --gateway {gateway} {name}"
            ))?;
        }
        for (name, network, address) in CONTAINERS {
            let network = match network {
                Network::One => "one",
                Network::Two => "two",
            };
            let publish = match name {
                "a" => ports.iter().map(option).collect(),
                _ => String::new(),
            };
            lab.host().run_checked(&format!(
                "netd sandbox create --name {name} --network {network} --ip {address}{publish}"
            ))?;
        }
        Ok(Place {
            outside,
            a: lab.open_sandbox("a")?,
            b: lab.open_sandbox("b")?,
            c: lab.open_sandbox("c")?,
            agent: Some(agent),
            lab,
        })
    }

    /// Where rules and agents live.
    pub fn host(&self) -> &Namespace {
        self.lab.host()
    }
}

/// `-p` for one port.
fn option(port: &Port) -> String {
    let (host, container) = (port.host_port, port.container_port);
    format!(" -p {host}:{container}/{}", port.protocol.name())
}

/// A lab whose host has one uplink, a veth to an outside; nothing in between.
fn uplinked(name: &str, netd: &FilePath) -> Result<(Lab, Namespace)> {
    let lab = Lab::create(name, netd)?;
    let (host, outside) = (lab.host(), lab.namespace("world")?);
    // The lab's own segment would be one more bridge on each path.
    host.run_checked("ip link del eth0")?;
    let peer = outside.path();
    host.run_checked(&format!(
        "ip link add uplink type veth peer name uplink netns {}",
        peer.display()
    ))?;
    for (namespace, address) in [(host, HOST), (&outside, GATEWAY)] {
        namespace.run_checked(&format!("ip addr add {address}/24 dev uplink"))?;
        namespace.run_checked("ip link set uplink up")?;
    }
    host.run_checked(&format!("ip route add default via {GATEWAY}"))?;
    outside.run_checked(&format!("ip addr add {PUBLIC}/32 dev lo"))?;
    outside.run_checked(&format!("ip route add local {CLIENTS} dev lo"))?;
    Ok((lab, outside))
}

/// Between whom traffic goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// `b` dials `a`.
    SameNetwork,
    /// The outside dials a published port at the host's address.
    PublishedOutside,
    /// `b` dials the outside.
    Outwards,
    /// `c` dials a published port at the host's address.
    PublishedNetwork,
    /// The host dials a published port at 127.0.0.1.
    PublishedLoopback,
}

impl Path {
    /// Every one, in the order of the tables.
    pub const ALL: [Path; 5] = [
        Path::SameNetwork,
        Path::PublishedOutside,
        Path::Outwards,
        Path::PublishedNetwork,
        Path::PublishedLoopback,
    ];

    /// As records name it.
    pub fn name(self) -> &'static str {
        match self {
            Path::SameNetwork => "same-network",
            Path::PublishedOutside => "published-outside",
            Path::Outwards => "outwards",
            Path::PublishedNetwork => "published-network",
            Path::PublishedLoopback => "published-loopback",
        }
    }

    /// Who dials.
    pub fn client(self, place: &Place) -> &Namespace {
        match self {
            Path::SameNetwork | Path::Outwards => &place.b,
            Path::PublishedOutside => &place.outside,
            Path::PublishedNetwork => &place.c,
            Path::PublishedLoopback => place.host(),
        }
    }

    /// Whether the server is outside; else it is in `a`.
    pub fn leads_out(self) -> bool {
        self == Path::Outwards
    }

    /// What is dialled where ports are published at the host's addresses.
    pub fn published(self, port: u16) -> SocketAddr {
        match self {
            Path::SameNetwork => SocketAddr::from((SERVER, port)),
            Path::Outwards => SocketAddr::from((PUBLIC, OUTSIDE_PORT)),
            Path::PublishedOutside | Path::PublishedNetwork => SocketAddr::from((HOST, port)),
            Path::PublishedLoopback => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        }
    }

    /// What is dialled where nothing is translated.
    pub fn routed(self, port: u16) -> SocketAddr {
        match self {
            Path::Outwards => self.published(port),
            _ => SocketAddr::from((SERVER, port)),
        }
    }
}

/// So many published TCP ports of `a`, and one UDP port after them. The last TCP port and the UDP
/// port have the same number: it is what clients dial, since lists of rules are walked from their
/// beginning. One UDP port, not as many as TCP ports, or `count` ports would be twice as many rules.
pub fn ports(count: u16) -> Vec<Port> {
    let port = |protocol, number| Port {
        network: 1,
        protocol,
        host: None,
        host_port: number,
        container: SERVER,
        container_port: number,
    };
    let last = last_port(count);
    (FIRST_PORT..=last)
        .map(|number| port(Protocol::Tcp, number))
        .chain([port(Protocol::Udp, last)])
        .collect()
}

/// The port that clients dial and servers listen on where so many are published.
pub fn last_port(count: u16) -> u16 {
    FIRST_PORT + (count - 1)
}

/// The address that the `number`th measurement's client outside has.
pub fn client_address(number: u32) -> IpAddr {
    let first = u32::from(CLIENTS.network()) + 256;
    Ipv4Addr::from(first + number % 50_000).into()
}

/// The first of the addresses that are not given to measurements' clients.
pub fn holder_address() -> IpAddr {
    Ipv4Addr::from(u32::from(CLIENTS.broadcast()) - 256).into()
}
