//! An endpoint on the host: its veth pair, the host's neighbour for it, its programs and entries.

use std::collections::BTreeSet;

use ipnet::IpNet;
use netd_common::{
    Addr,
    abi::{
        Program,
        endpoint::{Endpoint as Value, EndpointKey, flags},
    },
};

use super::{
    Attachment, Desired, Entry, Place, TcHook,
    action::Route,
    desired::{DesiredKind, DesiredLink},
    scene::{JoinedEndpoint, Scene, network_flags},
};

pub(super) fn links(scene: &Scene<'_>, joined: &JoinedEndpoint<'_>, desired: &mut Desired) {
    let JoinedEndpoint {
        endpoint,
        network,
        sandbox,
    } = joined;
    let place = Place::Sandbox(sandbox.id);
    if super::macvlan::endpoint_link(joined, default_routes(scene, joined), desired) {
        settings(scene, joined, desired);
        return;
    }
    let Some(bridge) = network.bridge() else {
        return;
    };
    let outside = DesiredLink {
        kind: DesiredKind::Veth {
            place,
            inside: endpoint.interface.clone(),
            mac: endpoint.mac,
        },
        mac: None,
        mtu: Some(bridge.mtu),
        master: Some(bridge.name.clone()),
        addresses: BTreeSet::new(),
        routes: BTreeSet::new(),
        fdb: [endpoint.mac].into(),
    };
    let inside = DesiredLink {
        kind: DesiredKind::Inside,
        mac: Some(endpoint.mac),
        mtu: Some(bridge.mtu),
        master: None,
        addresses: endpoint.all_addresses().copied().collect(),
        routes: default_routes(scene, joined),
        fdb: BTreeSet::new(),
    };
    let host_key = (Place::Host, endpoint.host_interface.clone());
    desired.links.insert(host_key, outside);
    let inner_key = (place, endpoint.interface.clone());
    desired.links.insert(inner_key, inside);
    settings(scene, joined, desired);
    // Nobody answers ARP or neighbour discovery on the bridge: the host is told.
    for address in endpoint.all_addresses() {
        let key = (Place::Host, bridge.name.clone(), address.addr());
        desired.neighbours.insert(key, endpoint.mac);
    }
}

/// Sysctls of the interface inside.
fn settings(scene: &Scene<'_>, joined: &JoinedEndpoint<'_>, desired: &mut Desired) {
    let endpoint = joined.endpoint;
    // As in Docker: without an IPv6 address the interface does not speak IPv6 at all, and with one it
    // does, whatever the namespace's default is.
    let has_v6 = endpoint.all_addresses().any(|net| net.addr().is_ipv6());
    let off = if has_v6 { "0" } else { "1" };
    let ipv6 = scene.facts.has_ipv6();
    let mut set = |family: &str, name: &str, value: &str| {
        let key = format!("net/{family}/conf/{}/{name}", endpoint.interface);
        let place = Place::Sandbox(joined.sandbox.id);
        desired.sysctls.insert((place, key), value.to_owned());
    };
    if ipv6 {
        set("ipv6", "disable_ipv6", off);
        if endpoint.all_addresses().any(is_link_local) {
            set("ipv6", "addr_gen_mode", NO_ADDRESS);
        }
    }
    // What the user says comes last, and counts.
    for sysctl in &endpoint.sysctls {
        let place = Place::Sandbox(joined.sandbox.id);
        let key = sysctl.key(&endpoint.interface);
        desired.sysctls.insert((place, key), sysctl.value.clone());
    }
}

/// `addr_gen_mode`: the kernel gives the interface no link-local address. Beside one of netd's it would
/// be what packets are from as often as not, and nobody knows it.
pub(super) const NO_ADDRESS: &str = "1";

/// Of fe80::/10.
pub(super) fn is_link_local(net: &IpNet) -> bool {
    matches!(net, IpNet::V6(net) if net.addr().is_unicast_link_local())
}

/// The default route of each family whose gateway endpoint this is.
fn default_routes(scene: &Scene<'_>, joined: &JoinedEndpoint<'_>) -> BTreeSet<Route> {
    let route = |ipv6: bool| {
        let way_out = scene.state.gateway_endpoint(joined.sandbox.id, ipv6)?;
        let net = gateway(joined, ipv6)?;
        let any = IpNet::new(if ipv6 { Addr::NONE } else { Addr::ANY_V4 }.into(), 0).ok()?;
        (way_out.id == joined.endpoint.id).then(|| Route {
            destination: any,
            via: Some(net.addr()),
            link: joined.endpoint.interface.clone(),
            local: false,
            source: None,
        })
    };
    [route(false), route(true)].into_iter().flatten().collect()
}

pub(super) fn entries(scene: &Scene<'_>, joined: &JoinedEndpoint<'_>, desired: &mut Desired) {
    let JoinedEndpoint {
        endpoint, network, ..
    } = joined;
    super::names::reverse_entries(joined, desired);
    if network.bridge().is_none() {
        return;
    }
    let hooks = [
        (TcHook::Ingress, Program::FromEndpoint),
        (TcHook::Egress, Program::ToEndpoint),
    ];
    for (hook, program) in hooks {
        desired.attachments.insert(Attachment::Tc {
            link: endpoint.host_interface.clone(),
            hook,
            program,
        });
    }
    desired.put(Entry::EndpointStats(endpoint.index));
    let Some(value) = value(scene, joined, desired) else {
        return;
    };
    desired.put(Entry::Interface(value.ifindex, value));
    for address in endpoint.all_addresses() {
        let key = EndpointKey {
            network: network.index,
            address: Addr::from(address.addr()),
        };
        desired.put(Entry::Endpoint(key, value));
    }
}

fn value(scene: &Scene<'_>, joined: &JoinedEndpoint<'_>, desired: &mut Desired) -> Option<Value> {
    let JoinedEndpoint {
        endpoint,
        network,
        sandbox,
    } = joined;
    let bridge = network.bridge()?;
    let mut bits = flags::UP | network_flags(network);
    if scene.port_targets(sandbox).contains(&endpoint.id) {
        bits |= flags::PUBLISHES;
    }
    if scene.uses_resolver(sandbox) {
        bits |= flags::RESOLVER;
    }
    if network.is_default() && super::links::is_linked(scene, sandbox) {
        bits |= flags::LINKED;
    }
    let families = [false, true];
    Some(Value {
        ifindex: scene.ifindex(&endpoint.host_interface, desired)?,
        network: network.index,
        index: endpoint.index,
        generation: endpoint.generation,
        sandbox: sandbox.index,
        bridge: scene.ifindex(&bridge.name, desired)?,
        flags: bits,
        mtu: bridge.mtu,
        mac: endpoint.mac.0,
        gateway_mac: network.host_mac().0,
        addresses: families.map(|ipv6| endpoint.address(ipv6).map_or(Addr::NONE, Addr::from)),
        gateways: families
            .map(|ipv6| gateway(joined, ipv6).map_or(Addr::NONE, |net| Addr::from(net.addr()))),
    })
}

/// The gateway of a family: that of the subnet which the endpoint's address is from.
fn gateway(joined: &JoinedEndpoint<'_>, ipv6: bool) -> Option<IpNet> {
    let address = joined.endpoint.address(ipv6)?;
    joined.network.gateway_of(address)
}
