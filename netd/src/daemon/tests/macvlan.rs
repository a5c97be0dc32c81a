//! Macvlan networks on the host: made, shared, repaired, removed; whatever happens, state and host
//! agree afterwards.

use super::{Agent, create, network, sandbox};
use crate::{
    kernel::events::Event,
    model::IfName,
    plan::{Action, Place, observed::LinkKind},
    state::{
        Request,
        request::{DriverSpec, EndpointSpec, NetworkSpec},
        tests::subnet,
    },
};

fn on(name: &str, pool: &str, parent: Option<&str>) -> Request {
    Request::NetworkCreate(NetworkSpec {
        driver: DriverSpec::Macvlan {
            parent: parent.map(|name| name.parse().unwrap()),
            mode: None,
            mtu: None,
        },
        subnets: vec![subnet(pool)],
        ..network(name)
    })
}

fn agent() -> Agent {
    let mut agent = Agent::new();
    agent.does(&on("mv", "198.18.0.0/24", Some("up0")));
    agent.does(&create(sandbox("a", &["mv"])));
    agent
}

fn remove(network: &str) -> Request {
    Request::NetworkRemove {
        network: network.to_owned(),
        force: false,
    }
}

fn connect(network: &str, sandbox: &str) -> Request {
    Request::Connect {
        network: network.to_owned(),
        sandbox: sandbox.to_owned(),
        endpoint: EndpointSpec::default(),
    }
}

fn disconnect(network: &str, sandbox: &str) -> Request {
    Request::Disconnect {
        network: network.to_owned(),
        sandbox: sandbox.to_owned(),
        force: false,
    }
}

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

fn place(agent: &Agent, sandbox: &str) -> Place {
    let view = agent.control.state().inspect_sandbox(sandbox).unwrap();
    Place::Sandbox(view.sandbox.id)
}

fn kind(agent: &mut Agent, place: Place, link: &str) -> Option<LinkKind> {
    let links = &agent.kernel().host.links;
    links.get(&(place, name(link))).map(|link| link.kind)
}

/// Tells of a link that changed, and sets right what follows.
fn tell(agent: &mut Agent, place: Place, link: &str, deleted: bool) {
    agent.control.on_event(&Event::Link {
        place,
        name: name(link),
        deleted,
    });
    agent.settle();
}

#[test]
fn networks_come_and_go_while_the_sandbox_runs() {
    let mut agent = agent();
    agent.does(&Request::NetworkCreate(network("app")));
    agent.does(&connect("app", "a"));
    let inside = place(&agent, "a");
    assert_eq!(kind(&mut agent, inside, "eth1"), Some(LinkKind::Veth));
    agent.does(&disconnect("mv", "a"));
    assert_eq!(kind(&mut agent, inside, "eth0"), None);
    agent.does(&connect("mv", "a"));
    let made = kind(&mut agent, inside, "eth2");
    assert!(matches!(made, Some(LinkKind::Macvlan(_))), "{made:?}");
    agent.does(&Request::SandboxRemove {
        sandbox: "a".to_owned(),
        force: false,
    });
    agent.does(&remove("mv"));
    // The host's own link was never touched.
    assert_eq!(kind(&mut agent, Place::Host, "up0"), Some(LinkKind::Other));
}

#[test]
fn a_vlan_stays_until_its_last_network_goes() {
    let mut agent = Agent::new();
    agent.does(&on("v1", "10.1.0.0/24", Some("up0.10")));
    let vlan = Some(LinkKind::Vlan(10));
    assert_eq!(kind(&mut agent, Place::Host, "up0.10"), vlan);
    agent.does(&on("v2", "10.2.0.0/24", Some("up0.10")));
    agent.does(&create(sandbox("a", &["v2"])));
    agent.does(&remove("v1"));
    assert_eq!(kind(&mut agent, Place::Host, "up0.10"), vlan);
    agent.does(&Request::SandboxRemove {
        sandbox: "a".to_owned(),
        force: false,
    });
    agent.does(&remove("v2"));
    assert_eq!(kind(&mut agent, Place::Host, "up0.10"), None);
}

