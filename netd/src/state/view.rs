//! What frontends list and inspect: read-only copies, gathered here so that no frontend knows the
//! indexes.

use super::{Refusal, ipam::Usage, names::base_names, table::State};
use crate::model::{
    Endpoint, Id, Network, PublishedPort, Sandbox,
    network::{Driver, Owner},
    sandbox::{Mode, SandboxLink},
};

/// A network with its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkView {
    /// The record.
    pub network: Network,
    /// By sandbox name.
    pub endpoints: Vec<EndpointView>,
    /// Id and name of the sandboxes that are the host or have no network: of `host` and `none`.
    pub members: Vec<(Id, String)>,
    /// Addresses in use and free, of each subnet; empty in lists.
    pub usage: Vec<Usage>,
}

/// An endpoint with what surrounds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointView {
    /// The record.
    pub endpoint: Endpoint,
    /// Its network.
    pub network: Network,
    /// Its sandbox's id and name.
    pub sandbox: Option<(Id, String)>,
    /// The sandbox's default route of the family leads through it: IPv4, IPv6.
    pub is_gateway: [bool; 2],
    /// Docker's `DNSNames`; empty on the default network.
    pub dns_names: Vec<String>,
}

/// A sandbox with its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxView {
    /// The record.
    pub sandbox: Sandbox,
    /// Whose namespace and files it has: mostly itself.
    pub holder: Sandbox,
    /// In the order they were made.
    pub endpoints: Vec<EndpointView>,
    /// All its published ports.
    pub ports: Vec<PortView>,
    /// `host` or `none`, if it is there.
    pub mode_network: Option<Id>,
    /// Its links on the default network as Docker writes them: `/TARGET:/NAME/ALIAS`.
    pub links: Vec<String>,
}

/// A published port and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortView {
    /// The record.
    pub port: PublishedPort,
    /// The endpoint it leads to; `None`: reserved, no network can carry it.
    pub target: Option<Id>,
}

impl State {
    /// All networks, by name.
    pub fn list_networks(&self) -> Vec<NetworkView> {
        let names = self.index.network_names.values();
        names.filter_map(|id| self.view_network(*id)).collect()
    }

    /// All sandboxes, by name.
    pub fn list_sandboxes(&self) -> Vec<SandboxView> {
        let names = self.index.sandbox_names.values();
        names.filter_map(|id| self.view_sandbox(*id)).collect()
    }

    /// A network by name, id or id prefix.
    pub fn inspect_network(&self, text: &str) -> Result<NetworkView, Refusal> {
        let id = self.find_network(text, Owner::Netd)?.id;
        self.view_network(id)
            .ok_or_else(|| Refusal::NoSuchNetwork(text.to_owned()))
    }

    /// A sandbox by name, id or id prefix.
    pub fn inspect_sandbox(&self, text: &str) -> Result<SandboxView, Refusal> {
        let id = self.find_sandbox(text, Owner::Netd)?.id;
        self.view_sandbox(id)
            .ok_or_else(|| Refusal::NoSuchSandbox(text.to_owned()))
    }

    /// An endpoint by id or id prefix.
    pub fn inspect_endpoint(&self, text: &str) -> Result<EndpointView, Refusal> {
        let endpoint = self.find_endpoint(text)?;
        self.view_endpoint(endpoint)
            .ok_or_else(|| Refusal::NoSuchEndpoint(text.to_owned()))
    }

    fn view_network(&self, id: Id) -> Option<NetworkView> {
        let mut endpoints: Vec<EndpointView> = self
            .endpoints_of_network(id)
            .filter_map(|endpoint| self.view_endpoint(endpoint))
            .collect();
        endpoints.sort_by(|a, b| {
            let key = |view: &EndpointView| view.sandbox.as_ref().map(|(_, name)| name.clone());
            key(a).cmp(&key(b))
        });
        let network = self.network(id)?;
        let subnets = network.subnets.iter();
        Some(NetworkView {
            network: network.clone(),
            endpoints,
            members: self.members(network),
            usage: subnets.map(|subnet| self.ipam.usage(id, subnet)).collect(),
        })
    }

    fn members(&self, network: &Network) -> Vec<(Id, String)> {
        let mode = match network.driver {
            Driver::Host => Mode::Host,
            Driver::None => Mode::None,
            Driver::Bridge(_) | Driver::Macvlan(_) | Driver::Config(_) => return Vec::new(),
        };
        let sandboxes = self.sandboxes().filter(|sandbox| sandbox.mode == mode);
        sandboxes
            .map(|sandbox| (sandbox.id, sandbox.name.to_string()))
            .collect()
    }

    fn mode_network(&self, sandbox: &Sandbox) -> Option<Id> {
        let name = match sandbox.mode {
            Mode::Bridge | Mode::Shared(_) => return None,
            Mode::Host => "host",
            Mode::None => "none",
        };
        let network = self.find_network(name, Owner::Netd).ok()?;
        Some(network.id)
    }

    fn view_sandbox(&self, id: Id) -> Option<SandboxView> {
        let sandbox = self.sandbox(id)?;
        let endpoints = self.endpoints_of_sandbox(id);
        let targets = self.port_targets(id);
        let ports = sandbox.ports.iter().map(|port| PortView {
            port: port.clone(),
            target: targets.of(port).map(|endpoint| endpoint.id),
        });
        Some(SandboxView {
            sandbox: sandbox.clone(),
            endpoints: endpoints
                .into_iter()
                .filter_map(|endpoint| self.view_endpoint(endpoint))
                .collect(),
            ports: ports.collect(),
            holder: self.holder(sandbox).clone(),
            mode_network: self.mode_network(sandbox),
            links: self.link_texts(sandbox),
        })
    }

    fn link_texts(&self, sandbox: &Sandbox) -> Vec<String> {
        let text = |link: &SandboxLink| {
            let target = &self.sandbox(link.target)?.name;
            Some(format!("/{target}:/{}/{}", sandbox.name, link.alias))
        };
        sandbox.links.iter().filter_map(text).collect()
    }

    fn view_endpoint(&self, endpoint: &Endpoint) -> Option<EndpointView> {
        let network = self.network(endpoint.network)?;
        let sandbox = endpoint.sandbox.and_then(|id| self.sandbox(id));
        let is_gateway = |ipv6| {
            let gateway = sandbox.and_then(|sandbox| self.gateway_endpoint(sandbox.id, ipv6));
            gateway.is_some_and(|gateway| gateway.id == endpoint.id)
        };
        Some(EndpointView {
            endpoint: endpoint.clone(),
            network: network.clone(),
            sandbox: sandbox.map(|sandbox| (sandbox.id, sandbox.name.to_string())),
            is_gateway: [is_gateway(false), is_gateway(true)],
            dns_names: sandbox.map_or(Vec::new(), |sandbox| base_names(network, sandbox, endpoint)),
        })
    }
}
