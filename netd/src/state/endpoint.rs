//! Endpoints: connect and disconnect, addresses, MACs, interface names.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

use ipnet::IpNet;

use super::{
    Refusal, Reply,
    apply::{Draft, bounds, next_index, own, within},
    config_network::no_endpoints,
    request::EndpointSpec,
};
use crate::model::{
    Endpoint, Id, Mac, Network, Sandbox,
    endpoint::Given,
    network::{Driver, Ipam, Owner, Subnet},
    sandbox::Mode,
};

impl Draft<'_, '_> {
    pub(super) fn connect(
        &mut self,
        network: &str,
        sandbox: &str,
        spec: &EndpointSpec,
    ) -> Result<Reply, Refusal> {
        let network = self.state.find_network(network, Owner::Netd)?.clone();
        let sandbox = self.state.find_sandbox(sandbox, Owner::Netd)?.clone();
        own(network.name.as_str(), network.owner, Owner::Netd)?;
        own(sandbox.name.as_str(), sandbox.owner, Owner::Netd)?;
        let connected = self.state.index.by_sandbox.contains_key(&sandbox.id);
        match (&network.driver, sandbox.mode) {
            (Driver::Config(_), _) => Err(no_endpoints()),
            (_, Mode::Shared(_)) => Err(Refusal::SharedNetwork),
            (Driver::Host, _) | (_, Mode::Host) => Err(Refusal::HostNetwork),
            (Driver::None, Mode::None) => Err(already_connected(&sandbox, &network)),
            (Driver::None, Mode::Bridge) if connected => Err(Refusal::NoneNetwork),
            (Driver::Bridge(_) | Driver::Macvlan(_), Mode::None) => Err(Refusal::NoneNetwork),
            (Driver::None, Mode::Bridge) => {
                refuse_options(spec)?;
                self.put_sandbox(Sandbox {
                    mode: Mode::None,
                    ..sandbox
                })?;
                Ok(Reply::Done)
            }
            (Driver::Bridge(_) | Driver::Macvlan(_), Mode::Bridge) => {
                self.add_endpoint(network.id, sandbox.id, spec)?;
                Ok(Reply::Done)
            }
        }
    }

    pub(super) fn disconnect(
        &mut self,
        network_text: &str,
        sandbox_text: &str,
        force: bool,
    ) -> Result<Reply, Refusal> {
        let network = self.state.find_network(network_text, Owner::Netd)?.clone();
        let sandbox = match self.state.find_sandbox(sandbox_text, Owner::Netd) {
            Err(Refusal::NoSuchSandbox(text)) if force => {
                return Err(Refusal::Invalid(format!("endpoint {text} not found")));
            }
            found => found?.clone(),
        };
        own(sandbox.name.as_str(), sandbox.owner, Owner::Netd)?;
        match (&network.driver, sandbox.mode) {
            (Driver::Host, Mode::Host) => return Err(Refusal::HostNetwork),
            (Driver::None, Mode::None) => {
                self.put_sandbox(Sandbox {
                    mode: Mode::Bridge,
                    ..sandbox
                })?;
                return Ok(Reply::Done);
            }
            _ => {}
        }
        let endpoint = self.state.endpoint_between(network.id, sandbox.id);
        let id = endpoint.map(|endpoint| endpoint.id);
        let id = id.ok_or_else(|| Refusal::NotConnected {
            sandbox: sandbox.id,
            network: network.name.to_string(),
        })?;
        self.delete_endpoint(id);
        Ok(Reply::Done)
    }

