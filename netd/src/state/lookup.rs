//! Finding objects: by id, name, id prefix, interface; and the endpoints of networks and sandboxes.

use std::collections::BTreeMap;

use super::{
    Refusal,
    table::{Owned, State},
};
use crate::model::{Endpoint, Id, IfName, Name, Network, Sandbox, network::Owner};

impl State {
    /// A network by id.
    pub fn network(&self, id: Id) -> Option<&Network> {
        self.networks.get(&id)
    }

    /// A sandbox by id.
    pub fn sandbox(&self, id: Id) -> Option<&Sandbox> {
        self.sandboxes.get(&id)
    }

    /// An endpoint by id.
    pub fn endpoint(&self, id: Id) -> Option<&Endpoint> {
        self.endpoints.get(&id)
    }

    /// All networks.
    pub fn networks(&self) -> impl Iterator<Item = &Network> {
        self.networks.values()
    }

    /// All sandboxes.
    pub fn sandboxes(&self) -> impl Iterator<Item = &Sandbox> {
        self.sandboxes.values()
    }

    /// All sandboxes, by name.
    pub fn sandboxes_by_name(&self) -> impl Iterator<Item = &Sandbox> {
        let ids = self.index.sandbox_names.values();
        ids.filter_map(|id| self.sandboxes.get(id))
    }

    /// All endpoints.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.values()
    }

    /// The endpoints of a network.
    pub fn endpoints_of_network(&self, network: Id) -> impl Iterator<Item = &Endpoint> {
        let ids = self.index.by_network.get(&network).into_iter().flatten();
        ids.filter_map(|id| self.endpoints.get(id))
    }

    /// The endpoints of a sandbox, in the order they were made.
    pub fn endpoints_of_sandbox(&self, sandbox: Id) -> Vec<&Endpoint> {
        let ids = self.index.by_sandbox.get(&sandbox).into_iter().flatten();
        let mut endpoints: Vec<&Endpoint> = ids.filter_map(|id| self.endpoints.get(id)).collect();
        endpoints.sort_by_key(|endpoint| endpoint.generation);
        endpoints
    }

    /// The endpoint of a sandbox on a network.
    pub fn endpoint_between(&self, network: Id, sandbox: Id) -> Option<&Endpoint> {
        let ids = self.index.by_sandbox.get(&sandbox)?;
        ids.iter()
            .filter_map(|id| self.endpoints.get(id))
            .find(|endpoint| endpoint.network == network)
    }

    /// Whether an endpoint has this index and was attached with this generation; index 0 is no
    /// endpoint's and always fits.
    pub fn has_generation(&self, index: u32, generation: u32) -> bool {
        let id = self.index.endpoint_numbers.get(&index);
        let endpoint = id.and_then(|id| self.endpoints.get(id));
        index == 0 || endpoint.is_some_and(|endpoint| endpoint.generation == generation)
    }

    /// The network with this index.
    pub fn network_numbered(&self, index: u32) -> Option<&Network> {
        self.networks.get(self.index.network_numbers.get(&index)?)
    }

    /// The endpoint with this index.
    pub fn endpoint_numbered(&self, index: u32) -> Option<&Endpoint> {
        self.endpoints.get(self.index.endpoint_numbers.get(&index)?)
    }

    /// Whose a host-side interface is.
    pub fn interface(&self, name: &IfName) -> Option<Owned> {
        self.index.interfaces.get(name).copied()
    }

    /// The macvlan networks that stand on a link of the host, or on a VLAN of it.
    pub fn networks_on(&self, link: &IfName) -> impl Iterator<Item = &Network> {
        let ids = self.index.parents.get(link).into_iter().flatten();
        ids.filter_map(|id| self.networks.get(id))
    }

    /// The default network, once it was made.
    pub fn default_network(&self) -> Option<&Network> {
        let name: Name = "bridge".parse().ok()?;
        let id = self.index.network_names.get(&(name, Owner::Netd))?;
        self.networks.get(id)
    }

    /// A network by id, name (the caller's own first) or unambiguous id prefix.
    pub fn find_network(&self, text: &str, caller: Owner) -> Result<&Network, Refusal> {
        let ambiguous = |Several(count)| Refusal::AmbiguousNetwork {
            prefix: text.to_owned(),
            count,
        };
        let found = find(text, caller, &self.networks, &self.index.network_names);
        let found = found.map_err(ambiguous)?;
        found.ok_or_else(|| Refusal::NoSuchNetwork(text.to_owned()))
    }

    /// A sandbox by id, name (the caller's own first) or unambiguous id prefix.
    pub fn find_sandbox(&self, text: &str, caller: Owner) -> Result<&Sandbox, Refusal> {
        let found = find(text, caller, &self.sandboxes, &self.index.sandbox_names);
        let found = found.map_err(|Several(_)| Refusal::Ambiguous(text.to_owned()))?;
        found.ok_or_else(|| Refusal::NoSuchSandbox(text.to_owned()))
    }

    /// An endpoint by id or unambiguous id prefix: it has no name of its own.
    pub fn find_endpoint(&self, text: &str) -> Result<&Endpoint, Refusal> {
        let found = by_prefix(text, &self.endpoints);
        let found = found.map_err(|Several(_)| Refusal::Ambiguous(text.to_owned()))?;
        found.ok_or_else(|| Refusal::NoSuchEndpoint(text.to_owned()))
    }
}

/// A prefix fits so many.
struct Several(usize);

/// Docker's order: full id, name, id prefix.
fn find<'a, T>(
    text: &str,
    caller: Owner,
    records: &'a BTreeMap<Id, T>,
    names: &BTreeMap<(Name, Owner), Id>,
) -> Result<Option<&'a T>, Several> {
    if let Ok(id) = text.parse::<Id>()
        && let Some(record) = records.get(&id)
    {
        return Ok(Some(record));
    }
    if let Ok(name) = text.parse::<Name>() {
        let own = names.get(&(name.clone(), caller));
        let others = || {
            names
                .range((name.clone(), Owner::Netd)..=(name.clone(), Owner::Cni))
                .map(|(_, id)| id)
                .next()
        };
        if let Some(id) = own.or_else(others) {
            return Ok(records.get(id));
        }
    }
    by_prefix(text, records)
}

/// What has an id that begins like this.
fn by_prefix<'a, T>(text: &str, records: &'a BTreeMap<Id, T>) -> Result<Option<&'a T>, Several> {
    let Some((first, last)) = prefix_bounds(text) else {
        return Ok(None);
    };
    let mut matches = records.range(first..=last).map(|(_, record)| record);
    match (matches.next(), matches.next()) {
        (Some(_), Some(_)) => Err(Several(2 + matches.count())),
        (found, _) => Ok(found),
    }
}

/// The smallest and the largest id with this prefix of lower-case hex digits.
fn prefix_bounds(prefix: &str) -> Option<(Id, Id)> {
    if prefix.is_empty() || prefix.len() > 64 {
        return None;
    }
    let filled = |digit: &str| {
        let missing = 64 - prefix.len();
        format!("{prefix}{}", digit.repeat(missing)).parse().ok()
    };
    Some((filled("0")?, filled("f")?))
}
