//! Sandboxes: create and remove.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    Change, Context, Refusal, Reply, State,
    apply::{Draft, bounds, next_index, own, within},
    config_network::no_endpoints,
    endpoint::refuse_options,
    publish::DISCARDED,
    request::{EndpointSpec, PortSpec, SandboxSpec},
};
use crate::model::{
    ExposedPorts, Id, Name, Network, Sandbox,
    endpoint::Link,
    network::{Driver, Owner},
    sandbox::{DnsSettings, Joined, Mode, Namespace},
};

impl State {
    /// Removes a sandbox whose namespace has ended, whoever owns it, with its endpoints.
    pub fn collect(&mut self, id: Id, context: &mut Context<'_>) -> Result<Change, Refusal> {
        let ((), change) = self.draft(context, |draft| {
            draft.drop_sandbox(id);
            Ok(())
        })?;
        Ok(change)
    }
}

impl Draft<'_, '_> {
    pub(super) fn create_sandbox(&mut self, spec: &SandboxSpec) -> Result<Reply, Refusal> {
        let id = self.given_or_fresh(spec.id)?;
        let short: Name = id.short().parse()?;
        let name = spec.name.clone().unwrap_or_else(|| short.clone());
        let key = (name.clone(), spec.owner);
        if let Some(id) = self.state.index.sandbox_names.get(&key) {
            return Err(Refusal::SandboxExists {
                name: name.to_string(),
                id: *id,
            });
        }
        if let Some(target) = &spec.share {
            return self.create_shared(id, name, target, spec);
        }
        let mut networks = self.resolve_networks(spec)?;
        let mode = choose_mode(&networks)?;
        let mut warnings = self.without_servers(mode, &networks, &spec.dns);
        let links = default_links(&mut networks);
        let links = self.resolve_links(&links, spec.owner, &mut warnings)?;
        let namespace = self.choose_namespace(mode, spec.namespace.as_ref())?;
        let hostname = self.choose_hostname(mode, spec).unwrap_or(short);
        let sandbox = Sandbox {
            exposed: exposed(spec),
            links,
            dns: spec.dns.clone(),
            extra_hosts: self.extra_hosts(spec)?,
            ..self.new_sandbox(id, name, spec, (mode, namespace, hostname))
        };
        self.put_sandbox(sandbox)?;
        if mode == Mode::Bridge {
            for (network, endpoint) in &networks {
                self.add_endpoint(network.id, id, endpoint)?;
            }
        } else if let Some((_, endpoint)) = networks.first() {
            refuse_options(endpoint)?;
            refuse_interface(endpoint)?;
        }
        if mode == Mode::Host && (!spec.ports.is_empty() || spec.publish_all) {
            warnings.push(DISCARDED.to_owned());
        } else {
            let ports: Vec<PortSpec> = spec.ports.iter().cloned().chain(unnamed(spec)).collect();
            self.publish(id, &ports, &mut warnings)?;
        }
        let (limit, what) = bounds::SANDBOXES;
        within(self.state.sandboxes.len(), limit, what)?;
        Ok(Reply::Created { id, warnings })
    }

    /// A sandbox with the next number and what any has from its beginning, wherever it is.
    pub(super) fn new_sandbox(
        &mut self,
        id: Id,
        name: Name,
        spec: &SandboxSpec,
        (mode, namespace, hostname): (Mode, Namespace, Name),
    ) -> Sandbox {
        let meta = &mut self.state.meta;
        meta.last_sandbox = next_index(&self.state.index.sandbox_numbers, meta.last_sandbox);
        Sandbox {
            id,
            index: meta.last_sandbox,
            name,
            owner: spec.owner,
            hostname,
            namespace,
            mode,
            ports: Vec::new(),
            exposed: Vec::new(),
            env: spec.env.clone(),
            links: Vec::new(),
            dns: DnsSettings::default(),
            extra_hosts: Vec::new(),
            labels: spec.labels.clone(),
            next_interface: 0,
            next_of_prefix: BTreeMap::new(),
            created: self.context.now,
        }
    }

