//! Which of a sandbox's endpoints is its way out: it has the default route, and published ports
//! lead to it.

use std::cmp::Reverse;

use super::table::State;
use crate::model::{Endpoint, Id, PublishedPort};

impl State {
    /// The gateway endpoint of a sandbox for one family: the highest gateway priority, then the
    /// smallest network name. Never on a network that leads nowhere, nor on one without a gateway.
    pub fn gateway_endpoint(&self, sandbox: Id, ipv6: bool) -> Option<&Endpoint> {
        self.endpoints_of_sandbox(sandbox)
            .into_iter()
            .filter_map(|endpoint| Some((endpoint, self.network(endpoint.network)?)))
            .filter(|(endpoint, network)| {
                let address = endpoint.address(ipv6);
                let gateway = address.and_then(|address| network.gateway_of(address));
                network.leads_out() && gateway.is_some()
            })
            .min_by_key(|(endpoint, network)| {
                (
                    Reverse(endpoint.gateway_priority),
                    &network.name,
                    network.id,
                )
            })
            .map(|(endpoint, _)| endpoint)
    }

    /// Where published ports of a sandbox lead now: found once, however many ports there are. A
    /// sandbox without IPv6 can be reached over IPv6 by sockets of the host, as IPv4 mapped. Nowhere,
    /// where answers would leave by a network that netd does not see the packets of.
    pub fn port_targets(&self, sandbox: Id) -> PortTargets<'_> {
        let target = |ipv6| {
            let endpoint = self.gateway_endpoint(sandbox, ipv6)?;
            let network = self.network(endpoint.network)?;
            network.bridge().map(|_| endpoint)
        };
        let v4 = target(false);
        PortTargets {
            v4,
            v6: target(true).or(v4),
        }
    }
}

/// The endpoints that published ports lead to, by family.
#[derive(Clone, Copy, Debug)]
pub struct PortTargets<'a> {
    v4: Option<&'a Endpoint>,
    v6: Option<&'a Endpoint>,
}

impl<'a> PortTargets<'a> {
    /// That of a port; `None` while no network can carry it.
    pub fn of(&self, port: &PublishedPort) -> Option<&'a Endpoint> {
        if port.host_address.is_ipv6() {
            self.v6
        } else {
            self.v4
        }
    }

    /// Whether there is one, for IPv4 and for IPv6.
    pub fn found(&self) -> [bool; 2] {
        [self.v4, self.v6].map(|target| target.is_some())
    }
}