    /// Connects a sandbox to a network that has addresses.
    pub(super) fn add_endpoint(
        &mut self,
        network: Id,
        sandbox: Id,
        spec: &EndpointSpec,
    ) -> Result<(), Refusal> {
        let (Some(network), Some(mut sandbox)) = (
            self.state.networks.get(&network).cloned(),
            self.state.sandboxes.get(&sandbox).cloned(),
        ) else {
            return Err(Refusal::NoSuchNetwork(network.to_string()));
        };
        if self
            .state
            .endpoint_between(network.id, sandbox.id)
            .is_some()
        {
            return Err(already_connected(&sandbox, &network));
        }
        if network.is_default() {
            refuse_options(spec)?;
        }
        self.refuse_second_of_passthru(&network)?;
        let addresses = self.choose_addresses(&network, spec)?;
        let link_local = self.link_local_addresses(network.id, spec)?;
        let interface = match &spec.interface {
            Some(given) => self.given_interface(sandbox.id, given)?,
            None => self.next_interface(&mut sandbox, &network)?,
        };
        let id = self.fresh_endpoint_id()?;
        let mac = match self.passthru_mac(&network, spec.mac)? {
            Some(mac) => mac,
            None => self.choose_mac(&network, spec.mac, &addresses, id)?,
        };
        let meta = &mut self.state.meta;
        meta.last_endpoint = next_index(&self.state.index.endpoint_numbers, meta.last_endpoint);
        meta.attaches = meta.attaches.wrapping_add(1);
        let endpoint = Endpoint {
            id,
            index: meta.last_endpoint,
            generation: meta.attaches,
            network: network.id,
            sandbox: Some(sandbox.id),
            host_interface: host_interface(id)?,
            interface,
            addresses,
            link_local,
            driver_opts: spec.driver_opts.clone(),
            sysctls: spec.sysctls.clone(),
            mac,
            given: Given {
                ip: spec.ip,
                ip6: spec.ip6,
                mac: spec.mac,
            },
            aliases: unique(&spec.aliases),
            links: spec.links.clone(),
            gateway_priority: spec.gateway_priority,
        };
        self.put_endpoint(endpoint)?;
        self.put_sandbox(sandbox)?;
        let (limit, what) = bounds::ENDPOINTS;
        within(self.state.endpoints.len(), limit, what)?;
        let (limit, what) = bounds::ADDRESSES;
        within(self.state.index.addresses.len(), limit, what)
    }

    /// One address of each family of the network: the given one, or the next of the first subnet
    /// that has one left.
    fn choose_addresses(
        &mut self,
        network: &Network,
        spec: &EndpointSpec,
    ) -> Result<Vec<IpNet>, Refusal> {
        let mut network = network.clone();
        let mut addresses = Vec::new();
        let mut moved = false;
        let given = [spec.ip.map(IpAddr::from), spec.ip6.map(IpAddr::from)];
        for (ipv6, given) in [false, true].into_iter().zip(given) {
            let of_family = |net: &Subnet| net.pool.addr().is_ipv6() == ipv6;
            let wanted = match given {
                Some(address) => Some(self.given_address(&network, address, spec)?),
                None if ipv6 && self.without_ipv6(spec) => None,
                None if network.ipam != Ipam::Default => None,
                None if !network.subnets.iter().any(of_family) => None,
                None => {
                    let next = self.next_address(&network, ipv6)?;
                    for subnet in &mut network.subnets {
                        if subnet.pool.contains(&next.addr()) {
                            subnet.last = Some(next.addr());
                        }
                    }
                    moved = true;
                    Some(next)
                }
            };
            addresses.extend(wanted);
        }
        if addresses.is_empty() && network.ipam == Ipam::Given {
            return Err(Refusal::Invalid(format!(
                "network {} gives no addresses of its own, and none came with the request",
                network.name
            )));
        }
        if moved {
            self.put_network(network)?;
        }
        Ok(addresses)
    }

    /// An address that was asked for, if it can be had.
    fn given_address(
        &self,
        network: &Network,
        address: IpAddr,
        spec: &EndpointSpec,
    ) -> Result<IpNet, Refusal> {
        let mut subnets = network.subnets.iter();
        let subnet = subnets.find(|subnet| subnet.pool.contains(&address));
        let subnet = subnet.ok_or(Refusal::AddressOutside { address })?;
        if address.is_ipv6() && self.without_ipv6(spec) {
            return Err(Refusal::Invalid(format!(
                "IPv6 is disabled in the sandbox: it cannot have {address}"
            )));
        }
        if self.state.ipam.is_used(network.id, address) {
            return Err(Refusal::AddressInUse(address));
        }
        with_prefix_of(subnet, address)
    }

