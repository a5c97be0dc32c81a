//! What a plan is computed from: the state, the host's facts, the settings, and the numbers that
//! the kernel gave to links and namespaces.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use netd_common::abi::endpoint::flags;

use super::{Desired, Observed, Place, Subjects};
use crate::{
    model::{
        Endpoint, HostFacts, Id, IfName, Network, Sandbox,
        network::{GatewayMode, GatewayOptions},
        sandbox::Mode,
    },
    state::{Settings, State},
};

/// Numbers that the kernel gave: known once something was made or seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identities {
    links: BTreeMap<IfName, u32>,
    names: BTreeMap<u32, IfName>,
    cookies: BTreeMap<Place, u64>,
    /// Links that netd deleted lately: what is told of them afterwards is no news.
    deleted: BTreeMap<u32, IfName>,
}

/// Deleted links that are remembered. More are forgotten together: then what is told of them is
/// looked into once more than needed.
const MAX_DELETED: usize = 1_024;

impl Identities {
    /// Learns from an observation.
    pub fn learn(&mut self, observed: &Observed) {
        for ((place, name), link) in &observed.links {
            if *place == Place::Host && link.ours {
                self.remove_link(name);
                self.deleted.remove(&link.ifindex);
                self.links.insert(name.clone(), link.ifindex);
                self.names.insert(link.ifindex, name.clone());
            }
        }
        let cookies = observed.namespaces.iter();
        self.cookies
            .extend(cookies.map(|(place, cookie)| (*place, *cookie)));
    }

    /// A link is gone.
    pub fn forget_link(&mut self, name: &IfName) {
        if let Some(ifindex) = self.remove_link(name) {
            if self.deleted.len() >= MAX_DELETED {
                self.deleted.clear();
            }
            self.deleted.insert(ifindex, name.clone());
        }
    }

    fn remove_link(&mut self, name: &IfName) -> Option<u32> {
        let ifindex = self.links.remove(name)?;
        self.names.remove(&ifindex);
        Some(ifindex)
    }

    /// Whether a number was that of a link which netd deleted lately.
    pub fn was_link(&self, ifindex: u32) -> bool {
        self.deleted.contains_key(&ifindex)
    }

    /// Whether a name was that of a link which netd deleted lately.
    pub fn was_named(&self, name: &IfName) -> bool {
        self.deleted.values().any(|deleted| deleted == name)
    }

    /// A namespace is gone.
    pub fn forget_namespace(&mut self, place: Place) {
        self.cookies.remove(&place);
    }

    /// The number of a link that netd made in the host namespace.
    pub fn ifindex(&self, link: &IfName) -> Option<u32> {
        self.links.get(link).copied()
    }

    /// The link of netd's with a number.
    pub fn link(&self, ifindex: u32) -> Option<&IfName> {
        self.names.get(&ifindex)
    }

    /// The cookie of a namespace (SO_NETNS_COOKIE).
    pub fn cookie(&self, place: Place) -> Option<u64> {
        self.cookies.get(&place).copied()
    }
}

/// Everything a plan depends on.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The state.
    pub state: &'a State,
    /// The host.
    pub facts: &'a HostFacts,
    /// The agent's settings.
    pub settings: &'a Settings,
    /// The kernel's numbers.
    pub identities: &'a Identities,
}

/// Namespaces, links, neighbours, sysctls and files of the subjects: what needs no number of the
/// kernel's.
pub fn links(scene: &Scene<'_>, subjects: &Subjects) -> Desired {
    let mut desired = Desired::default();
    if subjects.host || subjects.reserved {
        super::reserved::links(scene, &mut desired);
    }
    if subjects.resolver {
        super::resolver::links(&mut desired);
    }
    for id in &subjects.networks {
        if let Some(network) = scene.state.network(*id) {
            super::bridge::links(network, &mut desired);
            super::macvlan::network_links(scene, network, &mut desired);
        }
    }
    for id in &subjects.sandboxes {
        if let Some(sandbox) = scene.state.sandbox(*id) {
            super::sandbox::links(scene, sandbox, &mut desired);
        }
    }
    for id in &subjects.peers {
        if let Some(sandbox) = scene.state.sandbox(*id) {
            super::sandbox::links(scene, sandbox, &mut desired);
        }
    }
    for id in &subjects.endpoints {
        if let Some(joined) = scene.joined(*id) {
            super::endpoint::links(scene, &joined, &mut desired);
        }
    }
    desired
}

