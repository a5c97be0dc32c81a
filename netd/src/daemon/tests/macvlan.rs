//! Macvlan networks on the host: made, shared, repaired, removed; whatever happens, state and host
//! agree afterwards.

use super::{Agent, create, network, sandbox};
use crate::{
    kernel::events::Event,
    model::{IfName, macvlan::MacvlanMode},
    plan::{Action, Place, action::Route, observed::LinkKind},
    state::{
        Request,
        request::{DriverSpec, NetworkSpec},
        tests::{connect, disconnect, remove_network, remove_sandbox, subnet},
    },
};

fn on(name: &str, pool: &str, parent: Option<&str>) -> Request {
    Request::NetworkCreate(NetworkSpec {
        driver: DriverSpec::Macvlan {
            parent: parent.map(|name| name.parse().unwrap()),
            mode: None,
            mtu: None,
            host_access: false,
        },
        subnets: vec![subnet(pool)],
        ..network(name)
    })
}

/// With the host's own interface, both families.
fn with_access(name: &str, parent: Option<&str>) -> Request {
    Request::NetworkCreate(NetworkSpec {
        driver: DriverSpec::Macvlan {
            parent: parent.map(|name| name.parse().unwrap()),
            mode: None,
            mtu: None,
            host_access: true,
        },
        ipv6: true,
        subnets: vec![subnet("198.18.0.0/16"), subnet("2001:db8:18::/64")],
        ..network(name)
    })
}

fn access_link(agent: &Agent, network: &str) -> String {
    let view = agent.control.state().inspect_network(network).unwrap();
    let access = view.network.macvlan().unwrap().host_access.clone();
    access.unwrap().to_string()
}

/// The host's own ways to sandboxes.
fn host_routes(agent: &mut Agent) -> Vec<String> {
    let routes = agent.kernel().host.routes.values();
    let text = |route: &Route| format!("{} from {}", route.destination, route.source.unwrap());
    routes.map(text).collect()
}

