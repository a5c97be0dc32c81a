//! The state itself: records by id, and indexes over them that every write keeps in step. No
//! request's cost depends on the number of objects it does not touch.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    change::{Change, Meta},
    ipam::Ipam,
    names::names_of,
    ports::PortTable,
};
use crate::model::{
    Endpoint, Id, IfName, Mac, Name, Network, Sandbox,
    network::{Owner, Subnet},
    sandbox::Namespace,
};

/// Everything netd knows of its objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub(super) networks: BTreeMap<Id, Network>,
    pub(super) sandboxes: BTreeMap<Id, Sandbox>,
    pub(super) endpoints: BTreeMap<Id, Endpoint>,
    pub(super) meta: Meta,
    pub(super) index: Index,
    pub(super) ipam: Ipam,
    pub(super) ports: PortTable,
}

/// What is found by something else than its id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) network_names: BTreeMap<(Name, Owner), Id>,
    pub(super) sandbox_names: BTreeMap<(Name, Owner), Id>,
    pub(super) network_numbers: BTreeMap<u32, Id>,
    pub(super) sandbox_numbers: BTreeMap<u32, Id>,
    pub(super) endpoint_numbers: BTreeMap<u32, Id>,
    /// Host-side interfaces: bridges and the like (network ids) and veths (endpoint ids).
    pub(super) interfaces: BTreeMap<IfName, Owned>,
    /// Links of the host that macvlan networks stand on, and the bases of those that are VLANs.
    pub(super) parents: BTreeMap<IfName, BTreeSet<Id>>,
    pub(super) by_network: BTreeMap<Id, BTreeSet<Id>>,
    pub(super) by_sandbox: BTreeMap<Id, BTreeSet<Id>>,
    pub(super) macs: BTreeMap<(Id, Mac), Id>,
    pub(super) addresses: BTreeMap<(Id, IpAddr), Id>,
    /// Joined namespaces, by device and inode.
    pub(super) namespaces: BTreeMap<(u64, u64), Id>,
    /// Sandboxes in the namespace of another one, by that.
    pub(super) sharers: BTreeMap<Id, BTreeSet<Id>>,
    /// DNS names of a network (lower case, with and without `.network`): the endpoints that have it.
    pub(super) dns: BTreeMap<(Id, String), BTreeSet<Id>>,
    /// Names of a network (lower case) that endpoints link to: those endpoints.
    pub(super) links: BTreeMap<(Id, String), BTreeSet<Id>>,
    /// Sandboxes that others link to on the default network: those others.
    pub(super) linking: BTreeMap<Id, BTreeSet<Id>>,
}

/// Whose a host-side interface is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owned {
    /// A network's bridge, or what a network has in its place.
    Network(Id),
    /// An endpoint's veth.
    Veth(Id),
}

/// Why records of a store cannot be a state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("contradictory records: {0}")]
pub struct Contradiction(pub String);

impl State {
    /// Rebuilds the state from a store's records; refused if they contradict each other.
    pub fn from_records(
        meta: Meta,
        networks: impl IntoIterator<Item = Network>,
        sandboxes: impl IntoIterator<Item = Sandbox>,
        endpoints: impl IntoIterator<Item = Endpoint>,
    ) -> Result<State, Contradiction> {
        let mut state = State {
            meta,
            ..State::default()
        };
        for network in networks {
            state.check_network(&network)?;
            state.set_network(network.id, Some(network));
        }
        for sandbox in sandboxes {
            state.check_sandbox(&sandbox)?;
            state.set_sandbox(sandbox.id, Some(sandbox));
        }
        state.check_sharers()?;
        for endpoint in endpoints {
            state.check_endpoint(&endpoint)?;
            state.set_endpoint(endpoint.id, Some(endpoint));
        }
        Ok(state)
    }

    /// Counters and cursors.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Host ports in use.
    pub fn ports(&self) -> &PortTable {
        &self.ports
    }

    /// The revision of the last change.
    pub fn revision(&self) -> u64 {
        self.meta.revision
    }

    /// Takes a change back and returns what that changed, to be saved and planned. The count of
    /// attaches stays, so that no two attaches ever share a generation.
    pub fn revert(&mut self, change: &Change) -> Change {
        let mut inverse = change.inverse();
        inverse.meta_before = self.meta.clone();
        inverse.meta_after.attaches = self.meta.attaches;
        self.replay(&inverse);
        inverse
    }

    /// Puts everything to what it is after a change. Endpoints leave first and come last, since
    /// they refer to the others.
    pub fn replay(&mut self, change: &Change) {
        for id in change.endpoints.keys() {
            self.set_endpoint(*id, None);
        }
        for (id, edit) in &change.networks {
            self.set_network(*id, edit.after.clone());
        }
        for (id, edit) in &change.sandboxes {
            self.set_sandbox(*id, edit.after.clone());
        }
        for (id, edit) in &change.endpoints {
            self.set_endpoint(*id, edit.after.clone());
        }
        self.meta = change.meta_after.clone();
    }

    /// Replaces a network's record and keeps the indexes in step; the former record.
    pub(super) fn set_network(&mut self, id: Id, new: Option<Network>) -> Option<Network> {
        let old = match &new {
            Some(network) => self.networks.insert(id, network.clone()),
            None => self.networks.remove(&id),
        };
        let index = &mut self.index;
        let same_subnets = match (&old, &new) {
            (Some(old), Some(new)) => subnets_equal(old, new),
            _ => false,
        };
        if let Some(old) = &old {
            index.network_names.remove(&(old.name.clone(), old.owner));
            index.network_numbers.remove(&old.index);
            for link in old.own_links() {
                index.interfaces.remove(link);
            }
            for parent in parents(old) {
                remove_from(&mut index.parents, parent, &id);
            }
            if !same_subnets {
                self.ipam.close(old);
            }
        }
        if let Some(new) = &new {
            index
                .network_names
                .insert((new.name.clone(), new.owner), id);
            index.network_numbers.insert(new.index, id);
            for link in new.own_links() {
                index.interfaces.insert(link.clone(), Owned::Network(id));
            }
            for parent in parents(new) {
                index.parents.entry(parent.clone()).or_default().insert(id);
            }
            if !same_subnets {
                self.ipam.open(new);
            }
        }
        old
    }

