//! Entries of the maps that the agent writes, as typed values.

use netd_common::{
    Addr,
    abi::{
        endpoint::{Endpoint, EndpointKey, Subnet, TrustedKey},
        host::{Config, HostAddress, Uplink},
        link::{LinkKey, OpenPorts},
        name::{Name, NameKey, Resolver, Scopes},
        port::{Port, PortKey},
    },
};

/// A key, with its map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKey {
    /// ENDPOINTS.
    Endpoint(EndpointKey),
    /// INTERFACES, by ifindex.
    Interface(u32),
    /// ENDPOINT_STATS, by endpoint index.
    EndpointStats(u32),
    /// SUBNETS: prefix length in bits of the 16 bytes, address.
    Subnet(u32, Addr),
    /// TRUSTED.
    Trusted(TrustedKey),
    /// HOST_ADDRESSES.
    HostAddress(Addr),
    /// UPLINKS, by ifindex.
    Uplink(u32),
    /// CONFIG.
    Config,
    /// PORTS: prefix length in bits, key.
    Port(u32, PortKey),
    /// LINKS.
    Link(LinkKey),
    /// NAMES.
    Name(NameKey),
    /// SCOPES, by sandbox index.
    Scopes(u32),
    /// RESOLVERS, by netns cookie.
    Resolver(u64),
}

/// An entry: key and value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entry {
    /// ENDPOINTS.
    Endpoint(EndpointKey, Endpoint),
    /// INTERFACES, by ifindex.
    Interface(u32, Endpoint),
    /// ENDPOINT_STATS, by endpoint index: zeroes when made, then BPF's; only its presence is compared.
    EndpointStats(u32),
    /// SUBNETS: prefix length in bits of the 16 bytes, address.
    Subnet(u32, Addr, Subnet),
    /// TRUSTED: an interface that a network trusts.
    Trusted(TrustedKey),
    /// HOST_ADDRESSES.
    HostAddress(Addr, HostAddress),
    /// UPLINKS, by ifindex.
    Uplink(u32, Uplink),
    /// CONFIG.
    Config(Config),
    /// PORTS: prefix length in bits, key.
    Port(u32, PortKey, Port),
    /// LINKS.
    Link(LinkKey, Box<OpenPorts>),
    /// NAMES.
    Name(NameKey, Box<Name>),
    /// SCOPES, by sandbox index.
    Scopes(u32, Scopes),
    /// RESOLVERS, by netns cookie.
    Resolver(u64, Resolver),
}

impl Entry {
    /// Where it is.
    pub fn key(&self) -> EntryKey {
        match *self {
            Entry::Endpoint(key, _) => EntryKey::Endpoint(key),
            Entry::Interface(ifindex, _) => EntryKey::Interface(ifindex),
            Entry::EndpointStats(index) => EntryKey::EndpointStats(index),
            Entry::Subnet(bits, address, _) => EntryKey::Subnet(bits, address),
            Entry::Trusted(key) => EntryKey::Trusted(key),
            Entry::HostAddress(address, _) => EntryKey::HostAddress(address),
            Entry::Uplink(ifindex, _) => EntryKey::Uplink(ifindex),
            Entry::Config(_) => EntryKey::Config,
            Entry::Port(bits, key, _) => EntryKey::Port(bits, key),
            Entry::Link(key, _) => EntryKey::Link(key),
            Entry::Name(ref key, _) => EntryKey::Name(*key),
            Entry::Scopes(sandbox, _) => EntryKey::Scopes(sandbox),
            Entry::Resolver(cookie, _) => EntryKey::Resolver(cookie),
        }
    }
}
