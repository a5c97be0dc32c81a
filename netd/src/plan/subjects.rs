//! Which objects a plan is about: those that a change touched and those whose entries follow from
//! them, and no others.

use std::collections::BTreeSet;

use crate::{
    model::{Id, Network, Sandbox},
    state::{
        Change, Edit, State, links_of,
        ports::{NamedPiece, named_pieces},
    },
};

/// Objects to plan for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subjects {
    /// Uplinks, host addresses, host-wide programs and settings.
    pub host: bool,
    /// The sysctl of reserved ports.
    pub reserved: bool,
    /// The resolver's namespace and veth.
    pub resolver: bool,
    /// Networks.
    pub networks: BTreeSet<Id>,
    /// Sandboxes.
    pub sandboxes: BTreeSet<Id>,
    /// Endpoints.
    pub endpoints: BTreeSet<Id>,
    /// Sandboxes that are linked with those on the default network: their files and their endpoints'
    /// entries follow, and nothing further.
    pub peers: BTreeSet<Id>,
    /// Names, by network, in lower case.
    pub names: BTreeSet<(Id, String)>,
    /// Names of links, by sandbox, in lower case.
    pub links: BTreeSet<(Id, String)>,
    /// Host ports that are published at named addresses.
    pub named_ports: BTreeSet<NamedPiece>,
}

impl Subjects {
    /// Everything there is.
    pub fn all(state: &State) -> Subjects {
        let endpoints = state.endpoints();
        let names = endpoints.flat_map(|endpoint| {
            let names = state.names_of(endpoint);
            names.into_iter().map(|name| (endpoint.network, name))
        });
        let links = state.endpoints().flat_map(links_of);
        Subjects {
            host: true,
            reserved: true,
            resolver: true,
            links: links.map(|(sandbox, alias, _)| (sandbox, alias)).collect(),
            peers: BTreeSet::new(),
            networks: state.networks().map(|network| network.id).collect(),
            sandboxes: state.sandboxes().map(|sandbox| sandbox.id).collect(),
            endpoints: state.endpoints().map(|endpoint| endpoint.id).collect(),
            names: names.collect(),
            named_ports: (state.sandboxes())
                .flat_map(|sandbox| sandbox.ports.iter().flat_map(named_pieces))
                .collect(),
        }
    }

    /// The objects that a change touched, without what follows from them.
    pub fn of(change: &Change) -> Subjects {
        let networks = change.networks.iter();
        Subjects {
            networks: networks
                .filter(|(_, edit)| shows(edit))
                .map(|(id, _)| *id)
                .collect(),
            sandboxes: change.sandboxes.keys().copied().collect(),
            endpoints: change.endpoints.keys().copied().collect(),
            reserved: change.sandboxes.values().any(moves_ports),
            ..Subjects::default()
        }
    }

    /// One network with everything on it.
    pub fn network(state: &State, id: Id) -> Subjects {
        Subjects {
            networks: [id].into(),
            endpoints: state.endpoints_of_network(id).map(|e| e.id).collect(),
            ..Subjects::default()
        }
    }

    /// Adds what follows in this state: an endpoint's names, its links and those to it, and its
    /// sandbox; networks that share a parent; a sandbox's endpoints, since routes, ports and flags
    /// move between them; its ports at named addresses, and those it is linked with.
    pub fn close(&mut self, state: &State) {
        for id in &self.endpoints {
            let Some(endpoint) = state.endpoint(*id) else {
                continue;
            };
            self.sandboxes.extend(endpoint.sandbox);
            let names = state.names_of(endpoint).into_iter();
            self.names
                .extend(names.map(|name| (endpoint.network, name)));
            let links = links_of(endpoint);
            self.links
                .extend(links.map(|(sandbox, alias, _)| (sandbox, alias)));
        }
        for (network, name) in &self.names {
            self.links.extend(state.linked_as(*network, name));
        }
        // A VLAN stays as long as a network is on it.
        let networks = self.networks.iter().filter_map(|id| state.network(*id));
        let parents = networks.filter_map(|network| Some(&network.macvlan()?.parent));
        let sharing = parents.flat_map(|parent| state.networks_on(parent.name()));
        let sharing: BTreeSet<Id> = sharing.map(|network| network.id).collect();
        self.networks.extend(sharing);
        for id in &self.sandboxes {
            self.peers.extend(state.link_peers(*id));
            let ports = state.sandbox(*id).into_iter().flat_map(|s| &s.ports);
            self.named_ports.extend(ports.flat_map(named_pieces));
            let endpoints = state.endpoints_of_sandbox(*id);
            self.endpoints
                .extend(endpoints.iter().map(|endpoint| endpoint.id));
        }
    }

    /// Nothing to plan.
    pub fn is_empty(&self) -> bool {
        *self == Subjects::default()
    }
}

/// Whether other host ports are taken after an edit than before.
fn moves_ports(edit: &Edit<Sandbox>) -> bool {
    let ports = |sandbox: &Option<Sandbox>| sandbox.as_ref().map(|s| s.ports.clone());
    ports(&edit.before).unwrap_or_default() != ports(&edit.after).unwrap_or_default()
}

/// Whether an edit of a network shows outside of the state: the cursor of its addresses does not.
fn shows(edit: &Edit<Network>) -> bool {
    let without_cursor = |network: &Option<Network>| {
        let mut network = network.clone();
        let subnets = network.iter_mut().flat_map(|network| &mut network.subnets);
        subnets.for_each(|subnet| subnet.last = None);
        network
    };
    without_cursor(&edit.before) != without_cursor(&edit.after)
}