    /// Replaces a sandbox's record and keeps the indexes in step; the former record.
    pub(super) fn set_sandbox(&mut self, id: Id, new: Option<Sandbox>) -> Option<Sandbox> {
        let old = match &new {
            Some(sandbox) => self.sandboxes.insert(id, sandbox.clone()),
            None => self.sandboxes.remove(&id),
        };
        let index = &mut self.index;
        if let Some(old) = &old {
            index.sandbox_names.remove(&(old.name.clone(), old.owner));
            index.sandbox_numbers.remove(&old.index);
            super::sharers::index(&mut index.sharers, old, false);
            if let Namespace::Joined(joined) = &old.namespace {
                index.namespaces.remove(&(joined.device, joined.inode));
            }
            old.ports.iter().for_each(|port| self.ports.release(port));
            for link in &old.links {
                remove_from(&mut index.linking, &link.target, &id);
            }
        }
        if let Some(new) = &new {
            index
                .sandbox_names
                .insert((new.name.clone(), new.owner), id);
            index.sandbox_numbers.insert(new.index, id);
            super::sharers::index(&mut index.sharers, new, true);
            if let Namespace::Joined(joined) = &new.namespace {
                index.namespaces.insert((joined.device, joined.inode), id);
            }
            new.ports.iter().for_each(|port| self.ports.take(port));
            for link in &new.links {
                index.linking.entry(link.target).or_default().insert(id);
            }
        }
        old
    }

    /// Replaces an endpoint's record and keeps the indexes in step; the former record. Its network
    /// and sandbox must be there.
    pub(super) fn set_endpoint(&mut self, id: Id, new: Option<Endpoint>) -> Option<Endpoint> {
        let old = self.endpoints.remove(&id);
        if let Some(old) = &old {
            self.unindex_endpoint(old);
        }
        if let Some(new) = new {
            self.index_endpoint(&new);
            self.endpoints.insert(id, new);
        }
        old
    }

    fn index_endpoint(&mut self, endpoint: &Endpoint) {
        let (id, network) = (endpoint.id, endpoint.network);
        for name in names_of(self, endpoint) {
            self.index
                .dns
                .entry((network, name))
                .or_default()
                .insert(id);
        }
        let index = &mut self.index;
        for link in &endpoint.links {
            let target = (network, link.target.to_string().to_ascii_lowercase());
            index.links.entry(target).or_default().insert(id);
        }
        index.endpoint_numbers.insert(endpoint.index, id);
        let interface = endpoint.host_interface.clone();
        index.interfaces.insert(interface, Owned::Veth(id));
        index.by_network.entry(network).or_default().insert(id);
        if let Some(sandbox) = endpoint.sandbox {
            index.by_sandbox.entry(sandbox).or_default().insert(id);
        }
        index.macs.insert((network, endpoint.mac), id);
        for net in &endpoint.link_local {
            index.addresses.insert((network, net.addr()), id);
        }
        for net in &endpoint.addresses {
            index.addresses.insert((network, net.addr()), id);
            self.ipam.take(network, net.addr());
        }
    }

    fn unindex_endpoint(&mut self, endpoint: &Endpoint) {
        let (id, network) = (endpoint.id, endpoint.network);
        for name in names_of(self, endpoint) {
            remove_from(&mut self.index.dns, &(network, name), &id);
        }
        let index = &mut self.index;
        for link in &endpoint.links {
            let target = link.target.to_string().to_ascii_lowercase();
            remove_from(&mut index.links, &(network, target), &id);
        }
        index.endpoint_numbers.remove(&endpoint.index);
        index.interfaces.remove(&endpoint.host_interface);
        remove_from(&mut index.by_network, &network, &id);
        if let Some(sandbox) = endpoint.sandbox {
            remove_from(&mut index.by_sandbox, &sandbox, &id);
        }
        index.macs.remove(&(network, endpoint.mac));
        for net in &endpoint.link_local {
            index.addresses.remove(&(network, net.addr()));
        }
        for net in &endpoint.addresses {
            index.addresses.remove(&(network, net.addr()));
            self.ipam.release(network, net.addr());
        }
    }
}

fn remove_from<K: Ord>(sets: &mut BTreeMap<K, BTreeSet<Id>>, key: &K, id: &Id) {
    if let Some(set) = sets.get_mut(key) {
        set.remove(id);
        if set.is_empty() {
            sets.remove(key);
        }
    }
}

/// The links of the host that a macvlan network needs.
fn parents(network: &Network) -> impl Iterator<Item = &IfName> {
    let parent = network.macvlan().map(|options| &options.parent);
    let names = parent.map(|parent| [Some(parent.name()), parent.base()]);
    names.into_iter().flatten().flatten()
}

/// Whether two records of a network manage the same addresses.
fn subnets_equal(old: &Network, new: &Network) -> bool {
    let same =
        |(a, b): (&Subnet, &Subnet)| a.pool == b.pool && a.gateway == b.gateway && a.aux == b.aux;
    old.subnets.len() == new.subnets.len() && old.subnets.iter().zip(&new.subnets).all(same)
}
