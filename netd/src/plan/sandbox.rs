//! A sandbox on the host: its namespace, its files, its scopes and resolver, its published ports,
//! and the clients that it is to the agent's DNS server.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr},
};

use netd_common::{
    Addr,
    abi::{
        name::{Resolver, Scopes, scope_of_network, scope_of_sandbox},
        port::{PORT_PREFIX_BITS, Port, PortKey, purpose},
    },
    limits::{MAX_SCOPES, RESOLVER_PORT, STUB_ADDRESS},
};

use super::{Action, Desired, Entry, Place, files, scene::Scene, table::ClientRecord};
use crate::{
    model::{Endpoint, Network, PublishedPort, Sandbox, network::GatewayMode, sandbox::Namespace},
    state::{
        Change,
        ports::{Family, NamedPiece},
    },
};

pub(super) fn links(scene: &Scene<'_>, sandbox: &Sandbox, desired: &mut Desired) {
    let place = Place::Sandbox(sandbox.id);
    match &sandbox.namespace {
        Namespace::Made => {
            desired.namespaces.insert(place, None);
        }
        Namespace::Joined(joined) => {
            desired.namespaces.insert(place, Some(joined.clone()));
        }
        Namespace::Host => {}
        // The holder's namespace and files are its own.
        Namespace::Shared(_) => return,
    }
    let files = files::files(scene, sandbox);
    desired.files.insert(sandbox.id, files);
}

pub(super) fn entries(scene: &Scene<'_>, sandbox: &Sandbox, desired: &mut Desired) {
    let targets = scene.state.port_targets(sandbox.id);
    for port in &sandbox.ports {
        let target = targets.of(port);
        let network = target.and_then(|endpoint| scene.state.network(endpoint.network));
        if let (Some(endpoint), Some(network)) = (target, network) {
            port_entries(port, endpoint, network, desired);
        }
    }
    open_entries(scene, sandbox, desired);
    if scene.uses_resolver(sandbox) {
        resolver_entries(scene, sandbox, desired);
    }
}

/// What a change takes from a sandbox that lives on: flows do not outlive their port. (Those of a
/// sandbox that is gone end with their endpoint's generation.)
pub fn ended_ports(change: &Change) -> Vec<Action> {
    let edits = change.sandboxes.values();
    let gone: Vec<PublishedPort> = edits
        .filter_map(|edit| Some((edit.before.as_ref()?, edit.after.as_ref()?)))
        .flat_map(|(before, after)| {
            let kept: HashSet<&PublishedPort> = after.ports.iter().collect();
            let gone = before.ports.iter().filter(move |p| !kept.contains(p));
            gone.cloned()
        })
        .collect();
    (!gone.is_empty())
        .then_some(Action::EndFlows(gone))
        .into_iter()
        .collect()
}

/// A published port, or a range by prefixes of the port number.
fn port_entries(
    port: &PublishedPort,
    endpoint: &Endpoint,
    network: &Network,
    desired: &mut Desired,
) {
    let address = match port.host_address {
        IpAddr::V4(_) => endpoint.v4().map(IpAddr::from),
        // The target of an IPv6 port has no IPv6 where the sandbox has none.
        IpAddr::V6(_) => (endpoint.v6().map(IpAddr::from)).or(endpoint.v4().map(IpAddr::from)),
    };
    let Some(address) = address else {
        return;
    };
    // A routed network has no port of the host's.
    let mode = mode_of(network, address);
    if mode.is_none_or(|mode| mode == GatewayMode::Routed) {
        return;
    }
    let value = Port {
        network: network.index,
        endpoint: endpoint.index,
        generation: endpoint.generation,
        address: Addr::from(address),
        first: port.host.first.to_be_bytes(),
        target: port.target.first.to_be_bytes(),
    };
    for (first, bits) in port.host.prefixes() {
        let key = PortKey {
            protocol: port.protocol.number(),
            purpose: purpose::LEADS,
            address: Addr::from(port.host_address),
            port: first.to_be_bytes(),
        };
        desired.put(Entry::Port(PORT_PREFIX_BITS - 16 + bits, key, value));
    }
}

fn mode_of(network: &Network, address: IpAddr) -> Option<GatewayMode> {
    let bridge = network.bridge()?;
    Some(bridge.gateway.modes[usize::from(address.is_ipv6())])
}

