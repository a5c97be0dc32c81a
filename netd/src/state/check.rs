//! What must hold between a record and all others: used on records of a store, and on every record
//! before it is written, so that the indexes never lose one.

use std::collections::BTreeMap;

use super::{
    interface::link_local,
    interval::IntervalSet,
    table::{Contradiction, State},
};
use crate::model::{Endpoint, Network, Sandbox, sandbox::Namespace};

fn refuse(broken: bool, what: impl FnOnce() -> String) -> Result<(), Contradiction> {
    if broken {
        Err(Contradiction(what()))
    } else {
        Ok(())
    }
}

impl State {
    /// Whether a network that is not in the state can be put there.
    pub(super) fn check_network(&self, network: &Network) -> Result<(), Contradiction> {
        let id = network.id;
        refuse(self.networks.contains_key(&id), || {
            format!("network {id} twice")
        })?;
        let name = (network.name.clone(), network.owner);
        refuse(self.index.network_names.contains_key(&name), || {
            format!("network name {} twice", network.name)
        })?;
        let used = self.index.network_numbers.contains_key(&network.index);
        refuse(used || network.index == 0, || {
            format!("network index {} twice", network.index)
        })?;
        for link in network.own_links() {
            refuse(self.index.interfaces.contains_key(link), || {
                format!("interface {link} twice")
            })?;
        }
        for (i, subnet) in network.subnets.iter().enumerate() {
            let (first, last) = super::ipam::bounds(&subnet.pool);
            let earlier = network.subnets.get(..i).unwrap_or_default();
            let own = earlier.iter().any(|other| {
                let (a, b) = super::ipam::bounds(&other.pool);
                first <= b && a <= last
            });
            refuse(own || self.ipam.overlapping(&subnet.pool).is_some(), || {
                format!("subnet {} overlaps", subnet.pool)
            })?;
            let inside = subnet.gateway.iter().chain(subnet.aux.values());
            for address in inside {
                refuse(!subnet.pool.contains(address), || {
                    format!("{address} is not in {}", subnet.pool)
                })?;
            }
        }
        Ok(())
    }

    /// Whether a sandbox that is not in the state can be put there.
    pub(super) fn check_sandbox(&self, sandbox: &Sandbox) -> Result<(), Contradiction> {
        let id = sandbox.id;
        refuse(self.sandboxes.contains_key(&id), || {
            format!("sandbox {id} twice")
        })?;
        let name = (sandbox.name.clone(), sandbox.owner);
        refuse(self.index.sandbox_names.contains_key(&name), || {
            format!("sandbox name {} twice", sandbox.name)
        })?;
        let used = self.index.sandbox_numbers.contains_key(&sandbox.index);
        refuse(used || sandbox.index == 0, || {
            format!("sandbox index {} twice", sandbox.index)
        })?;
        if let Namespace::Joined(joined) = &sandbox.namespace {
            let key = (joined.device, joined.inode);
            refuse(self.index.namespaces.contains_key(&key), || {
                format!("namespace {}:{} twice", joined.device, joined.inode)
            })?;
        }
        let mut own_ports: BTreeMap<_, IntervalSet> = BTreeMap::new();
        for port in &sandbox.ports {
            let own_ports = own_ports
                .entry((port.protocol, port.host_address))
                .or_default();
            let (first, last) = (port.host.first.into(), port.host.last.into());
            let own = own_ports.overlaps(first, last);
            own_ports.insert(first, last);
            let taken = self
                .ports
                .is_taken(port.protocol, port.host_address, port.host);
            refuse(own || taken, || {
                format!("host port {}:{} twice", port.host_address, port.host)
            })?;
            let shaped = port.host.first != 0
                && port.target.first != 0
                && port.host.first <= port.host.last
                && port.target.first <= port.target.last
                && port.host.count() == port.target.count();
            refuse(!shaped, || format!("published port {port:?}"))?;
        }
        Ok(())
    }

    /// Whether an endpoint that is not in the state can be put there.
    pub(super) fn check_endpoint(&self, endpoint: &Endpoint) -> Result<(), Contradiction> {
        let id = endpoint.id;
        refuse(self.endpoints.contains_key(&id), || {
            format!("endpoint {id} twice")
        })?;
        let Some(network) = self.networks.get(&endpoint.network) else {
            return Err(Contradiction(format!("endpoint {id} without its network")));
        };
        let orphan = endpoint
            .sandbox
            .is_some_and(|id| !self.sandboxes.contains_key(&id));
        refuse(orphan, || format!("endpoint {id} without its sandbox"))?;
        let used = self.index.endpoint_numbers.contains_key(&endpoint.index);
        refuse(used || endpoint.index == 0, || {
            format!("endpoint index {} twice", endpoint.index)
        })?;
        let interface = &endpoint.host_interface;
        refuse(self.index.interfaces.contains_key(interface), || {
            format!("interface {interface} twice")
        })?;
        let mac = (endpoint.network, endpoint.mac);
        refuse(self.index.macs.contains_key(&mac), || {
            format!("MAC {} twice", endpoint.mac)
        })?;
        for net in &endpoint.link_local {
            let key = (network.id, net.addr());
            let taken = self.index.addresses.contains_key(&key);
            refuse(taken || link_local(net.addr()) != Some(*net), || {
                format!("link-local address {net} in network {}", network.name)
            })?;
        }
        for net in &endpoint.addresses {
            let address = net.addr();
            refuse(self.ipam.is_used(network.id, address), || {
                format!("address {address} twice in network {}", network.name)
            })?;
            let inside = network.subnets.iter().any(|subnet| {
                subnet.pool.contains(&address) && subnet.pool.prefix_len() == net.prefix_len()
            });
            refuse(!inside, || {
                format!("address {net} is in no subnet of {}", network.name)
            })?;
        }
        Ok(())
    }
}