/// Attachments and entries of the subjects, and what the agent's DNS server is told, added to
/// their links.
pub fn entries(scene: &Scene<'_>, subjects: &Subjects, desired: &mut Desired) {
    if subjects.host {
        super::host::entries(scene, desired);
    }
    if subjects.resolver {
        super::resolver::entries(scene, desired);
    }
    for id in &subjects.networks {
        if let Some(network) = scene.state.network(*id) {
            super::bridge::entries(scene, network, desired);
            super::macvlan::network_entries(scene, network, desired);
        }
    }
    for id in &subjects.sandboxes {
        if let Some(sandbox) = scene.state.sandbox(*id) {
            super::sandbox::entries(scene, sandbox, desired);
            super::links::entries(scene, sandbox, desired);
        }
    }
    for id in &subjects.peers {
        let endpoint = scene.state.default_endpoint(*id);
        if let Some(joined) = endpoint.and_then(|endpoint| scene.joined(endpoint.id)) {
            super::endpoint::entries(scene, &joined, desired);
        }
    }
    for id in &subjects.endpoints {
        if let Some(joined) = scene.joined(*id) {
            super::endpoint::entries(scene, &joined, desired);
        }
    }
    for (network, name) in &subjects.names {
        super::names::entries(scene, *network, name, desired);
    }
    for (sandbox, alias) in &subjects.links {
        super::names::link_entries(scene, *sandbox, alias, desired);
    }
    for piece in &subjects.named_ports {
        super::sandbox::named_port_entry(scene, piece, desired);
    }
}

/// An endpoint with its network and sandbox: only such ones are in the kernel.
pub struct JoinedEndpoint<'a> {
    /// The endpoint.
    pub endpoint: &'a Endpoint,
    /// Its network.
    pub network: &'a Network,
    /// Its sandbox.
    pub sandbox: &'a Sandbox,
}

impl<'a> Scene<'a> {
    /// An endpoint that is joined to a sandbox.
    pub fn joined(&self, id: Id) -> Option<JoinedEndpoint<'a>> {
        let endpoint = self.state.endpoint(id)?;
        Some(JoinedEndpoint {
            endpoint,
            network: self.state.network(endpoint.network)?,
            sandbox: self.state.sandbox(endpoint.sandbox?)?,
        })
    }

    /// The number of a link of netd's in the host namespace; noted where it is not known.
    pub(super) fn ifindex(&self, link: &IfName, desired: &mut Desired) -> Option<u32> {
        let ifindex = self.identities.ifindex(link);
        if ifindex.is_none() {
            desired.unidentified.insert((Place::Host, link.clone()));
        }
        ifindex
    }

    /// The networks of a sandbox in the order its gateways are chosen, with its endpoints there.
    pub(super) fn networks_of(&self, sandbox: Id) -> Vec<(&'a Network, &'a Endpoint)> {
        let mut networks: Vec<(&Network, &Endpoint)> = self
            .state
            .endpoints_of_sandbox(sandbox)
            .into_iter()
            .filter_map(|endpoint| Some((self.state.network(endpoint.network)?, endpoint)))
            .collect();
        networks.sort_by_key(|(network, endpoint)| {
            let priority = Reverse(endpoint.gateway_priority);
            (priority, &network.name, network.id)
        });
        networks
    }

    /// Whether a sandbox asks netd's resolver: it is on a network with names.
    pub(super) fn uses_resolver(&self, sandbox: &Sandbox) -> bool {
        let networks = self.networks_of(sandbox.id);
        sandbox.mode == Mode::Bridge && networks.iter().any(|(network, _)| !network.is_default())
    }

    /// The endpoints that published ports of a sandbox lead to.
    pub(super) fn port_targets(&self, sandbox: &Sandbox) -> BTreeSet<Id> {
        let targets = self.state.port_targets(sandbox.id);
        let ports = sandbox.ports.iter();
        ports
            .filter_map(|port| targets.of(port))
            .map(|endpoint| endpoint.id)
            .collect()
    }
}

/// The bits of an endpoint or subnet that are its network's.
pub(super) fn network_flags(network: &Network) -> u32 {
    let Some(bridge) = network.bridge() else {
        return 0;
    };
    [
        (bridge.icc, flags::ICC),
        (network.internal, flags::INTERNAL),
        (bridge.masquerade, flags::MASQUERADE),
        (!bridge.gateway.trusted.is_empty(), flags::TRUSTS),
        (bridge.gateway.dhcp_server, flags::SERVES_DHCP),
    ]
    .into_iter()
    .chain((0..2).flat_map(|family| family_flags(&bridge.gateway, family)))
    .filter(|(set, _)| *set)
    .map(|(_, flag)| flag)
    .sum()
}

fn family_flags(gateway: &GatewayOptions, family: usize) -> [(bool, u32); 3] {
    let mode = gateway.modes[family];
    [
        (mode == GatewayMode::Routed, flags::ROUTED[family]),
        (
            mode == GatewayMode::NatUnprotected,
            flags::UNPROTECTED[family],
        ),
        (gateway.egress[family].is_some(), flags::EGRESS[family]),
    ]
}
