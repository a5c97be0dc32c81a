//! What the agent's DNS server is told, as plain values: a superset of the names map.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::model::{Id, WireName};

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameRecord {
    /// Every address of every endpoint with that name.
    Host {
        /// IPv4, in the order of the endpoints' indexes.
        v4: Vec<Ipv4Addr>,
        /// IPv6.
        v6: Vec<Ipv6Addr>,
    },
    /// `name.network.`, the answer to PTR.
    Pointer(WireName),
}

/// A sandbox as a client, known by one of its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRecord {
    /// The sandbox.
    pub sandbox: Id,
    /// Scopes, in the order they are tried.
    pub scopes: Vec<u32>,
    /// Subnets of its networks.
    pub subnets: Vec<IpNet>,
    /// Whether unknown names may leave the host: some network is not internal.
    pub forward: bool,
    /// `ndots` is set to 1 or more: single labels are not forwarded (Docker's rule).
    pub single_labels_stay: bool,
    /// `--dns` servers, asked through the sandbox's networks; empty: the host's upstreams.
    pub servers: Vec<IpAddr>,
}