    /// What to tell of a sandbox whose name servers come from nowhere.
    fn without_servers(
        &self,
        mode: Mode,
        networks: &[(Network, EndpointSpec)],
        dns: &DnsSettings,
    ) -> Vec<String> {
        let has_names = networks.iter().any(|(network, _)| !network.is_default());
        let facts = self.context.facts;
        let has_servers = match (mode, has_names) {
            (Mode::Bridge, false) => !facts.external_servers.is_empty(),
            // It asks netd, whose log tells of this; it is the host; it asks nobody.
            (Mode::Bridge, true) | (Mode::Host | Mode::None | Mode::Shared(_), _) => true,
        };
        if has_servers || !dns.servers.is_empty() {
            return Vec::new();
        }
        let fallback = &self.context.settings.dns_fallback;
        let fallback: Vec<String> = fallback.iter().map(ToString::to_string).collect();
        let servers = fallback.join(" and ");
        vec![format!(
            "The host has no name server that the sandbox can reach: using {servers}"
        )]
    }

    /// The networks asked for, found and each once; the default network where none was.
    fn resolve_networks(
        &self,
        spec: &SandboxSpec,
    ) -> Result<Vec<(Network, EndpointSpec)>, Refusal> {
        let default = [("bridge".to_owned(), EndpointSpec::default())];
        let asked = if spec.networks.is_empty() {
            &default[..]
        } else {
            &spec.networks
        };
        let mut found: Vec<(Network, EndpointSpec)> = Vec::new();
        for (text, endpoint) in asked {
            let network = self.state.find_network(text, spec.owner)?;
            if found.iter().any(|(other, _)| other.id == network.id) {
                let name = spec.name.as_ref().map_or(String::new(), Name::to_string);
                return Err(Refusal::AlreadyConnected {
                    sandbox: name,
                    network: network.name.to_string(),
                });
            }
            if !network.predefined {
                own(network.name.as_str(), network.owner, spec.owner)?;
            }
            found.push((network.clone(), endpoint.clone()));
        }
        Ok(found)
    }

    /// The given one; a sandbox that is the host has the host's name. Else its id has to do.
    fn choose_hostname(&self, mode: Mode, spec: &SandboxSpec) -> Option<Name> {
        let hosts = || match mode {
            Mode::Host => self.context.facts.hostname.clone(),
            Mode::Bridge | Mode::None | Mode::Shared(_) => None,
        };
        spec.hostname.clone().or_else(hosts)
    }

    fn choose_namespace(&self, mode: Mode, joined: Option<&Joined>) -> Result<Namespace, Refusal> {
        match (mode, joined) {
            (Mode::Host, Some(_)) => Err(Refusal::Invalid(
                "conflicting options: a network namespace and the host network mode".to_owned(),
            )),
            (Mode::Host, None) => Ok(Namespace::Host),
            (_, None) => Ok(Namespace::Made),
            (_, Some(joined)) => {
                let key = (joined.device, joined.inode);
                match self.state.index.namespaces.get(&key) {
                    Some(id) => {
                        let sandbox = self.state.sandboxes.get(id);
                        let name = sandbox.map_or(String::new(), |other| other.name.to_string());
                        Err(Refusal::NamespaceInUse(name))
                    }
                    None => Ok(Namespace::Joined(joined.clone())),
                }
            }
        }
    }

    /// `--add-host`; `host-gateway` is the default network's gateway, as in Docker.
    fn extra_hosts(&self, spec: &SandboxSpec) -> Result<Vec<(String, IpAddr)>, Refusal> {
        let gateway = || {
            let network = self.state.default_network()?;
            network.subnets.iter().find_map(|subnet| subnet.gateway)
        };
        let missing =
            || Refusal::Invalid("unable to derive the IP value for host-gateway".to_owned());
        spec.extra_hosts
            .iter()
            .map(|(name, address)| {
                let address = address.or_else(gateway).ok_or_else(missing)?;
                Ok((name.clone(), address))
            })
            .collect()
    }

