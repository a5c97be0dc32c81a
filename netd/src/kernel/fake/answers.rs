//! What the kernel in memory answers: looks at the host, and hands actions on.

use std::{collections::BTreeSet, path::Path};

use anyhow::anyhow;
use netd_common::{
    abi::{endpoint::EndpointStats, flow::Flow},
    packet::flow::Timeouts,
};

use super::{
    super::{Collected, Kernel, KernelError},
    FakeKernel, FakeReader,
};
use crate::{
    model::facts::{BoundSocket, LinkFacts},
    plan::{Action, Announcement, HostFacts, Key, Observed, Place, facts::NameServers},
};

impl Kernel for FakeKernel {
    type Reader = FakeReader;

    fn reader(&self) -> Result<FakeReader, KernelError> {
        Ok(self.reader.clone())
    }

    async fn observe(&mut self, keys: &BTreeSet<Key>) -> Result<Observed, KernelError> {
        self.observations.push(keys.clone());
        let mut observed = Observed::default();
        for key in keys {
            self.see(key, &mut observed);
        }
        Ok(observed)
    }

    async fn observe_all(&mut self) -> Result<Observed, KernelError> {
        self.full_observations += 1;
        // Sysctls carry no mark, nor do others' links.
        let mut observed = self.host.clone();
        observed.sysctls.clear();
        observed
            .links
            .retain(|key, link| link.ours || self.peers.contains_key(key));
        Ok(observed)
    }

    async fn execute(&mut self, action: &Action) -> Result<(), KernelError> {
        self.actions.push(action.clone());
        let failing = self.failing.remove(&0);
        self.failing = self.failing.iter().map(|left| left - 1).collect();
        let result = if failing {
            Err(anyhow!("injected"))
        } else {
            self.carry_out(action)
        };
        result.map_err(|source| KernelError {
            doing: format!("{action:?}"),
            source,
        })
    }

    async fn facts(&mut self) -> Result<HostFacts, KernelError> {
        let mut facts = self.facts.clone();
        for ((place, name), link) in &self.host.links {
            if *place == Place::Host && !link.ours {
                let (mac, mtu) = (link.mac, link.mtu);
                facts.links.insert(name.clone(), LinkFacts { mac, mtu });
            }
        }
        Ok(facts)
    }

    fn name_servers(&mut self) -> Result<NameServers, KernelError> {
        Ok(self.facts.name_servers())
    }

    fn without_ipv6(&mut self, namespace: &Path) -> Result<bool, KernelError> {
        Ok(self.without_ipv6.contains(namespace))
    }

    fn announce(&mut self, announcement: &Announcement) -> Result<bool, KernelError> {
        let key = (announcement.place, announcement.link.clone());
        let link = self.host.links.get(&key);
        let there = link.is_some_and(|link| link.up && link.mac == announcement.mac);
        if there {
            self.announced.push(announcement.clone());
        }
        Ok(there)
    }

    fn sockets(&mut self) -> Result<Vec<BoundSocket>, KernelError> {
        Ok(self.facts.sockets.clone())
    }

    async fn flush_flows(&mut self) -> Result<u64, KernelError> {
        Ok(0)
    }

    fn collect_flows(
        &mut self,
        _budget: u32,
        _timeouts: &Timeouts,
        _alive: &dyn Fn(&Flow) -> bool,
    ) -> Result<Collected, KernelError> {
        Ok(Collected::default())
    }

    fn endpoint_stats(&mut self, _endpoint: u32) -> Result<Option<EndpointStats>, KernelError> {
        Ok(None)
    }
}
