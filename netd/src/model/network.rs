//! Networks.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{
    Id, IfName, Mac, Name,
    macvlan::{HOST_ACCESS, MacvlanOptions, Parent},
};

/// A network as it is in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// 64 digits.
    pub id: Id,
    /// Its number in the maps (never 0), reused as late as possible.
    pub index: u32,
    /// Unique per owner.
    pub name: Name,
    /// Whose object it is.
    pub owner: Owner,
    /// What makes it.
    pub driver: Driver,
    /// One host or many.
    pub scope: Scope,
    /// When it ends.
    pub lifetime: Lifetime,
    /// Who gives addresses.
    pub ipam: Ipam,
    /// IPv4 first. `bridge` has one of each family that it speaks, others may have several.
    pub subnets: Vec<Subnet>,
    /// Whether endpoints get IPv4 addresses.
    #[serde(default = "yes")]
    pub ipv4: bool,
    /// Whether endpoints get IPv6 addresses.
    pub ipv6: bool,
    /// Nothing goes out, nothing comes in from outside.
    pub internal: bool,
    /// Kept for inspect.
    pub attachable: bool,
    /// The configuration that it was made from (`--config-from`), which stays as long as this does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_from: Option<Name>,
    /// User labels.
    pub labels: BTreeMap<String, String>,
    /// Options as given, for inspect; their meaning is in `driver`.
    pub options: BTreeMap<String, String>,
    /// Nanoseconds of Unix time.
    pub created: u64,
    /// `bridge`, `host`, `none`: cannot be removed.
    pub predefined: bool,
    /// How endpoints are announced, where it was said (`com.docker.network.advertise_addr_…`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announce: Option<Announce>,
}

/// How a sandbox's addresses are announced to its neighbours when it comes (gratuitous ARP,
/// unsolicited neighbour advertisements).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announce {
    /// How often; 0: not at all.
    pub messages: u16,
    /// Milliseconds from one to the next.
    pub interval_ms: u16,
}

impl Default for Announce {
    /// Docker's.
    fn default() -> Announce {
        Announce {
            messages: 3,
            interval_ms: 1000,
        }
    }
}

impl Network {
    /// The bridge driver's options; `None` for other drivers.
    pub fn bridge(&self) -> Option<&BridgeOptions> {
        match &self.driver {
            Driver::Bridge(options) => Some(options),
            Driver::Macvlan(_) | Driver::Host | Driver::None | Driver::Config(_) => None,
        }
    }

    /// The subnets that networks made from this configuration get; none if it is a network itself.
    pub fn config_subnets(&self) -> &[Subnet] {
        match &self.driver {
            Driver::Config(subnets) => subnets,
            Driver::Bridge(_) | Driver::Macvlan(_) | Driver::Host | Driver::None => &[],
        }
    }

    /// The macvlan driver's options; `None` for other drivers.
    pub fn macvlan(&self) -> Option<&MacvlanOptions> {
        match &self.driver {
            Driver::Macvlan(options) => Some(options),
            Driver::Bridge(_) | Driver::Host | Driver::None | Driver::Config(_) => None,
        }
    }

    /// Whether a gateway of it leads anywhere: not on internal networks, nor without a parent.
    pub fn leads_out(&self) -> bool {
        let leads = match &self.driver {
            Driver::Bridge(_) => true,
            Driver::Macvlan(options) => match options.parent {
                Parent::Link(_) | Parent::Vlan(_) => true,
                Parent::Dummy(_) => false,
            },
            Driver::Host | Driver::None | Driver::Config(_) => false,
        };
        leads && !self.internal
    }

    /// The links of the host namespace that are this network's and no other's.
    pub fn own_links(&self) -> Vec<&IfName> {
        match &self.driver {
            Driver::Bridge(options) => vec![&options.name],
            Driver::Macvlan(options) => {
                let dummy = match &options.parent {
                    Parent::Dummy(name) => Some(name),
                    Parent::Link(_) | Parent::Vlan(_) => None,
                };
                dummy.into_iter().chain(&options.host_access).collect()
            }
            Driver::Host | Driver::None | Driver::Config(_) => Vec::new(),
        }
    }

    /// The host's addresses on a macvlan network: one of each subnet, where it has access at all.
    pub fn host_addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let access = self.macvlan().and_then(|o| o.host_access.as_ref());
        let subnets = self.subnets.iter().filter(move |_| access.is_some());
        subnets.filter_map(|subnet| subnet.aux.get(HOST_ACCESS).copied())
    }

    /// The host's address in the subnet that an address is from.
    pub fn host_address_near(&self, address: IpAddr) -> Option<IpAddr> {
        let subnet = self.subnets.iter().find(|s| s.pool.contains(&address))?;
        self.host_addresses().find(|own| subnet.pool.contains(own))
    }

    /// How its endpoints are announced. On a bridge of netd's nobody needs to be told who has an address
    /// now: there it is done only where it was asked for.
    pub fn announcements(&self) -> Announce {
        let default = Announce::default();
        let unasked = match &self.driver {
            Driver::Macvlan(_) => default,
            Driver::Bridge(_) | Driver::Host | Driver::None | Driver::Config(_) => Announce {
                messages: 0,
                ..default
            },
        };
        self.announce.unwrap_or(unasked)
    }

    /// The MAC of the host's interface on the network, its bridge for most: 02:42 and the first four
    /// bytes of the id, so that it never changes.
    pub fn host_mac(&self) -> Mac {
        let [a, b, c, d, ..] = self.id.0;
        Mac([0x02, 0x42, a, b, c, d])
    }

    /// The default network: no names, no resolver, no given addresses (Docker's rules).
    pub fn is_default(&self) -> bool {
        self.predefined && self.bridge().is_some()
    }

    /// The gateways with their subnets' prefix lengths: the bridge's addresses.
    pub fn gateways(&self) -> impl Iterator<Item = IpNet> + '_ {
        self.subnets.iter().filter_map(|subnet| {
            let gateway = subnet.gateway?;
            IpNet::new(gateway, subnet.pool.prefix_len()).ok()
        })
    }

    /// The gateway of the subnet that an address is from, with the subnet's prefix length.
    pub fn gateway_of(&self, address: IpAddr) -> Option<IpNet> {
        let subnet = self.subnets.iter().find(|s| s.pool.contains(&address))?;
        IpNet::new(subnet.gateway?, subnet.pool.prefix_len()).ok()
    }
}

