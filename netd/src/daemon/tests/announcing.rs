//! Announcements of addresses: how often, when, and not of who has gone.

use std::time::{Duration, Instant};

use super::{Agent, create, network, sandbox};
use crate::{
    kernel::events::Event,
    model::network::Announce,
    plan::Place,
    state::{
        Request,
        request::{DriverSpec, NetworkSpec},
        tests::{disconnect, remove_sandbox, subnet},
    },
};

fn macvlan(name: &str, pool: &str, announce: Option<(u16, u16)>) -> Request {
    Request::NetworkCreate(NetworkSpec {
        driver: DriverSpec::Macvlan {
            parent: "up0".parse().ok(),
            mode: None,
            mtu: None,
            host_access: false,
        },
        subnets: vec![subnet(pool)],
        announce: announce.map(said),
        ..network(name)
    })
}

fn said((messages, interval_ms): (u16, u16)) -> Announce {
    Announce {
        messages,
        interval_ms,
    }
}

/// What was told until a moment, an address at a time.
fn told(agent: &mut Agent, until: Instant) -> Vec<String> {
    let control = &mut agent.control;
    while control
        .next_announcement(until)
        .is_some_and(|due| due <= until)
    {
        control.announce(until);
    }
    let announced = std::mem::take(&mut agent.kernel().announced);
    let addresses = announced.iter().flat_map(|one| &one.addresses);
    addresses.map(ToString::to_string).collect()
}

fn after(start: Instant, milliseconds: u64) -> Instant {
    start + Duration::from_millis(milliseconds)
}

#[test]
fn they_come_as_often_as_docker_sends_them() {
    let mut agent = Agent::new();
    let start = Instant::now();
    agent.does(&macvlan("mv", "198.18.0.0/24", None));
    agent.does(&create(sandbox("a", &["mv"])));
    let none: [&str; 0] = [];
    // Not before the reply: then they are due at once.
    assert!(agent.kernel().announced.is_empty());
    for (at, expected) in [
        (0, true),
        (999, false),
        (1000, true),
        (1999, false),
        (2000, true),
    ] {
        let expected = if expected { &["198.18.0.2"][..] } else { &none };
        assert_eq!(told(&mut agent, after(start, at)), expected, "{at}");
    }
    assert_eq!(told(&mut agent, after(start, 60_000)), none);
    assert_eq!(agent.control.next_announcement(start), None);
}

#[test]
fn they_come_as_often_as_the_network_says() {
    let mut agent = Agent::new();
    let start = Instant::now();
    agent.does(&macvlan("never", "198.18.0.0/24", Some((0, 100))));
    agent.does(&macvlan("twice", "198.18.1.0/24", Some((2, 100))));
    agent.does(&Request::NetworkCreate(network("quiet")));
    agent.does(&Request::NetworkCreate(NetworkSpec {
        subnets: vec![subnet("10.9.0.0/24")],
        announce: Some(said((1, 1000))),
        ..network("asked")
    }));
    agent.does(&create(sandbox("a", &["never", "twice", "quiet", "asked"])));
    let mut at_once = told(&mut agent, start);
    at_once.sort();
    assert_eq!(at_once, ["10.9.0.2", "198.18.1.2"]);
    assert_eq!(told(&mut agent, after(start, 60_000)), ["198.18.1.2"]);
    assert_eq!(told(&mut agent, after(start, 120_000)), [""; 0]);
}

#[test]
fn who_has_gone_is_not_announced() {
    let mut agent = Agent::new();
    let start = Instant::now();
    agent.does(&macvlan("mv", "198.18.0.0/24", None));
    for name in ["a", "b", "c"] {
        agent.does(&create(sandbox(name, &["mv"])));
    }
    assert_eq!(told(&mut agent, start).len(), 3);
    agent.does(&remove_sandbox("a"));
    agent.does(&disconnect("mv", "b"));
    assert_eq!(told(&mut agent, after(start, 1000)), ["198.18.0.4"]);
    assert_eq!(told(&mut agent, after(start, 60_000)), ["198.18.0.4"]);
}

#[test]
fn an_interface_that_is_made_again_is_announced_anew() {
    let mut agent = Agent::new();
    let start = Instant::now();
    agent.does(&macvlan("mv", "198.18.0.0/24", None));
    agent.does(&create(sandbox("a", &["mv"])));
    assert_eq!(told(&mut agent, start).len(), 1);
    let view = agent.control.state().inspect_sandbox("a").unwrap();
    let (place, link) = (Place::Sandbox(view.sandbox.id), "eth0".parse().unwrap());
    agent.kernel().delete_link(place, &link);
    agent.control.on_event(&Event::Link {
        place,
        name: link,
        deleted: true,
    });
    agent.settle();
    assert_eq!(told(&mut agent, start).len(), 1);
    let later = (1..10).map(|second| after(start, second * 1000));
    let later: usize = later.map(|at| told(&mut agent, at).len()).sum();
    assert_eq!(later, 2, "three of the new one, and no more of the old one");
}
