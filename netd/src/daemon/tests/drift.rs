//! Drift: what others break is found and repaired, and nothing else is touched.

use super::{Agent, create, network_with, sandbox};
use crate::{
    kernel::events::Event,
    model::{
        IfName,
        sandbox::{Joined, Namespace},
    },
    plan::{Attachment, EntryKey, Place},
    state::{Reply, Request, request::SandboxSpec},
};

fn agent() -> Agent {
    let mut agent = Agent::new();
    agent.does(&network_with("app", "10.7.0.0/24"));
    for name in ["a", "b"] {
        agent.does(&create(sandbox(name, &["app"])));
    }
    agent
}

fn veth(agent: &Agent, sandbox: &str) -> IfName {
    let view = agent.control.state().inspect_sandbox(sandbox).unwrap();
    view.endpoints[0].endpoint.host_interface.clone()
}

fn bridge(agent: &Agent) -> IfName {
    let view = agent.control.state().inspect_network("app").unwrap();
    view.network.bridge().unwrap().name.clone()
}

#[test]
fn a_deleted_veth_is_made_again() {
    let mut agent = agent();
    let name = veth(&agent, "a");
    agent.kernel().delete_link(Place::Host, &name);
    agent.control.on_event(&Event::Link {
        place: Place::Host,
        name: name.clone(),
        deleted: true,
    });
    agent.settle();
    agent.check();
}

#[test]
fn a_deleted_bridge_is_made_again_with_its_ports() {
    let mut agent = agent();
    let name = bridge(&agent);
    agent.kernel().delete_link(Place::Host, &name);
    agent.control.on_event(&Event::Link {
        place: Place::Host,
        name: name.clone(),
        deleted: true,
    });
    agent.settle();
    agent.check();
}

#[test]
fn removed_and_added_addresses_are_set_right() {
    let mut agent = agent();
    let name = bridge(&agent);
    let key = (Place::Host, name);
    let link = agent.kernel().host.links.get_mut(&key).unwrap();
    link.addresses = ["192.0.2.1/24".parse().unwrap()].into();
    let ifindex = link.ifindex;
    agent.control.on_event(&Event::Address {
        place: Place::Host,
        ifindex,
    });
    agent.settle();
    agent.check();
}

#[test]
fn what_nobody_tells_of_is_found_in_the_background() {
    let mut agent = agent();
    let name = veth(&agent, "b");
    let host = &mut agent.kernel().host;
    host.attachments
        .retain(|attachment| !matches!(attachment, Attachment::Tc { link, .. } if *link == name));
    host.entries
        .retain(|key, _| !matches!(key, EntryKey::Endpoint(_) | EntryKey::Config));
    host.files.clear();
    host.neighbours.clear();
    host.sysctls.clear();
    agent.walk();
    agent.check();
}

#[test]
fn a_walk_over_what_is_right_does_nothing() {
    let mut agent = agent();
    agent.kernel().reset_counts();
    agent.walk();
    assert_eq!(agent.kernel().actions, []);
    assert_eq!(agent.kernel().full_observations, 0);
}

#[test]
fn lost_messages_lead_to_a_full_comparison() {
    let mut agent = agent();
    let (first, second) = (veth(&agent, "a"), bridge(&agent));
    agent.kernel().delete_link(Place::Host, &first);
    agent.kernel().delete_link(Place::Host, &second);
    agent.control.on_event(&Event::Lost);
    assert!(agent.control.is_pending());
    agent.settle();
    agent.check();
}

#[test]
fn switched_forwarding_is_switched_back() {
    let mut agent = agent();
    let name = bridge(&agent);
    let ifindex = agent.kernel().host.links[&(Place::Host, name)].ifindex;
    for ifindex in [Some(ifindex), None] {
        for ((place, key), value) in &mut agent.kernel().host.sysctls {
            let one = ifindex.is_none() || !key.contains("netd0");
            if *place == Place::Host && one && key.contains("/conf/") {
                *value = "0".to_owned();
            }
        }
        let place = Place::Host;
        agent
            .control
            .on_event(&Event::Forwarding { place, ifindex });
        agent.settle();
        agent.check();
    }
}