#[test]
fn without_a_parent_a_dummy_is_made_and_removed() {
    let mut agent = Agent::new();
    agent.does(&on("alone", "10.1.0.0/24", None));
    let id = agent.control.state().inspect_network("alone").unwrap();
    let dummy = format!("dm-{}", id.network.id.short());
    let made = kind(&mut agent, Place::Host, &dummy);
    assert_eq!(made, Some(LinkKind::Dummy));
    agent.does(&create(sandbox("a", &["alone"])));
    // Somebody deletes it, and with it what stands on it.
    agent.kernel().delete_link(Place::Host, &name(&dummy));
    tell(&mut agent, Place::Host, &dummy, true);
    agent.check();
}

#[test]
fn what_is_deleted_inside_is_made_again() {
    let mut agent = agent();
    let inside = place(&agent, "a");
    agent.kernel().delete_link(inside, &name("eth0"));
    tell(&mut agent, inside, "eth0", true);
    agent.check();
}

#[test]
fn a_parent_that_comes_back_is_used_again() {
    let mut agent = agent();
    agent.does(&on("v", "10.1.0.0/24", Some("up0.10")));
    agent.does(&connect("v", "a"));
    let inside = place(&agent, "a");
    agent.kernel().delete_link(Place::Host, &name("up0"));
    assert_eq!(kind(&mut agent, inside, "eth0"), None);
    for link in ["up0", "up0.10"] {
        tell(&mut agent, Place::Host, link, true);
    }
    assert_eq!(kind(&mut agent, inside, "eth0"), None);
    agent.kernel().add_foreign_link("up0");
    tell(&mut agent, Place::Host, "up0", false);
    agent.check();
    assert!(kind(&mut agent, inside, "eth0").is_some());
    assert!(kind(&mut agent, inside, "eth1").is_some());
}

#[test]
fn a_step_that_fails_leaves_nothing_behind() {
    for failing in 0..12 {
        let mut agent = Agent::new();
        agent.does(&on("v", "10.1.0.0/24", Some("up0.10")));
        agent.kernel().failing = [failing].into();
        let made = agent.handle(&create(sandbox("a", &["v"])));
        let failed = made.is_err();
        agent.kernel().failing.clear();
        agent.check();
        let left = place_of_leftovers(&mut agent);
        assert!(
            !failed || left == 0,
            "step {failing} left {left} interfaces"
        );
    }
}

fn place_of_leftovers(agent: &mut Agent) -> usize {
    let links = agent.kernel().host.links.values();
    links
        .filter(|link| matches!(link.kind, LinkKind::Macvlan(_)))
        .count()
}

#[test]
fn a_new_agent_finds_everything_in_order() {
    let mut agent = agent();
    agent.does(&on("v", "10.1.0.0/24", Some("up0.10")));
    agent.does(&connect("v", "a"));
    let kernel = std::mem::take(agent.kernel());
    let store = std::mem::take(&mut agent.control.store);
    let state = store.replay();
    let mut agent = Agent::over(kernel, store, state);
    agent.kernel().reset_counts();
    let report = agent.start();
    assert_eq!(report.done, [], "nothing was to be done");
    agent.check();
    // And takes all of it away.
    let torn = agent.runtime.block_on(agent.control.tear_down()).unwrap();
    assert!(torn.failures.is_empty(), "{:?}", torn.failures);
    let removed = |link: &str| {
        let link = name(link);
        let is =
            |action: &Action| matches!(action, Action::DeleteLink { link: l, .. } if *l == link);
        torn.done.iter().position(is)
    };
    assert!(removed("eth1") < removed("up0.10"));
    assert_eq!(place_of_leftovers(&mut agent), 0);
}
