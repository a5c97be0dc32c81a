//! Values of netd.toml and of flags that are more than a text or a path.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// A value that is not what its key wants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadValue {
    /// Of `bip`.
    #[error("{0:?} is not an address with a prefix length such as 172.17.0.1/16")]
    BridgeAddress(String),
    /// Of `address-pool`.
    #[error("{0:?} is not CIDR,size=N such as 172.16.0.0/12,size=24")]
    AddressPool(String),
    /// Of `dns-upstream`.
    #[error("{0:?} is neither an IP address nor one with a port ([IPv6]:PORT)")]
    Upstream(String),
    /// Of `flow.ports`.
    #[error("{0:?} is not LOW-HIGH or LOW-HIGH,LOW-HIGH such as 1024-32767")]
    SourcePorts(String),
}

/// `bip`: an address that is not the network's own, with its prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BridgeAddress(pub IpNet);

impl FromStr for BridgeAddress {
    type Err = BadValue;
    fn from_str(text: &str) -> Result<BridgeAddress, BadValue> {
        let bad = || BadValue::BridgeAddress(text.to_owned());
        let net: IpNet = text.parse().map_err(|_| bad())?;
        let host = net.addr() != net.network() && net.prefix_len() >= 8 && net.addr().is_ipv4();
        if host {
            Ok(BridgeAddress(net))
        } else {
            Err(bad())
        }
    }
}

impl fmt::Display for BridgeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `address-pool`: a range of addresses, cut into subnets of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddressPool {
    /// The range, truncated to its prefix.
    pub base: IpNet,
    /// Prefix length of each subnet, not shorter than the range's.
    pub size: u8,
}

impl FromStr for AddressPool {
    type Err = BadValue;
    fn from_str(text: &str) -> Result<AddressPool, BadValue> {
        let bad = || BadValue::AddressPool(text.to_owned());
        let (base, size) = text.split_once(",size=").ok_or_else(bad)?;
        // Docker's daemon.json spells the first part base=CIDR.
        let base: IpNet = base
            .strip_prefix("base=")
            .unwrap_or(base)
            .parse()
            .map_err(|_| bad())?;
        let size: u8 = size.parse().map_err(|_| bad())?;
        // A subnet holds its own address, a gateway, an endpoint and the broadcast address.
        if size < base.prefix_len() || size > base.max_prefix_len() - 2 {
            return Err(bad());
        }
        Ok(AddressPool {
            base: base.trunc(),
            size,
        })
    }
}

impl fmt::Display for AddressPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},size={}", self.base, self.size)
    }
}

/// `dns-upstream`: a name server, at port 53 unless given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Upstream(pub SocketAddr);

impl FromStr for Upstream {
    type Err = BadValue;
    fn from_str(text: &str) -> Result<Upstream, BadValue> {
        let plain = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
        plain
            .or_else(|_| text.parse())
            .ok()
            .filter(|address| address.port() != 0 && !address.ip().is_unspecified())
            .map(Upstream)
            .ok_or_else(|| BadValue::Upstream(text.to_owned()))
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! text_values {
    ($($name:ident)*) => {$(
        impl TryFrom<String> for $name {
            type Error = BadValue;
            fn try_from(text: String) -> Result<$name, BadValue> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }
    )*};
}

use super::flow::SourcePorts;

text_values!(BridgeAddress AddressPool Upstream SourcePorts);