fn agent() -> Agent {
    let mut agent = Agent::new();
    agent.does(&on("mv", "198.18.0.0/24", Some("up0")));
    agent.does(&create(sandbox("a", &["mv"])));
    agent
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
    agent.does(&remove_sandbox("a"));
    agent.does(&remove_network("mv"));
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
    agent.does(&remove_network("v1"));
    assert_eq!(kind(&mut agent, Place::Host, "up0.10"), vlan);
    agent.does(&remove_sandbox("a"));
    agent.does(&remove_network("v2"));
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
    let mut agent = agent.successor();
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

#[test]
fn the_hosts_interface_follows_who_is_connected() {
    let mut agent = Agent::new();
    agent.does(&with_access("mv", Some("up0")));
    let link = access_link(&agent, "mv");
    let made = kind(&mut agent, Place::Host, &link);
    assert_eq!(made, Some(LinkKind::Macvlan(MacvlanMode::Bridge)));
    let addresses = |agent: &mut Agent| {
        let links = &agent.kernel().host.links;
        links[&(Place::Host, name(&link))].addresses.clone()
    };
    let own = ["198.18.0.2/32", "2001:db8:18::2/128"].map(|net| net.parse().unwrap());
    assert_eq!(addresses(&mut agent), own.into());
    assert_eq!(host_routes(&mut agent), [""; 0]);
    agent.does(&create(sandbox("a", &["mv"])));
    agent.does(&create(sandbox("b", &["mv"])));
    assert_eq!(
        host_routes(&mut agent),
        [
            "198.18.0.3/32 from 198.18.0.2",
            "198.18.0.4/32 from 198.18.0.2",
            "2001:db8:18::3/128 from 2001:db8:18::2",
            "2001:db8:18::4/128 from 2001:db8:18::2",
        ]
    );
    agent.does(&disconnect("mv", "a"));
    agent.does(&remove_sandbox("b"));
    assert_eq!(host_routes(&mut agent), [""; 0]);
    agent.does(&connect("mv", "a"));
    assert_eq!(host_routes(&mut agent).len(), 2);
    agent.does(&remove_sandbox("a"));
    agent.does(&remove_network("mv"));
    assert_eq!(kind(&mut agent, Place::Host, &link), None);
}

#[test]
fn the_hosts_interface_and_its_routes_are_repaired() {
    for parent in [Some("up0"), Some("up0.10"), None] {
        let mut agent = Agent::new();
        agent.does(&with_access("mv", parent));
        agent.does(&create(sandbox("a", &["mv"])));
        let link = access_link(&agent, "mv");
        let before = host_routes(&mut agent);
        agent.kernel().delete_link(Place::Host, &name(&link));
        assert_eq!(host_routes(&mut agent), [""; 0]);
        tell(&mut agent, Place::Host, &link, true);
        agent.check();
        assert_eq!(host_routes(&mut agent), before);
        // Nobody tells of a route.
        let routes = &mut agent.kernel().host.routes;
        routes.pop_first();
        agent.walk();
        agent.check();
        assert_eq!(host_routes(&mut agent), before);
    }
}

#[test]
fn a_parent_that_comes_back_has_the_hosts_interface_again() {
    let mut agent = Agent::new();
    agent.does(&with_access("mv", Some("up0")));
    agent.does(&create(sandbox("a", &["mv"])));
    let link = access_link(&agent, "mv");
    agent.kernel().delete_link(Place::Host, &name("up0"));
    for link in ["up0", &link] {
        tell(&mut agent, Place::Host, link, true);
    }
    assert_eq!(kind(&mut agent, Place::Host, &link), None);
    agent.kernel().add_foreign_link("up0");
    tell(&mut agent, Place::Host, "up0", false);
    agent.check();
    assert_eq!(host_routes(&mut agent).len(), 2);
}

#[test]
fn a_step_that_fails_leaves_nothing_of_the_hosts_behind() {
    for failing in 0..30 {
        let mut agent = Agent::new();
        agent.kernel().failing = [failing].into();
        let network = agent.handle(&with_access("mv", None));
        if network.is_ok() {
            let made = agent.handle(&create(sandbox("a", &["mv"])));
            assert_eq!(made.is_ok(), host_routes(&mut agent).len() == 2);
        } else {
            assert_eq!(place_of_leftovers(&mut agent), 0, "step {failing}");
        }
        agent.kernel().failing.clear();
        agent.check();
    }
}

#[test]
fn one_more_sandbox_with_access_costs_the_same_at_ten_and_at_two_hundred() {
    let mut agent = Agent::new();
    agent.does(&with_access("mv", Some("up0")));
    let mut costs = Vec::new();
    for i in 0..201 {
        agent.kernel().reset_counts();
        let name = format!("s{i}");
        agent
            .handle(&create(sandbox(&name, &["mv"])))
            .expect("it is made");
        if i == 10 || i == 200 {
            let kernel = agent.kernel();
            let keys: usize = kernel.observations.iter().map(|keys| keys.len()).sum();
            costs.push((kernel.observations.len(), keys, kernel.actions.len()));
        }
    }
    assert_eq!(costs[0], costs[1]);
}

#[test]
fn a_new_agent_finds_the_hosts_interface_in_order() {
    let mut agent = Agent::new();
    agent.does(&with_access("mv", None));
    agent.does(&create(sandbox("a", &["mv"])));
    let mut agent = agent.successor();
    let report = agent.start();
    assert_eq!(report.done, [], "nothing was to be done");
    let torn = agent.runtime.block_on(agent.control.tear_down()).unwrap();
    assert!(torn.failures.is_empty(), "{:?}", torn.failures);
    assert_eq!(host_routes(&mut agent), [""; 0]);
    let left = agent
        .kernel()
        .host
        .links
        .keys()
        .map(|(_, name)| name.to_string());
    assert_eq!(left.collect::<Vec<_>>(), ["up0"]);
}