/// What records of before `--ipv4` mean.
fn yes() -> bool {
    true
}

/// Who made an object and may change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// netd's own command line and API.
    Netd,
    /// A Docker engine.
    Docker,
    /// Podman.
    Podman,
    /// A CNI runtime.
    Cni,
}

impl Owner {
    /// As in the API: lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Owner::Netd => "netd",
            Owner::Docker => "docker",
            Owner::Podman => "podman",
            Owner::Cni => "cni",
        }
    }
}

/// A driver and its own options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A Linux bridge, veth pairs, BPF.
    Bridge(BridgeOptions),
    /// Interfaces with addresses of their own on a link of the host; no BPF.
    Macvlan(MacvlanOptions),
    /// The host's own namespace.
    Host,
    /// Loopback only.
    None,
    /// No network, but what others are made from (`--config-only`): their subnets, which it does not
    /// take itself. Nothing of it is on the host.
    Config(Vec<Subnet>),
}

impl Driver {
    /// The name as Docker prints it (`null` for none).
    pub fn name(&self) -> &'static str {
        match self {
            Driver::Bridge(_) => "bridge",
            Driver::Macvlan(_) => "macvlan",
            Driver::Host => "host",
            Driver::None | Driver::Config(_) => "null",
        }
    }
}

/// Options of the bridge driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeOptions {
    /// The bridge interface, `br-` and the short id unless given.
    pub name: IfName,
    /// Endpoints may talk to each other (`com.docker.network.bridge.enable_icc`).
    pub icc: bool,
    /// Source NAT for what leaves the host (`….enable_ip_masquerade`).
    pub masquerade: bool,
    /// Octets (`com.docker.network.driver.mtu`), 1500 by default.
    pub mtu: u32,
    /// Default host address of published ports (`….host_binding_ipv4`).
    pub host_binding: Option<IpAddr>,
    /// What the names of interfaces inside begin with (`com.docker.network.container_iface_prefix`);
    /// `None`: `eth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface_prefix: Option<IfName>,
    /// How the network meets what is beyond it.
    #[serde(default)]
    pub gateway: GatewayOptions,
}

/// How a bridge network meets the outside and other networks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GatewayOptions {
    /// IPv4 and IPv6 (`….gateway_mode_ipv4`, `….gateway_mode_ipv6`).
    pub modes: [GatewayMode; 2],
    /// Interfaces of the host whose packets may dial published container ports directly
    /// (`….trusted_host_interfaces`).
    pub trusted: Vec<IfName>,
    /// What it is masqueraded with, IPv4 and IPv6 (`com.docker.network.host_ipv4`, `….host_ipv6`); the
    /// uplink's address where it is `None`.
    pub egress: [Option<IpAddr>; 2],
    /// Endpoints may answer DHCP (`netd.bridge.dhcp_server`).
    pub dhcp_server: bool,
}

/// What a family's gateway does, as in Docker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GatewayMode {
    /// Masquerade and published ports; no container is dialled directly.
    #[default]
    Nat,
    /// The same, but every port of a container may be dialled directly.
    NatUnprotected,
    /// Nothing is translated; published container ports may be dialled directly, and pinged.
    Routed,
    /// The host has no address on the bridge. Of internal networks only.
    Isolated,
}

/// One host or many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// This host.
    Local,
    /// All hosts of an overlay.
    Global,
}

/// When a network ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lifetime {
    /// Until it is removed.
    UntilRemoved,
    /// With its last endpoint (netavark sends the network with every call).
    WhileUsed,
}

/// Who gives addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ipam {
    /// netd, from the subnets.
    Default,
    /// The caller, with each endpoint.
    Given,
    /// Nobody.
    None,
    /// A plugin, asked before the change is applied.
    Remote,
}

/// One subnet of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// The subnet, truncated to its prefix.
    pub pool: IpNet,
    /// Where automatic addresses come from, inside `pool`.
    pub range: Option<IpNet>,
    /// The bridge's address; `None` on networks without one.
    pub gateway: Option<IpAddr>,
    /// Addresses never given out, by name.
    pub aux: BTreeMap<String, IpAddr>,
    /// Whether `pool` came from the default pools.
    pub automatic: bool,
    /// The address that was last given out automatically; the search for the next starts behind it,
    /// so that a released one is reused as late as possible.
    pub last: Option<IpAddr>,
}