    /// IPv6 is off in the namespace, or is to be on the interface.
    pub(super) fn without_ipv6(&self, spec: &EndpointSpec) -> bool {
        let off = spec.sysctls.iter().any(|s| s.switches_ipv6_off());
        off || self.context.without_ipv6
    }

    fn next_address(&self, network: &Network, ipv6: bool) -> Result<IpNet, Refusal> {
        let subnets = network.subnets.iter();
        let of_family = subnets.filter(|subnet| subnet.pool.addr().is_ipv6() == ipv6);
        for subnet in of_family {
            if let Some(address) = self.state.ipam.next(network.id, subnet) {
                return with_prefix_of(subnet, address);
            }
        }
        Err(Refusal::AddressesExhausted {
            family: if ipv6 { "IPv6" } else { "IPv4" },
            network: network.name.to_string(),
            id: network.id,
        })
    }

    /// The given MAC, or 02:42 and the IPv4 address; where somebody was given just that, 02:42 and
    /// bytes of the endpoint's id.
    fn choose_mac(
        &self,
        network: &Network,
        given: Option<Mac>,
        addresses: &[IpNet],
        id: Id,
    ) -> Result<Mac, Refusal> {
        let used = |mac: &Mac| {
            *mac == network.host_mac() || self.state.index.macs.contains_key(&(network.id, *mac))
        };
        if let Some(mac) = given {
            return if used(&mac) {
                Err(Refusal::MacInUse(mac.to_string()))
            } else {
                Ok(mac)
            };
        }
        let v4 = addresses.iter().find_map(|net| match net.addr() {
            IpAddr::V4(v4) => Some(Mac::from_v4(v4)),
            IpAddr::V6(_) => None,
        });
        let derived = id.0.windows(4).filter_map(|bytes| {
            let octets: [u8; 4] = bytes.try_into().ok()?;
            Some(Mac::from_v4(Ipv4Addr::from(octets)))
        });
        let mut candidates = v4.into_iter().chain(derived);
        candidates
            .find(|mac| !used(mac))
            .ok_or_else(|| Refusal::MacInUse(network.host_mac().to_string()))
    }

    /// A fresh id whose host-side interface name is free too: it has eleven digits of it.
    fn fresh_endpoint_id(&mut self) -> Result<Id, Refusal> {
        loop {
            let id = self.fresh_id();
            if !self
                .state
                .index
                .interfaces
                .contains_key(&host_interface(id)?)
            {
                return Ok(id);
            }
        }
    }
}

fn with_prefix_of(subnet: &Subnet, address: IpAddr) -> Result<IpNet, Refusal> {
    let net = IpNet::new(address, subnet.pool.prefix_len());
    net.map_err(|error| Refusal::Invalid(error.to_string()))
}

fn host_interface(id: Id) -> Result<crate::model::IfName, Refusal> {
    let digits: String = id.to_string().chars().take(11).collect();
    Ok(format!("nd{digits}").parse()?)
}

fn already_connected(sandbox: &Sandbox, network: &Network) -> Refusal {
    Refusal::AlreadyConnected {
        sandbox: sandbox.name.to_string(),
        network: network.name.to_string(),
    }
}

fn unique(aliases: &[crate::model::Name]) -> Vec<crate::model::Name> {
    let mut seen = BTreeSet::new();
    let mut unique = aliases.to_vec();
    unique.retain(|alias| seen.insert(alias.clone()));
    unique
}

/// What only user-defined networks take (Docker's texts).
pub(super) fn refuse_options(spec: &EndpointSpec) -> Result<(), Refusal> {
    if spec.ip.is_some() || spec.ip6.is_some() {
        return Err(Refusal::Invalid(
            "user specified IP address is supported on user defined networks only".to_owned(),
        ));
    }
    if !spec.links.is_empty() {
        return Err(Refusal::Invalid(
            "links are only supported for user-defined networks".to_owned(),
        ));
    }
    if !spec.aliases.is_empty() {
        return Err(Refusal::Invalid(
            "network-scoped aliases are only supported for user-defined networks".to_owned(),
        ));
    }
    Ok(())
}
