//! A macvlan network on the host: the link it stands on, where netd makes that, and its sandboxes'
//! interfaces. No program sees their packets.

use std::collections::BTreeSet;

use super::{
    Desired, Place,
    action::Route,
    desired::{DesiredKind, DesiredLink},
    scene::{JoinedEndpoint, Scene},
};
use crate::model::{
    HostFacts, Network,
    macvlan::{MacvlanMode, Parent},
};

/// The parent, where it is netd's. The host itself takes no part in what goes on there.
pub(super) fn network_links(scene: &Scene<'_>, network: &Network, desired: &mut Desired) {
    let Some(options) = network.macvlan() else {
        return;
    };
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
    if has_ipv6(scene.facts) {
        let key = format!("net/ipv6/conf/{name}/disable_ipv6");
        desired.sysctls.insert((Place::Host, key), "1".to_owned());
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
    true
}

/// A kernel without IPv6 has no switch for it; ::1 tells.
pub(super) fn has_ipv6(facts: &HostFacts) -> bool {
    let loopback = std::net::IpAddr::from(std::net::Ipv6Addr::LOCALHOST);
    facts.addresses.contains_key(&loopback)
}
