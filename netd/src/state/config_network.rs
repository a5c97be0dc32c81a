//! Configurations that networks are made from (`--config-only`, `--config-from`): kept, and nothing
//! of them is used by themselves.

use super::{
    Refusal,
    apply::Draft,
    ipam::check_subnet,
    request::{NetworkSpec, SubnetSpec},
    table::State,
};
use crate::model::{
    Network,
    network::{Driver, Owner, Subnet},
};

/// What whoever wants to be connected to a configuration is told (Docker's text).
pub(super) fn no_endpoints() -> Refusal {
    Refusal::Invalid("cannot create endpoint on configuration-only network".to_owned())
}

impl State {
    /// The networks that were made from a configuration.
    pub fn made_from<'a>(&'a self, config: &'a Network) -> impl Iterator<Item = &'a Network> {
        let is_config = matches!(config.driver, Driver::Config(_));
        let candidates = is_config.then(|| self.networks()).into_iter().flatten();
        candidates.filter(|network| {
            network.owner == config.owner && network.config_from.as_ref() == Some(&config.name)
        })
    }

    /// A configuration of netd's own users, by name, id or id prefix.
    pub fn find_config(&self, text: &str) -> Result<Network, Refusal> {
        match self.find_network(text, Owner::Netd) {
            Ok(found) if matches!(found.driver, Driver::Config(_)) => Ok(found.clone()),
            Ok(_) | Err(Refusal::NoSuchNetwork(_)) => Err(Refusal::NoSuchConfig(text.to_owned())),
            Err(other) => Err(other),
        }
    }

    /// Whether something is connected to a network, or made from it.
    pub fn is_in_use(&self, network: &Network) -> bool {
        self.index.by_network.contains_key(&network.id) || self.made_from(network).next().is_some()
    }
}

impl Draft<'_, '_> {
    /// The configuration was looked up by the frontend; it may have gone since.
    pub(super) fn check_config_from(&self, spec: &NetworkSpec) -> Result<(), Refusal> {
        let Some(name) = &spec.config_from else {
            return Ok(());
        };
        let id = self
            .state
            .index
            .network_names
            .get(&(name.clone(), spec.owner));
        let found = id.and_then(|id| self.state.networks.get(id));
        match found.map(|network| &network.driver) {
            Some(Driver::Config(_)) => Ok(()),
            _ => Err(Refusal::NoSuchConfig(name.to_string())),
        }
    }
}

/// The subnets as they were asked for: checked by themselves, since who is made from them gets the
/// same refusals only later. Gateways are chosen then, too.
pub(super) fn config_subnets(spec: &NetworkSpec) -> Result<Vec<Subnet>, Refusal> {
    let keep = |asked: &SubnetSpec| {
        let subnet = Subnet {
            pool: asked.pool.trunc(),
            range: asked.range.map(|range| range.trunc()),
            gateway: asked.gateway,
            aux: asked.aux.clone(),
            automatic: false,
            last: None,
        };
        if !subnet.pool.addr().is_unspecified() {
            check_subnet(subnet.clone(), false)?;
        }
        Ok(subnet)
    };
    spec.subnets.iter().map(keep).collect()
}
