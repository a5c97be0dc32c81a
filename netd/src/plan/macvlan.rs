//! A macvlan network on the host: the link it stands on, where netd makes that, the host's own interface
//! on it, and its sandboxes' interfaces. Only the host's is seen by programs.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use netd_common::{
    Addr,
    abi::{
        Program,
        host::{HostAddress, Uplink},
    },
};

use super::{
    Attachment, Desired, Entry, Place, TcHook,
    action::Route,
    desired::{DesiredKind, DesiredLink},
    scene::{JoinedEndpoint, Scene},
};
use crate::model::{
    IfName, Network,
    macvlan::{MacvlanMode, MacvlanOptions, Parent},
};

/// Octets, where neither the network nor its parent says: what the kernel gives a dummy.
const MTU: u32 = 1500;

pub(super) fn network_links(scene: &Scene<'_>, network: &Network, desired: &mut Desired) {
    let Some(options) = network.macvlan() else {
        return;
    };
    parent_link(scene, options, desired);
    if let Some(name) = &options.host_access {
        access_link(scene, network, options, name, desired);
    }
}

/// The parent, where it is netd's. The host itself takes no part in what goes on there.
fn parent_link(scene: &Scene<'_>, options: &MacvlanOptions, desired: &mut Desired) {
    let (kind, mtu) = match &options.parent {
        Parent::Link(_) => return,
        Parent::Vlan(vlan) => {
            let (base, id) = (vlan.base.clone(), vlan.id);
            (DesiredKind::Vlan { base, id }, None)
        }
        Parent::Dummy(_) => (DesiredKind::Dummy, options.mtu),
    };
    let name = options.parent.name();
    let link = DesiredLink {
        kind,
        mac: None,
        mtu,
        master: None,
        addresses: BTreeSet::new(),
        routes: BTreeSet::new(),
        fdb: BTreeSet::new(),
    };
    desired.links.insert((Place::Host, name.clone()), link);
    if scene.facts.has_ipv6() {
        let key = format!("net/ipv6/conf/{name}/disable_ipv6");
        desired.sysctls.insert((Place::Host, key), "1".to_owned());
    }
}

/// The host's own interface. Its addresses stand alone, without a route to their subnet, which the host
/// may have by the parent: only what netd routes there one by one is reached by it.
fn access_link(
    scene: &Scene<'_>,
    network: &Network,
    options: &MacvlanOptions,
    name: &IfName,
    desired: &mut Desired,
) {
    let link = DesiredLink {
        kind: DesiredKind::Macvlan {
            parent: options.parent.name().clone(),
            mode: options.mode,
        },
        mac: Some(network.host_mac()),
        mtu: options.mtu,
        master: None,
        addresses: network.host_addresses().map(IpNet::from).collect(),
        routes: BTreeSet::new(),
        fdb: BTreeSet::new(),
    };
    desired.links.insert((Place::Host, name.clone()), link);
    let mut sysctl = |family: &str, key: &str, value: &str| {
        let key = format!("net/{family}/conf/{name}/{key}");
        desired.sysctls.insert((Place::Host, key), value.to_owned());
    };
    // The host has two interfaces on one segment: this one answers and asks for its own addresses
    // alone, so that nobody takes it for the way to the host's others.
    sysctl("ipv4", "arp_ignore", "1");
    sysctl("ipv4", "arp_announce", "2");
    if scene.facts.has_ipv6() {
        let speaks = network.host_addresses().any(|address| address.is_ipv6());
        sysctl("ipv6", "disable_ipv6", if speaks { "0" } else { "1" });
        // The segment's routers are the parent's matter.
        sysctl("ipv6", "accept_ra", "0");
    }
}

/// The host's own interface is an uplink, and its addresses are the host's: published ports are there
/// for the network's sandboxes, too, and containers go out to those by it.
pub(super) fn network_entries(scene: &Scene<'_>, network: &Network, desired: &mut Desired) {
    let options = network.macvlan();
    let Some((options, link)) = options.and_then(|o| Some((o, o.host_access.as_ref()?))) else {
        return;
    };
    let hooks = [
        (TcHook::Ingress, Program::FromUplink),
        (TcHook::Egress, Program::ToUplink),
    ];
    for (hook, program) in hooks {
        desired.attachments.insert(Attachment::Tc {
            link: link.clone(),
            hook,
            program,
        });
    }
    let Some(ifindex) = scene.ifindex(link, desired) else {
        return;
    };
    let of_family = |ipv6: bool| {
        let found = network.host_addresses().find(|a| a.is_ipv6() == ipv6);
        found.map_or(Addr::NONE, Addr::from)
    };
    let base = options.parent.base();
    let parent = base.and_then(|base| scene.facts.links.get(base));
    let value = Uplink {
        addresses: [of_family(false), of_family(true)],
        mtu: options.mtu.or(parent.map(|link| link.mtu)).unwrap_or(MTU),
        flags: 0,
    };
    desired.put(Entry::Uplink(ifindex, value));
    for address in network.host_addresses() {
        let network = 0;
        let value = HostAddress { ifindex, network };
        desired.put(Entry::HostAddress(Addr::from(address), value));
    }
}

/// An endpoint's interface; false where the network is none of macvlan's.
pub(super) fn endpoint_link(
    joined: &JoinedEndpoint<'_>,
    routes: BTreeSet<Route>,
    desired: &mut Desired,
) -> bool {
    let Some(options) = joined.network.macvlan() else {
        return false;
    };
    let endpoint = joined.endpoint;
    // On a link of the host the interface has that one's address, and to set it would set both.
    let inherits =
        options.mode == MacvlanMode::Passthru && matches!(options.parent, Parent::Link(_));
    let link = DesiredLink {
        kind: DesiredKind::Macvlan {
            parent: options.parent.name().clone(),
            mode: options.mode,
        },
        mac: (!inherits).then_some(endpoint.mac),
        mtu: options.mtu,
        master: None,
        addresses: endpoint.all_addresses().copied().collect(),
        routes,
        fdb: BTreeSet::new(),
    };
    let key = (
        Place::Sandbox(joined.sandbox.id),
        endpoint.interface.clone(),
    );
    desired.links.insert(key, link);
    if let Some(link) = &options.host_access {
        for net in &endpoint.addresses {
            route_from_host(joined.network, link, net.addr(), desired);
        }
    }
    true
}

/// The host's way to an endpoint's address: more exact than its way to the subnet.
fn route_from_host(network: &Network, link: &IfName, address: IpAddr, desired: &mut Desired) {
    let source = network.host_address_near(address);
    let destination = IpNet::from(address);
    let route = Route {
        destination,
        via: None,
        link: link.clone(),
        local: false,
        source,
    };
    let key = (link.clone(), destination);
    desired.routes.insert(key, route);
}
