//! Publishing: at create and on a sandbox that runs.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    net::IpAddr,
};

use super::{
    Refusal, Reply,
    apply::{Draft, bounds, own, within},
    network::host_binding,
    ports::Taken,
    request::{PortName, PortSpec},
};
use crate::model::{Id, PortRange, Protocol, PublishedPort, network::Owner, sandbox::Mode};

/// Docker's warning.
pub(super) const DISCARDED: &str = "Published ports are discarded when using host network mode";

impl Draft<'_, '_> {
    pub(super) fn publish_more(
        &mut self,
        text: &str,
        ports: &[PortSpec],
    ) -> Result<Reply, Refusal> {
        let sandbox = self.state.find_sandbox(text, Owner::Netd)?;
        own(sandbox.name.as_str(), sandbox.owner, Owner::Netd)?;
        let mut warnings = Vec::new();
        if let Mode::Shared(_) = sandbox.mode {
            return Err(Refusal::Invalid(
                "conflicting options: port publishing and the container type network mode"
                    .to_owned(),
            ));
        }
        if sandbox.mode == Mode::Host {
            warnings.push(DISCARDED.to_owned());
        } else {
            self.publish(sandbox.id, ports, &mut warnings)?;
        }
        Ok(Reply::Published { warnings })
    }

    pub(super) fn unpublish(&mut self, text: &str, names: &[PortName]) -> Result<Reply, Refusal> {
        let mut sandbox = self.state.find_sandbox(text, Owner::Netd)?.clone();
        own(sandbox.name.as_str(), sandbox.owner, Owner::Netd)?;
        let mut places: HashMap<(Protocol, PortRange), Vec<usize>> = HashMap::new();
        for (place, port) in sandbox.ports.iter().enumerate() {
            let places = places.entry((port.protocol, port.host)).or_default();
            places.push(place);
        }
        let mut gone = BTreeSet::new();
        for name in names {
            let at = |port: &PublishedPort| {
                let address = name.host_address.is_none_or(|a| a == port.host_address);
                address && port.protocol == name.protocol
            };
            let before = gone.len();
            let same = places.get(&(name.protocol, name.host));
            gone.extend(same.into_iter().flatten().copied().filter(|place| {
                let port = sandbox.ports.get(*place);
                port.is_some_and(at)
            }));
            if gone.len() == before {
                let partly = |port: &&PublishedPort| at(port) && port.host.overlaps(name.host);
                let range = sandbox.ports.iter().find(partly).map(|port| port.host);
                let range = range.filter(|range| *range != name.host);
                let protocol = name.protocol.name();
                let hint = range.map_or(String::new(), |range| format!("; {range} is one range"));
                return Err(Refusal::Invalid(format!(
                    "No host port {}/{protocol} is published for {}{hint}",
                    name.host, sandbox.name
                )));
            }
        }
        let mut place = 0;
        sandbox.ports.retain(|_| {
            place += 1;
            !gone.contains(&(place - 1))
        });
        self.put_sandbox(sandbox)?;
        Ok(Reply::Done)
    }

    /// Reserves the ports that were asked for.
    pub(super) fn publish(
        &mut self,
        id: Id,
        ports: &[PortSpec],
        warnings: &mut Vec<String>,
    ) -> Result<(), Refusal> {
        let gateway = self.state.gateway_endpoint(id, false);
        let network = gateway.and_then(|endpoint| self.state.network(endpoint.network));
        let binding = network.and_then(host_binding);
        let binding = binding.or(self.context.settings.publish_address);
        let Some(mut sandbox) = self.state.sandboxes.get(&id).cloned() else {
            return Err(Refusal::NoSuchSandbox(id.to_string()));
        };
        let chosen = self.choose_ports(id, ports, binding, warnings)?;
        sandbox.ports.extend(chosen);
        self.put_sandbox(sandbox)?;
        let (limit, what) = bounds::PORTS;
        within(self.state.ports.entries(), limit, what)
    }

    /// A free place for each wish. They are taken one by one, so that none gets another's, and given
    /// back together: the sandbox's record takes them for good, once, however many there are.
    fn choose_ports(
        &mut self,
        id: Id,
        ports: &[PortSpec],
        binding: Option<IpAddr>,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<PublishedPort>, Refusal> {
        let facts = self.context.facts;
        let busy = Taken::by_sockets(&facts.sockets, facts.local_ports);
        let mut all = Vec::new();
        let mut refused = Ok(());
        let [v4, v6] = self.state.port_targets(id).found();
        let carried = |port: &PublishedPort| if port.host_address.is_ipv6() { v6 } else { v4 };
        let mut wishes: VecDeque<PortSpec> = ports.iter().cloned().collect();
        while let Some(wish) = wishes.pop_front() {
            let last = self.state.meta.last_port;
            let chosen = match self.state.ports.choose(&busy, &wish, binding, last) {
                Ok(chosen) => chosen,
                // A range at any free ports need not stay in one piece.
                Err(refusal) => match halves(&wish) {
                    Some([low, high]) if refusal == Refusal::PortsExhausted => {
                        wishes.push_front(high);
                        wishes.push_front(low);
                        continue;
                    }
                    _ => {
                        refused = Err(refusal);
                        break;
                    }
                },
            };
            if let (None, Some(port)) = (wish.host, chosen.first()) {
                self.state.meta.last_port = port.host.last;
            }
            if let (false, Some(port)) = (chosen.iter().any(carried), chosen.first()) {
                warnings.push(format!(
                    "Published port {}/{} is reserved: no network of the sandbox can carry it",
                    port.target,
                    port.protocol.name()
                ));
            }
            chosen.iter().for_each(|port| self.state.ports.take(port));
            all.extend(chosen);
        }
        all.iter().for_each(|port| self.state.ports.release(port));
        refused.map(|()| all)
    }
}

/// A wish for a range at any free host ports, cut in two.
fn halves(wish: &PortSpec) -> Option<[PortSpec; 2]> {
    let PortRange { first, last } = wish.target;
    if wish.host.is_some() || first == last {
        return None;
    }
    let middle = first + (last - first) / 2;
    let part = |first, last| PortSpec {
        target: PortRange { first, last },
        ..wish.clone()
    };
    Some([part(first, middle), part(middle + 1, last)])
}
