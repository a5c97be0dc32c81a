//! What the host is, apart from what netd made: read by `Kernel::facts`, kept by the daemon,
//! refreshed on netlink events.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr},
};

use ipnet::IpNet;

use super::{IfName, Mac, Name, PortRange, Protocol};

/// The host's own links, addresses and routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// The host's network namespace (SO_NETNS_COOKIE).
    pub cookie: u64,
    /// Every interface that is not netd's.
    pub links: BTreeMap<IfName, LinkFacts>,
    /// Every interface but lo, netd's own and enslaved ones; narrowed by `--uplink`.
    pub uplinks: BTreeMap<IfName, UplinkFacts>,
    /// Every address of the host namespace (loopback and netd's bridges included), with its interface.
    pub addresses: BTreeMap<IpAddr, AddressFacts>,
    /// Destinations of the host's routes that are not netd's, without routes shorter than /8.
    pub routes: BTreeSet<IpNet>,
    /// net.ipv4.ip_local_port_range, low and high.
    pub local_ports: (u16, u16),
    /// net.ipv4.ip_local_reserved_ports as the host has it of its own, without what netd added.
    pub reserved_ports: Vec<PortRange>,
    /// The host's name servers, search domains and options, as /etc/resolv.conf has them.
    pub resolv_conf: ResolvConf,
    /// Name servers that a container can reach: those of `resolv_conf` that are not on the host's
    /// loopback; if all are, those that systemd-resolved asks. Empty: there are none.
    pub external_servers: Vec<IpAddr>,
    /// The host's /etc/hosts, which a sandbox in the host's namespace gets a copy of.
    pub hosts: String,
    /// The host's name, which such a sandbox has too; `None` where it is none that netd takes.
    pub hostname: Option<Name>,
    /// Sockets of the host's processes; read only while ports are being published, else empty.
    pub sockets: Vec<BoundSocket>,
}

/// A TCP or UDP socket of a process of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundSocket {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Its own address; unspecified: all.
    pub address: IpAddr,
    /// Its own port.
    pub port: u16,
    /// Its address is IPv6's, and it may speak IPv4 as well.
    pub both_families: bool,
    /// What for.
    pub used_for: Use,
}

/// What a socket has its port for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// To be dialled there, or for datagrams.
    Bound,
    /// For one TCP connection. One that was accepted outlives its listener.
    Connection,
}

/// An interface of the host, as something for macvlan to stand on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkFacts {
    /// Its address.
    pub mac: Mac,
    /// Octets.
    pub mtu: u32,
}

/// An uplink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UplinkFacts {
    /// In the host namespace.
    pub ifindex: u32,
    /// Octets.
    pub mtu: u32,
    /// No Ethernet header.
    pub l3: bool,
    /// What IPv4 is masqueraded with: the default route's prefsrc there, else the first global address.
    pub v4: Option<IpAddr>,
    /// The same for IPv6.
    pub v6: Option<IpAddr>,
}

/// An address of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressFacts {
    /// The interface that has it.
    pub link: IfName,
    /// Its ifindex.
    pub ifindex: u32,
    /// With its prefix length.
    pub net: IpNet,
}

/// The part of the facts that nobody tells of: it is read again each second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameServers {
    /// [`HostFacts::resolv_conf`].
    pub resolv_conf: ResolvConf,
    /// [`HostFacts::external_servers`].
    pub external: Vec<IpAddr>,
}

impl HostFacts {
    /// Whether the kernel speaks IPv6, and has switches for it: ::1 tells.
    pub fn has_ipv6(&self) -> bool {
        self.addresses
            .contains_key(&IpAddr::V6(Ipv6Addr::LOCALHOST))
    }

    /// The name servers among the facts.
    pub fn name_servers(&self) -> NameServers {
        NameServers {
            resolv_conf: self.resolv_conf.clone(),
            external: self.external_servers.clone(),
        }
    }
}

/// A parsed resolv.conf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// `nameserver` lines.
    pub servers: Vec<IpAddr>,
    /// `search` (or `domain`).
    pub search: Vec<String>,
    /// `options`.
    pub options: Vec<String>,
}
