//! DNS names of endpoints, as Docker gives them: the sandbox's name, its short id, its hostname and
//! the endpoint's aliases, each alone and followed by the network's name.

use std::collections::BTreeSet;

use super::State;
use crate::model::{Endpoint, Id, Name, Network, Sandbox};

/// All names under which an endpoint is found in its network: lower case, without the final dot.
/// None on the default network and for an endpoint without a sandbox.
pub fn names_of(state: &State, endpoint: &Endpoint) -> BTreeSet<String> {
    let Some(network) = state.networks.get(&endpoint.network) else {
        return BTreeSet::new();
    };
    let Some(sandbox) = endpoint.sandbox.and_then(|id| state.sandboxes.get(&id)) else {
        return BTreeSet::new();
    };
    base_names(network, sandbox, endpoint)
        .into_iter()
        .flat_map(|name| {
            let qualified = format!("{name}.{}", network.name);
            [name, qualified]
        })
        .map(|name| name.to_ascii_lowercase())
        .collect()
}

/// Docker's `DNSNames`: in this order, each once.
pub fn base_names(network: &Network, sandbox: &Sandbox, endpoint: &Endpoint) -> Vec<String> {
    if network.is_default() {
        return Vec::new();
    }
    let aliases = endpoint.aliases.iter().map(|alias| alias.to_string());
    let mut names = vec![sandbox.name.to_string()];
    names.extend(aliases);
    names.extend([sandbox.id.short(), sandbox.hostname.to_string()]);
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// An endpoint's links: its sandbox, the alias and the target, both in lower case.
pub fn links_of(endpoint: &Endpoint) -> impl Iterator<Item = (Id, String, String)> {
    let lower = |name: &Name| name.to_string().to_ascii_lowercase();
    endpoint
        .links
        .iter()
        .filter_map(move |link| Some((endpoint.sandbox?, lower(&link.alias), lower(&link.target))))
}

impl State {
    /// The endpoints that have a name in a network, by index; the name in lower case.
    pub fn named(&self, network: Id, name: &str) -> Vec<&Endpoint> {
        let mut endpoints: Vec<&Endpoint> = self
            .index
            .dns
            .get(&(network, name.to_owned()))
            .into_iter()
            .flatten()
            .filter_map(|id| self.endpoints.get(id))
            .collect();
        endpoints.sort_by_key(|endpoint| endpoint.index);
        endpoints
    }

    /// The link names that stand for a name of a network, each with the sandbox that alone has it;
    /// both names in lower case.
    pub fn linked_as(&self, network: Id, name: &str) -> BTreeSet<(Id, String)> {
        let endpoints = self.index.links.get(&(network, name.to_owned()));
        let endpoints = endpoints.into_iter().flatten();
        endpoints
            .filter_map(|id| self.endpoints.get(id))
            .flat_map(links_of)
            .filter(|(_, _, target)| target == name)
            .map(|(sandbox, alias, _)| (sandbox, alias))
            .collect()
    }

    /// The endpoints that a link name of a sandbox stands for, each once.
    pub fn linked(&self, sandbox: Id, alias: &str) -> Vec<&Endpoint> {
        let mut found: Vec<&Endpoint> = Vec::new();
        for endpoint in self.endpoints_of_sandbox(sandbox) {
            for (_, own, target) in links_of(endpoint) {
                if own == alias {
                    found.extend(self.named(endpoint.network, &target));
                }
            }
        }
        found.sort_by_key(|endpoint| endpoint.index);
        found.dedup_by_key(|endpoint| endpoint.index);
        found
    }

    /// All names under which an endpoint is found in its network.
    pub fn names_of(&self, endpoint: &Endpoint) -> BTreeSet<String> {
        names_of(self, endpoint)
    }
}
