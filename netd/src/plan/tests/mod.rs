//! Plans as text: what a small host gets, entry by entry and file by file.

mod contents;
mod linked;
mod texts;

use std::collections::BTreeMap;

use super::{
    Desired, Identities, Observed, Place, Scene, Subjects, entries, links,
    observed::{LinkKind, LinkState},
};
use crate::{
    model::{
        HostFacts, IfName, Mac,
        facts::{AddressFacts, UplinkFacts},
    },
    state::{Request, Settings, tests::Host},
};

/// A host with an uplink, and a kernel that numbers links and namespaces in the order of their names.
fn host(requests: &[Request]) -> Host {
    let mut facts = HostFacts {
        local_ports: (32_768, 60_999),
        ..HostFacts::default()
    };
    let uplink = UplinkFacts {
        ifindex: 2,
        mtu: 1400,
        l3: false,
        v4: "198.18.0.1".parse().ok(),
        v6: None,
    };
    facts.uplinks.insert("up0".parse().unwrap(), uplink);
    let loopback = AddressFacts {
        link: "lo".parse().unwrap(),
        ifindex: 1,
        net: "::1/128".parse().unwrap(),
    };
    facts.addresses.insert(loopback.net.addr(), loopback);
    facts.resolv_conf.servers = vec!["198.18.0.2".parse().unwrap()];
    facts.external_servers = facts.resolv_conf.servers.clone();
    facts.resolv_conf.search = vec!["lab.example.test".to_owned()];
    facts.resolv_conf.options = vec!["ndots:1".to_owned()];
    let mut host = Host::with(facts, Settings::default());
    for request in requests {
        assert_eq!(host.says(request), "ok");
    }
    host
}

fn identities(desired: &Desired) -> Identities {
    let mut observed = Observed::default();
    for (i, (place, name)) in desired.links.keys().enumerate() {
        observed
            .links
            .insert((*place, name.clone()), link(100 + i as u32));
    }
    for (i, place) in desired.namespaces.keys().enumerate() {
        observed.namespaces.insert(*place, 7000 + i as u64);
    }
    let mut identities = Identities::default();
    identities.learn(&observed);
    identities
}

fn link(ifindex: u32) -> LinkState {
    LinkState {
        ifindex,
        kind: LinkKind::Veth,
        ours: true,
        mac: Mac([0; 6]),
        mtu: 1500,
        up: true,
        master: None,
        closed: true,
        addresses: Default::default(),
        routes: Default::default(),
        fdb: Default::default(),
    }
}

/// Everything that should be there.
fn desired(host: &Host) -> Desired {
    let subjects = Subjects::all(&host.state);
    let unknown = Identities::default();
    let scene = |identities| Scene {
        state: &host.state,
        facts: &host.facts,
        settings: &host.settings,
        identities,
    };
    let identities = identities(&links(&scene(&unknown), &subjects));
    let mut desired = links(&scene(&identities), &subjects);
    entries(&scene(&identities), &subjects, &mut desired);
    assert!(desired.unidentified.is_empty());
    desired
}

/// Ids are replaced by the names of what they belong to.
fn readable(host: &Host, text: &str) -> String {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for sandbox in host.state.sandboxes() {
        names.insert(sandbox.id.to_string(), format!("<{}>", sandbox.name));
        names.insert(sandbox.id.short(), format!("<{}>", sandbox.name));
    }
    for endpoint in host.state.endpoints() {
        let view = host.state.network(endpoint.network).unwrap();
        let sandbox = host.state.sandbox(endpoint.sandbox.unwrap()).unwrap();
        let name: &IfName = &endpoint.host_interface;
        names.insert(
            name.to_string(),
            format!("<{}@{}>", sandbox.name, view.name),
        );
    }
    for network in host.state.networks() {
        names.insert(
            format!("br-{}", network.id.short()),
            format!("<br-{}>", network.name),
        );
    }
    let mut text = text.to_owned();
    for (id, name) in names.iter().rev() {
        text = text.replace(id, name);
    }
    text
}

fn place(place: &Place) -> &'static str {
    match place {
        Place::Host => "host",
        Place::Sandbox(_) => "inside",
        Place::Resolver => "resolver",
    }
}
