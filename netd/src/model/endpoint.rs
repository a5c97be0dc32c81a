//! Endpoints: a sandbox's connection to a network.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Id, IfName, InterfaceSysctl, Mac, Name};

/// An endpoint as it is in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// 64 digits.
    pub id: Id,
    /// Its number in the maps (never 0), reused as late as possible.
    pub index: u32,
    /// Grows with each attach.
    pub generation: u32,
    /// The network.
    pub network: Id,
    /// `None` while it is not joined.
    pub sandbox: Option<Id>,
    /// Host side of the veth pair: `nd` and 11 digits of the id.
    pub host_interface: IfName,
    /// Inside: `eth0`, …; numbers grow and are not reused while the sandbox lives.
    pub interface: IfName,
    /// Addresses with their subnet's prefix length; the first of a family is the main one.
    pub addresses: Vec<IpNet>,
    /// More addresses, valid on this network alone (`--link-local-ip`): neither names nor routes nor
    /// published ports lead to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub link_local: Vec<IpNet>,
    /// `--driver-opt` as given, for inspect.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
    /// Sysctls of the interface inside (`com.docker.network.endpoint.sysctls`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sysctls: Vec<InterfaceSysctl>,
    /// Of the interface inside.
    pub mac: Mac,
    /// What the user asked for, for inspect.
    pub given: Given,
    /// Names in this network besides the sandbox's own.
    pub aliases: Vec<Name>,
    /// Other names of the network, by names of the sandbox's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// The highest of a sandbox's endpoints has the default gateway; then the smallest network name.
    pub gateway_priority: i32,
}

/// `--link TARGET:ALIAS`: what a name of the network is called in this sandbox alone. The target may
/// come later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// A name, alias or id in the endpoint's network.
    pub target: Name,
    /// The name that the sandbox asks for.
    pub alias: Name,
}

impl FromStr for Link {
    type Err = BadLink;

    /// `TARGET` or `TARGET:ALIAS`, with Docker's words.
    fn from_str(text: &str) -> Result<Link, BadLink> {
        let (target, alias) = text.split_once(':').unwrap_or((text, text));
        if text.is_empty() {
            return Err(BadLink::Empty);
        }
        match (target.parse(), alias.parse()) {
            (Ok(target), Ok(alias)) => Ok(Link { target, alias }),
            _ => Err(BadLink::Form(text.to_owned())),
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.target, self.alias)
    }
}

/// Why a text is no [`Link`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLink {
    /// Nothing.
    #[error("empty string specified for links")]
    Empty,
    /// More than one colon, or no names.
    #[error("bad format for links: {0}")]
    Form(String),
}

/// What the user asked for (Docker's `IPAMConfig` and `MacAddress`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// `--ip`.
    pub ip: Option<Ipv4Addr>,
    /// `--ip6`.
    pub ip6: Option<Ipv6Addr>,
    /// `--mac-address`.
    pub mac: Option<Mac>,
}

impl Endpoint {
    /// All addresses of the interface inside.
    pub fn all_addresses(&self) -> impl Iterator<Item = &IpNet> {
        self.addresses.iter().chain(&self.link_local)
    }

    /// The first address of a family.
    pub fn address(&self, ipv6: bool) -> Option<IpAddr> {
        let mut addresses = self.addresses.iter().map(IpNet::addr);
        addresses.find(|address| address.is_ipv6() == ipv6)
    }

    /// The first IPv4 address.
    pub fn v4(&self) -> Option<Ipv4Addr> {
        self.addresses.iter().find_map(|net| match net.addr() {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(_) => None,
        })
    }

    /// The first IPv6 address.
    pub fn v6(&self) -> Option<Ipv6Addr> {
        self.addresses.iter().find_map(|net| match net.addr() {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) => Some(v6),
        })
    }
}
