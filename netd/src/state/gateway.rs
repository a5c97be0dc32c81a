//! Which of a sandbox's endpoints is its way out: it has the default route, and published ports
//! lead to it.

use std::cmp::Reverse;

use super::table::State;
use crate::model::{Endpoint, Id, PublishedPort};

impl State {
    /// The gateway endpoint of a sandbox for one family: the highest gateway priority, then the
    /// smallest network name. Never on an internal network, nor on one without a gateway.
    pub fn gateway_endpoint(&self, sandbox: Id, ipv6: bool) -> Option<&Endpoint> {
        self.endpoints_of_sandbox(sandbox)
            .into_iter()
            .filter_map(|endpoint| Some((endpoint, self.network(endpoint.network)?)))
            .filter(|(endpoint, network)| {
                let has_address = if ipv6 {
                    endpoint.v6().is_some()
                } else {
                    endpoint.v4().is_some()
                };
                let has_gateway = network
                    .subnets
                    .iter()
                    .any(|subnet| subnet.gateway.is_some_and(|g| g.is_ipv6() == ipv6));
                !network.internal && has_address && has_gateway
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

    /// Where a published port of a sandbox leads now; `None` while no network can carry it. A
    /// sandbox without IPv6 can be reached over IPv6 by sockets of the host, as IPv4 mapped.
    pub fn port_target(&self, sandbox: Id, port: &PublishedPort) -> Option<&Endpoint> {
        let ipv6 = port.host_address.is_ipv6();
        let own = self.gateway_endpoint(sandbox, ipv6);
        own.or_else(|| {
            ipv6.then(|| self.gateway_endpoint(sandbox, false))
                .flatten()
        })
    }
}
