//! Endpoints: a sandbox's connection to a network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Id, IfName, Mac, Name};

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
    /// Of the interface inside.
    pub mac: Mac,
    /// What the user asked for, for inspect.
    pub given: Given,
    /// Names in this network besides the sandbox's own.
    pub aliases: Vec<Name>,
    /// The highest of a sandbox's endpoints has the default gateway; then the smallest network name.
    pub gateway_priority: i32,
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