    pub(super) fn remove_sandbox(&mut self, text: &str, force: bool) -> Result<Reply, Refusal> {
        let sandbox = match self.state.find_sandbox(text, Owner::Netd) {
            Err(Refusal::NoSuchSandbox(_)) if force => return Ok(Reply::Done),
            found => found?,
        };
        own(sandbox.name.as_str(), sandbox.owner, Owner::Netd)?;
        self.refuse_shared(sandbox, force)?;
        let id = sandbox.id;
        self.drop_sandbox(id);
        Ok(Reply::Done)
    }

    /// Removes a sandbox with its endpoints, and those in its namespace.
    pub(super) fn drop_sandbox(&mut self, id: Id) {
        let sharers = self.state.sharers(id).into_iter();
        let sharers: Vec<Id> = sharers.map(|sandbox| sandbox.id).collect();
        sharers.into_iter().for_each(|id| self.delete_sandbox(id));
        let endpoints = self.state.index.by_sandbox.get(&id).cloned();
        for endpoint in endpoints.unwrap_or_else(BTreeSet::new) {
            self.delete_endpoint(endpoint);
        }
        self.drop_links_to(id);
        self.delete_sandbox(id);
    }
}

/// Takes the links of the default network out of its wish: they are the sandbox's.
fn default_links(networks: &mut [(Network, EndpointSpec)]) -> Vec<Link> {
    let wishes = networks
        .iter_mut()
        .filter(|(network, _)| network.is_default());
    wishes
        .flat_map(|(_, wish)| std::mem::take(&mut wish.links))
        .collect()
}

/// What a sandbox exposes: what it says, and what it publishes (Docker's rule).
fn exposed(spec: &SandboxSpec) -> Vec<ExposedPorts> {
    ExposedPorts::merged(spec.exposed.iter().copied().chain(named(spec)))
}

/// The inner sides of `-p`.
fn named(spec: &SandboxSpec) -> impl Iterator<Item = ExposedPorts> + '_ {
    spec.ports.iter().map(|port| ExposedPorts {
        protocol: port.protocol,
        range: port.target,
    })
}

/// What `-P` adds: the exposed ports that `-p` does not name, each range at automatic ports.
fn unnamed(spec: &SandboxSpec) -> Vec<PortSpec> {
    if !spec.publish_all {
        return Vec::new();
    }
    let named: Vec<ExposedPorts> = named(spec).collect();
    let rest = exposed(spec).into_iter().flat_map(|e| e.without(&named));
    rest.map(|ports| PortSpec {
        host_address: None,
        host: None,
        target: ports.range,
        protocol: ports.protocol,
    })
    .collect()
}

/// Without an interface of its own there is nothing to give an address to (Docker's text, which it has
/// for the host alone).
fn refuse_interface(spec: &EndpointSpec) -> Result<(), Refusal> {
    if spec.mac.is_some() {
        let text = "conflicting options: mac-address and the network mode";
        return Err(Refusal::Invalid(text.to_owned()));
    }
    if spec.gateway_priority != 0 {
        let text = "conflicting options: gw-priority and the network mode";
        return Err(Refusal::Invalid(text.to_owned()));
    }
    Ok(())
}

/// `host` and `none` stand alone.
fn choose_mode(networks: &[(Network, EndpointSpec)]) -> Result<Mode, Refusal> {
    let alone = networks.len() == 1;
    let mut mode = Mode::Bridge;
    for (network, _) in networks {
        mode = match network.driver {
            Driver::Bridge(_) | Driver::Macvlan(_) => mode,
            Driver::Host if alone => Mode::Host,
            Driver::None if alone => Mode::None,
            Driver::Host => return Err(Refusal::HostNetwork),
            Driver::None => return Err(Refusal::NoneNetwork),
            Driver::Config(_) => return Err(no_endpoints()),
        };
    }
    Ok(mode)
}