#[test]
fn an_uplink_that_comes_gets_its_programs() {
    let mut agent = agent();
    agent.kernel().add_foreign_link("up1");
    let mut uplink = agent
        .control
        .facts()
        .uplinks
        .values()
        .next()
        .unwrap()
        .clone();
    uplink.ifindex = 4_000_001;
    let name: IfName = "up1".parse().unwrap();
    agent.kernel().facts.uplinks.insert(name.clone(), uplink);
    agent.kernel().facts.resolv_conf.servers = vec!["203.0.113.7".parse().unwrap()];
    agent.control.on_event(&Event::Link {
        place: Place::Host,
        name: name.clone(),
        deleted: false,
    });
    agent.settle();
    agent.check();
    let attached = agent.kernel().host.attachments.iter();
    let on_it = attached.filter(|a| matches!(a, Attachment::Tc { link, .. } if *link == name));
    assert_eq!(on_it.count(), 2);
}

#[test]
fn name_servers_are_followed_once_they_have_settled() {
    let mut agent = agent();
    let half = Vec::new();
    let whole = vec!["203.0.113.7".parse().unwrap()];
    for servers in [half, whole.clone(), whole.clone()] {
        agent.kernel().facts.resolv_conf.servers = servers.clone();
        agent.kernel().facts.external_servers = servers.clone();
        agent.control.look_at_name_servers().unwrap();
    }
    assert!(agent.control.is_pending());
    agent.settle();
    agent.check();
    assert_eq!(agent.control.facts().resolv_conf.servers, whole);
    let client = crate::dns::Client::default();
    let upstreams = agent.control.table.upstreams(&client);
    assert_eq!(upstreams.servers, ["203.0.113.7:53".parse().unwrap()]);
    agent.control.look_at_name_servers().unwrap();
    assert!(!agent.control.is_pending());
}

#[test]
fn a_host_without_name_servers_gets_the_fallback() {
    let mut agent = agent();
    agent.kernel().facts.resolv_conf.servers.clear();
    agent.kernel().facts.external_servers.clear();
    agent.control.look_at_name_servers().unwrap();
    agent.control.look_at_name_servers().unwrap();
    agent.settle();
    let upstreams = agent
        .control
        .table
        .upstreams(&crate::dns::Client::default());
    assert_eq!(
        upstreams.servers,
        ["8.8.8.8:53", "8.8.4.4:53"].map(|text| text.parse().unwrap())
    );
    let reply = agent.handle(&create(sandbox("lonely", &[]))).unwrap();
    let Reply::Created { warnings, .. } = reply else {
        panic!("{reply:?}");
    };
    assert!(
        warnings[0].ends_with("using 8.8.8.8 and 8.8.4.4"),
        "{warnings:?}"
    );
}

/// A sandbox in a namespace that somebody else made.
fn guest(networks: &[&str]) -> Request {
    let joined = Joined {
        cookie: 99,
        device: 4,
        inode: 77,
        path: "/proc/1/ns/net".into(),
    };
    create(SandboxSpec {
        namespace: Some(joined),
        ..sandbox("guest", networks)
    })
}

#[test]
fn a_joined_namespace_that_nobody_tells_of_is_missed_by_the_walk() {
    for networks in [&["app"][..], &["none"]] {
        let mut agent = agent();
        agent.does(&guest(networks));
        agent.walk();
        let view = agent.control.state().inspect_sandbox("guest").unwrap();
        agent
            .kernel()
            .kill_namespace(Place::Sandbox(view.sandbox.id));
        agent.walk();
        assert!(agent.control.state().inspect_sandbox("guest").is_err());
        agent.check();
    }
}

#[test]
fn after_a_boot_joined_sandboxes_are_gone_and_others_as_they_were() {
    let mut agent = agent();
    agent.does(&guest(&["app"]));
    let before = agent.seen().1;
    let Agent { control, .. } = agent;
    let mut agent = Agent::over(control.kernel, control.store, control.state);
    agent.control.forget_joined(8).unwrap();
    let report = agent.start();
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    agent.check();
    let after = agent.seen().1;
    let names: Vec<&str> = after.iter().map(|v| v.sandbox.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(after.iter().all(|view| before.contains(view)));
}

#[test]
fn a_sandbox_whose_joined_namespace_ends_is_collected() {
    let mut agent = agent();
    agent.does(&guest(&["app"]));
    let view = agent.control.state().inspect_sandbox("guest").unwrap();
    assert!(matches!(view.sandbox.namespace, Namespace::Joined(_)));
    let (id, name) = (view.sandbox.id, veth(&agent, "guest"));
    agent.kernel().kill_namespace(Place::Sandbox(id));
    agent.control.on_event(&Event::Link {
        place: Place::Host,
        name: name.clone(),
        deleted: true,
    });
    agent.settle();
    assert!(agent.control.state().inspect_sandbox("guest").is_err());
    agent.check();
}
