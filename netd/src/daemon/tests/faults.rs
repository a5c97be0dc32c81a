//! Random requests with failures injected: after each, state, store and kernel agree, and a failed
//! request leaves no trace.

use proptest::prelude::*;

use super::{Agent, create, network_with, port, sandbox};
use crate::{
    daemon::Failure,
    state::{
        Request,
        request::{EndpointSpec, SandboxSpec},
    },
};

const NETWORKS: [&str; 4] = ["bridge", "na", "nb", "nc"];
const SANDBOXES: [&str; 4] = ["a", "b", "c", "d"];

fn any_request() -> impl Strategy<Value = Request> {
    let network = prop::sample::select(&NETWORKS[..]);
    let sandbox_name = prop::sample::select(&SANDBOXES[..]);
    let link = prop::option::of(prop::sample::select(
        &["a:x", "db:x", "B:a", "c.na", "d:Y"][..],
    ));
    let endpoint =
        (any::<bool>(), link, 0u8..4, -1..2i32).prop_map(|(alias, link, ip, priority)| {
            let alias = alias.then(|| "db".parse().unwrap());
            EndpointSpec {
                ip: (ip > 1).then(|| [10, 0, 1, ip].into()),
                aliases: alias.into_iter().collect(),
                links: link.into_iter().map(|link| link.parse().unwrap()).collect(),
                gateway_priority: priority,
                ..EndpointSpec::default()
            }
        });
    let ports = prop::option::of((8000u16..8006, 0u16..4));
    prop_oneof![
        2 => (1..4usize).prop_map(|n| network_with(NETWORKS[n], &format!("10.0.{n}.0/28"))),
        1 => network.clone().prop_map(|network| Request::NetworkRemove {
            network: network.to_owned(),
            force: false,
        }),
        1 => Just(Request::NetworkPrune(Default::default())),
        4 => (sandbox_name.clone(), prop::sample::subsequence(&NETWORKS[..], 0..3), ports, any::<bool>())
            .prop_map(|(name, networks, ports, fixed)| {
                let ports = ports.map(|(first, more)| {
                    let range = (first, first + more);
                    port(fixed.then_some(range), (80, 80 + more))
                });
                create(SandboxSpec {
                    ports: ports.into_iter().collect(),
                    ..sandbox(name, &networks)
                })
            }),
        2 => sandbox_name.clone().prop_map(|name| Request::SandboxRemove {
            sandbox: name.to_owned(),
            force: false,
        }),
        4 => (network.clone(), sandbox_name.clone(), endpoint).prop_map(|(network, name, endpoint)| {
            Request::Connect { network: network.to_owned(), sandbox: name.to_owned(), endpoint }
        }),
        3 => (network, sandbox_name).prop_map(|(network, name)| Request::Disconnect {
            network: network.to_owned(),
            sandbox: name.to_owned(),
            force: false,
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn everything_agrees_after_every_request(
        steps in prop::collection::vec(
            (
                any_request(),
                prop::option::weighted(0.4, 0usize..40),
                prop::option::weighted(0.2, 0usize..12),
                prop::bool::weighted(0.05),
            ),
            1..40,
        )
    ) {
        let mut agent = Agent::new();
        for (request, fails, fails_again, disk_full) in steps {
            let before = agent.seen();
            let revision = agent.control.state().revision();
            agent.kernel().failing = fails.into_iter().collect();
            if let (Some(first), Some(later)) = (fails, fails_again) {
                // While going back, too.
                agent.kernel().failing.insert(first + 1 + later);
            }
            let injected = agent.kernel().failing.len();
            agent.control.store().fails = disk_full;
            let result = agent.handle(&request);
            let left = std::mem::take(&mut agent.kernel().failing).len();
            agent.control.store().fails = false;
            if result.is_err() {
                prop_assert_eq!(before, agent.seen(), "a failed request leaves no trace");
                prop_assert_eq!(revision, agent.control.state().revision());
            }
            match result {
                Err(Failure::Kernel(_)) => prop_assert!(left < injected),
                Err(Failure::Store(_)) => prop_assert!(disk_full),
                Err(Failure::Refused(_)) => {}
                Ok(_) => prop_assert_eq!(left, injected, "a failure was not told"),
            }
            if agent.control.is_pending() {
                prop_assert!(left + 2 == injected, "going back failed");
                agent.settle();
            }
            agent.check();
        }
        agent.check_names();
    }
}

#[test]
fn a_full_map_of_names_is_no_failure() {
    let mut agent = Agent::new();
    agent.does(&network_with("na", "10.0.1.0/24"));
    agent.kernel().name_capacity = Some(7);
    for name in ["a", "b", "c"] {
        let result = agent.handle(&create(sandbox(name, &["na"])));
        result.expect("the agent answers what the map has no room for");
    }
    // Each has its name and its id, both with and without the network's name, and its address.
    assert_eq!(agent.control.table.counts(), (15, 3));
    agent.kernel().name_capacity = None;
    agent.walk();
    agent.check();
}
