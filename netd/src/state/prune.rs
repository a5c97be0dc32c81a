//! `network prune`: what nobody is connected to goes, as far as the filters allow it.

use super::{Refusal, Reply, apply::Draft, request::PruneSpec, table::State};
use crate::model::{
    Id, Name, Network,
    network::{Driver, Owner},
};

impl State {
    /// Whether a network that is not predefined has nothing connected (Docker's "dangling").
    pub fn is_dangling(&self, network: &Network) -> bool {
        !network.predefined && !self.index.by_network.contains_key(&network.id)
    }
}

impl Draft<'_, '_> {
    pub(super) fn prune_networks(&mut self, spec: &PruneSpec) -> Result<Reply, Refusal> {
        let goes = |network: &&Network| {
            // Configurations are never in use in this sense, and stay (Docker's rule).
            let is_config = matches!(network.driver, Driver::Config(_));
            !is_config && network.owner == Owner::Netd && spec.takes(network)
        };
        let unused: Vec<(Id, Name)> = self
            .state
            .networks
            .values()
            .filter(|network| self.state.is_dangling(network))
            .filter(goes)
            .map(|network| (network.id, network.name.clone()))
            .collect();
        for (id, _) in &unused {
            self.delete_network(*id);
        }
        let names = unused.into_iter().map(|(_, name)| name);
        Ok(Reply::Pruned(names.collect()))
    }
}

impl PruneSpec {
    fn takes(&self, network: &Network) -> bool {
        let labels = &network.labels;
        self.until.is_none_or(|until| network.created < until)
            && self.labels.iter().all(|label| label.is_in(labels))
            && !self.without_labels.iter().any(|label| label.is_in(labels))
    }
}
