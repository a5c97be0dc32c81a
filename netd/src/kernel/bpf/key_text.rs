//! A map's key for people: `ENDPOINTS[network 3, 172.18.0.2]`. Reads nothing, and takes any key,
//! also one that netd would never make.

use std::{fmt, net::IpAddr};

use netd_common::abi::{maps, name::NameKey};

use crate::plan::EntryKey;

/// The map that holds a key.
pub(super) fn map_of(key: &EntryKey) -> &'static str {
    match key {
        EntryKey::Endpoint(_) => maps::ENDPOINTS,
        EntryKey::Interface(_) => maps::INTERFACES,
        EntryKey::EndpointStats(_) => maps::ENDPOINT_STATS,
        EntryKey::Subnet(..) => maps::SUBNETS,
        EntryKey::Trusted(_) => maps::TRUSTED,
        EntryKey::HostAddress(_) => maps::HOST_ADDRESSES,
        EntryKey::Uplink(_) => maps::UPLINKS,
        EntryKey::Config => maps::CONFIG,
        EntryKey::Port(..) => maps::PORTS,
        EntryKey::Link(_) => maps::LINKS,
        EntryKey::Name(_) => maps::NAMES,
        EntryKey::Scopes(_) => maps::SCOPES,
        EntryKey::Resolver(_) => maps::RESOLVERS,
    }
}

/// Prints a key.
pub(super) struct KeyText<'a>(pub &'a EntryKey);

impl fmt::Display for KeyText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[", map_of(self.0))?;
        match self.0 {
            EntryKey::Endpoint(key) => {
                write!(f, "network {}, {}", key.network, IpAddr::from(key.address))
            }
            EntryKey::Interface(ifindex) | EntryKey::Uplink(ifindex) => {
                write!(f, "ifindex {ifindex}")
            }
            EntryKey::EndpointStats(index) => write!(f, "endpoint {index}"),
            EntryKey::Subnet(bits, address) => {
                let v4 = if address.is_v4() { 96 } else { 0 };
                let bits = bits.saturating_sub(v4);
                write!(f, "{}/{bits}", IpAddr::from(*address))
            }
            EntryKey::Trusted(key) => {
                write!(f, "network {}, ifindex {}", key.network, key.ifindex)
            }
            EntryKey::HostAddress(address) => write!(f, "{}", IpAddr::from(*address)),
            EntryKey::Config => f.write_str("0"),
            EntryKey::Port(bits, key) => {
                let (address, port) = (IpAddr::from(key.address), u16::from_be_bytes(key.port));
                write!(f, "protocol {}, {address}, port {port}", key.protocol)?;
                write!(f, ", {bits} bits")
            }
            EntryKey::Link(key) => write!(f, "endpoints {} to {}", key.from, key.to),
            EntryKey::Name(key) => write!(f, "scope {}, {}", key.scope, dotted(key)),
            EntryKey::Scopes(sandbox) => write!(f, "sandbox {sandbox}"),
            EntryKey::Resolver(cookie) => write!(f, "namespace {cookie}"),
        }?;
        f.write_str("]")
    }
}

/// The labels with dots between them, as far as they are whole.
fn dotted(key: &NameKey) -> String {
    let mut text = String::new();
    let mut rest = key.name.as_slice();
    while let Some((length @ 1.., after)) = rest.split_first().map(|(first, rest)| (*first, rest)) {
        let Some((label, after)) = after.split_at_checked(usize::from(length)) else {
            break;
        };
        text.push_str(&label.escape_ascii().to_string());
        text.push('.');
        rest = after;
    }
    text
}

#[cfg(test)]
mod tests {
    use netd_common::{
        Addr,
        abi::{
            endpoint::EndpointKey,
            name::NameKey,
            port::{PORT_PREFIX_BITS, PortKey},
        },
    };
    use zerocopy::FromZeros;

    use super::KeyText;
    use crate::plan::EntryKey;

    fn name(wire: &[u8]) -> EntryKey {
        let mut key = NameKey::new_zeroed();
        key.scope = 6;
        key.name[..wire.len()].copy_from_slice(wire);
        EntryKey::Name(key)
    }

    #[test]
    fn keys_as_text() {
        let address = Addr::v4([172, 18, 0, 2]);
        let endpoint = EndpointKey {
            network: 3,
            address,
        };
        let port = PortKey {
            protocol: 6,
            purpose: 0,
            address: Addr::NONE,
            port: 8080_u16.to_be_bytes(),
        };
        for (key, text) in [
            (
                EntryKey::Endpoint(endpoint),
                "ENDPOINTS[network 3, 172.18.0.2]",
            ),
            (EntryKey::Subnet(112, address), "SUBNETS[172.18.0.2/16]"),
            (EntryKey::Subnet(64, Addr::NONE), "SUBNETS[::/64]"),
            (
                EntryKey::Port(PORT_PREFIX_BITS, port),
                "PORTS[protocol 6, ::, port 8080, 160 bits]",
            ),
            (name(b"\x03web\x03net\0"), "NAMES[scope 6, web.net.]"),
            (name(&[200; 129]), "NAMES[scope 6, ]"),
        ] {
            assert_eq!(KeyText(&key).to_string(), text);
        }
    }
}
