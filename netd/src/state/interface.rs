//! What an endpoint has inside besides its network's addresses: the interface's name, link-local
//! addresses.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Refusal, apply::Draft, request::EndpointSpec};
use crate::model::{Id, IfName, Network, Sandbox};

/// Prefix lengths of link-local addresses: RFC 3927, RFC 4291.
const PREFIX_V4: u8 = 16;
const PREFIX_V6: u8 = 64;

impl Draft<'_, '_> {
    /// The name of the next interface inside: numbers grow, and each beginning has its own.
    pub(super) fn next_interface(
        &self,
        sandbox: &mut Sandbox,
        network: &Network,
    ) -> Result<IfName, Refusal> {
        let id = sandbox.id;
        let bridge = network.bridge();
        let (prefix, next) = match bridge.and_then(|bridge| bridge.interface_prefix.as_ref()) {
            Some(prefix) if prefix.as_str() != "eth" => {
                let counters = &mut sandbox.next_of_prefix;
                let counter = counters.entry(prefix.to_string()).or_default();
                (prefix.as_str(), counter)
            }
            _ => ("eth", &mut sandbox.next_interface),
        };
        loop {
            let name = format!("{prefix}{next}").parse()?;
            *next += 1;
            if !self.has_interface(id, &name) {
                return Ok(name);
            }
        }
    }

    /// A name that was asked for.
    pub(super) fn given_interface(&self, sandbox: Id, name: &IfName) -> Result<IfName, Refusal> {
        if self.has_interface(sandbox, name) {
            return Err(Refusal::Invalid(format!(
                "interface name {name} is already in use in this sandbox"
            )));
        }
        Ok(name.clone())
    }

    fn has_interface(&self, sandbox: Id, name: &IfName) -> bool {
        let endpoints = self.state.endpoints_of_sandbox(sandbox);
        name.as_str() == "lo" || endpoints.iter().any(|other| other.interface == *name)
    }

    /// Link-local addresses as asked for, which nobody else on the network has.
    pub(super) fn link_local_addresses(
        &self,
        network: Id,
        spec: &EndpointSpec,
    ) -> Result<Vec<IpNet>, Refusal> {
        let mut found: Vec<IpNet> = Vec::new();
        for address in &spec.link_local {
            let twice = found.iter().any(|other| other.addr() == *address);
            let key = (network, *address);
            if twice || self.state.index.addresses.contains_key(&key) {
                return Err(Refusal::AddressInUse(*address));
            }
            if address.is_ipv6() && self.without_ipv6(spec) {
                return Err(Refusal::Invalid(format!(
                    "IPv6 is disabled in the sandbox: it cannot have {address}"
                )));
            }
            let net = link_local(*address).ok_or_else(|| {
                Refusal::Invalid(format!("invalid link-local IP address: {address}"))
            });
            found.push(net?);
        }
        Ok(found)
    }
}

/// With its prefix length; `None` if it is not link-local.
pub(super) fn link_local(address: IpAddr) -> Option<IpNet> {
    let prefix = match address {
        IpAddr::V4(v4) if v4.is_link_local() => PREFIX_V4,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => PREFIX_V6,
        IpAddr::V4(_) | IpAddr::V6(_) => return None,
    };
    IpNet::new(address, prefix).ok()
}