/// Published container ports that may be dialled directly: on every routed network of the sandbox, not
/// only where its gateway is, and where interfaces are trusted or the settings allow it.
fn open_entries(scene: &Scene<'_>, sandbox: &Sandbox, desired: &mut Desired) {
    if sandbox.ports.is_empty() {
        return;
    }
    for (network, endpoint) in scene.networks_of(sandbox.id) {
        let trusts = (network.bridge()).is_some_and(|bridge| !bridge.gateway.trusted.is_empty());
        let always = scene.settings.allow_direct_routing || trusts;
        for net in &endpoint.addresses {
            let address = net.addr();
            match mode_of(network, address) {
                Some(GatewayMode::Routed) => {}
                Some(_) if always => {}
                _ => continue,
            }
            for port in &sandbox.ports {
                for (first, bits) in port.target.prefixes() {
                    let key = PortKey {
                        protocol: port.protocol.number(),
                        purpose: purpose::OPEN,
                        address: Addr::from(address),
                        port: first.to_be_bytes(),
                    };
                    let bits = PORT_PREFIX_BITS - 16 + bits;
                    desired.put(Entry::Port(bits, key, Port::default()));
                }
            }
        }
    }
}

/// Ports at a named address are held against who binds to all addresses.
pub(super) fn named_port_entry(scene: &Scene<'_>, piece: &NamedPiece, desired: &mut Desired) {
    if !scene.state.ports().is_named(piece) {
        return;
    }
    let (protocol, family, first, bits) = *piece;
    let key = PortKey {
        protocol: protocol.number(),
        purpose: purpose::SOMEWHERE,
        address: match family {
            Family::V4 => Addr::ANY_V4,
            Family::V6 => Addr::NONE,
        },
        port: first.to_be_bytes(),
    };
    desired.put(Entry::Port(
        PORT_PREFIX_BITS - 16 + bits,
        key,
        Port::default(),
    ));
}

fn resolver_entries(scene: &Scene<'_>, sandbox: &Sandbox, desired: &mut Desired) {
    let networks = scene.networks_of(sandbox.id);
    let named = networks.iter().filter(|(network, _)| !network.is_default());
    let has_links = |(_, endpoint): &(&Network, &Endpoint)| !endpoint.links.is_empty();
    let links = networks.iter().any(has_links);
    let links = links.then(|| scope_of_sandbox(sandbox.index));
    let scopes: Vec<u32> = links
        .into_iter()
        .chain(named.map(|(network, _)| scope_of_network(network.index)))
        .collect();
    // With more networks than the map has room for, the agent's table answers for the rest.
    let mut value = Scopes::default();
    for (slot, scope) in value.scopes.iter_mut().zip(&scopes) {
        *slot = *scope;
    }
    value.count = scopes.len().min(MAX_SCOPES) as u32;
    desired.put(Entry::Scopes(sandbox.index, value));
    let settings = &sandbox.dns;
    let client = ClientRecord {
        sandbox: sandbox.id,
        scopes,
        subnets: networks
            .iter()
            .flat_map(|(network, _)| network.subnets.iter().map(|subnet| subnet.pool))
            .collect(),
        forward: networks.iter().any(|(network, _)| !network.internal),
        single_labels_stay: files::options(scene.facts, settings).iter().any(|option| {
            let ndots = option.strip_prefix("ndots:");
            ndots.is_some_and(|n| n.parse().is_ok_and(|n: u32| n >= 1))
        }),
        servers: settings.servers.clone(),
    };
    for (_, endpoint) in &networks {
        for address in &endpoint.addresses {
            desired.clients.insert(address.addr(), client.clone());
        }
    }
    let gateway = resolver_gateway(&networks);
    if gateway.is_none() {
        desired.insiders.insert(sandbox.id, client);
    }
    let address = gateway.unwrap_or(STUB_ADDRESS.into());
    if let Some(cookie) = scene.identities.cookie(Place::Sandbox(sandbox.id)) {
        let value = Resolver {
            sandbox: sandbox.index,
            address: address.octets(),
            port: RESOLVER_PORT.to_be_bytes(),
            reserved: [0; 2],
        };
        desired.put(Entry::Resolver(cookie, value));
    }
}

/// What 127.0.0.11 means in a sandbox: the IPv4 gateway of one of its networks, rather of one
/// with names, rather of the oldest endpoint, so that it seldom changes. `None` where no question
/// over IPv4 would pass `from_endpoint`: then it is a socket of the agent's in the namespace itself.
fn resolver_gateway(networks: &[(&Network, &Endpoint)]) -> Option<Ipv4Addr> {
    let candidates = networks.iter().filter_map(|(network, endpoint)| {
        network.bridge()?;
        let gateway = network.gateways().find_map(|net| match net.addr() {
            IpAddr::V4(gateway) => Some(gateway),
            IpAddr::V6(_) => None,
        })?;
        Some(((network.is_default(), endpoint.generation), gateway))
    });
    candidates.min().map(|(_, gateway)| gateway)
}
