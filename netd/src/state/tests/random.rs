//! Random requests: no address, port, MAC, index or name is ever given twice; a refused request
//! changes nothing; going back restores; a store replays.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{Host, create, network, network_with, port, sandbox};
use crate::model::{Endpoint, Network, Sandbox};
use crate::state::{
    Change, Request, State,
    request::{EndpointSpec, NetworkSpec, SandboxSpec},
};

fn any_request() -> impl Strategy<Value = Request> {
    let name = |prefix: &'static str, n: u8| format!("{prefix}{n}");
    let pool = (0u8..6, 24u8..32).prop_map(|(n, bits)| format!("10.1.{n}.0/{bits}"));
    prop_oneof![
        (0u8..6, pool).prop_map(move |(n, pool)| network_with(&name("n", n), &pool)),
        (0u8..6, any::<bool>()).prop_map(move |(n, ipv6)| Request::NetworkCreate(NetworkSpec {
            ipv6,
            ..network(&name("n", n))
        })),
        (0u8..6).prop_map(move |n| Request::NetworkRemove {
            network: name("n", n),
            force: false
        }),
        (
            0u8..12,
            prop::collection::vec(0u8..6, 0..3),
            prop::option::of((9000u16..9004, 0u16..3, any::<bool>()))
        )
            .prop_map(move |(s, networks, ports)| {
                let networks: Vec<String> = networks.into_iter().map(|n| name("n", n)).collect();
                let networks: Vec<&str> = networks.iter().map(String::as_str).collect();
                let ports = ports.map(|(first, more, fixed)| {
                    port(fixed.then_some((first, first + more)), (80, 80 + more))
                });
                create(SandboxSpec {
                    ports: ports.into_iter().collect(),
                    ..sandbox(&name("s", s), &networks)
                })
            }),
        (0u8..12).prop_map(move |s| Request::SandboxRemove {
            sandbox: name("s", s),
            force: false
        }),
        (
            0u8..6,
            0u8..12,
            prop::option::of((0u8..6, any::<u8>())),
            prop::option::of(0u8..8)
        )
            .prop_map(move |(n, s, ip, mac)| {
                let endpoint = EndpointSpec {
                    ip: ip.map(|(net, last)| [10, 1, net, last].into()),
                    mac: mac.and_then(|mac| format!("02:42:0a:01:00:{mac:02x}").parse().ok()),
                    ..EndpointSpec::default()
                };
                Request::Connect {
                    network: name("n", n),
                    sandbox: name("s", s),
                    endpoint,
                }
            }),
        (0u8..6, 0u8..12).prop_map(move |(n, s)| Request::Disconnect {
            network: name("n", n),
            sandbox: name("s", s),
            force: false
        }),
        Just(Request::NetworkPrune(Default::default())),
    ]
}

/// Everything that must not be given twice.
fn check_unique(state: &State) {
    let mut seen = BTreeSet::new();
    let mut once = |what: String| assert!(seen.insert(what.clone()), "{what} twice");
    for view in state.list_networks() {
        let network = &view.network;
        once(format!("network index {}", network.index));
        for subnet in &network.subnets {
            once(format!("subnet {}", subnet.pool.network()));
            subnet
                .gateway
                .iter()
                .for_each(|gateway| once(format!("address {gateway}")));
        }
        for view in &view.endpoints {
            let endpoint = &view.endpoint;
            once(format!("endpoint index {}", endpoint.index));
            once(format!("generation {}", endpoint.generation));
            once(format!("interface {}", endpoint.host_interface));
            once(format!("MAC {} on {}", endpoint.mac, network.name));
            assert_eq!(endpoint.addresses.len(), network.subnets.len());
            for net in &endpoint.addresses {
                once(format!("address {}", net.addr()));
                let subnet = network
                    .subnets
                    .iter()
                    .find(|subnet| subnet.pool.contains(&net.addr()));
                let pool = subnet.expect("inside a subnet").pool;
                let two = pool.max_prefix_len() - pool.prefix_len() == 1;
                assert!(
                    two || net.addr() != pool.network(),
                    "{net} is the subnet's own"
                );
                assert!(
                    two || net.addr().is_ipv6() || net.addr() != pool.broadcast(),
                    "{net} is the broadcast"
                );
            }
        }
    }
    for view in state.list_sandboxes() {
        once(format!("sandbox index {}", view.sandbox.index));
        for port in &view.sandbox.ports {
            for number in port.host.first..=port.host.last {
                once(format!(
                    "port {:?} {} {number}",
                    port.protocol, port.host_address
                ));
            }
        }
    }
}

fn replayed(state: &State) -> State {
    State::from_records(
        state.meta().clone(),
        state.networks().cloned(),
        state.sandboxes().cloned(),
        state.endpoints().cloned(),
    )
    .expect("records fit together")
}

/// A revert keeps the count of attaches.
fn with_attaches_of(mut state: State, other: &State) -> State {
    let meta_after = crate::state::Meta {
        attaches: other.meta().attaches,
        ..state.meta().clone()
    };
    state.replay(&Change {
        meta_after,
        ..Change::default()
    });
    state
}

proptest! {
    #[test]
    fn nothing_is_given_twice(requests in prop::collection::vec(any_request(), 1..80)) {
        let mut host = Host::new();
        for request in requests {
            let before = host.state.clone();
            match host.apply(&request) {
                Err(_) => prop_assert!(host.state == before, "a refused request changed the state"),
                Ok((_, change)) => {
                    let after = host.state.clone();
                    host.state.revert(&change);
                    prop_assert!(host.state == with_attaches_of(before, &after), "going back restores");
                    host.state.replay(&change);
                    prop_assert!(host.state == after, "going forward again");
                }
            }
            check_unique(&host.state);
            prop_assert!(replayed(&host.state) == host.state, "a store replays");
        }
    }
}

struct Records {
    networks: Vec<Network>,
    sandboxes: Vec<Sandbox>,
    endpoints: Vec<Endpoint>,
}

#[test]
fn contradictory_records_are_refused() {
    let mut host = Host::new();
    host.says(&network_with("x", "10.1.0.0/24"));
    host.says(&create(sandbox("a", &["x"])));
    host.says(&create(sandbox("b", &["x"])));
    let rebuild = |change: &dyn Fn(&mut Records)| {
        let mut records = Records {
            networks: host.state.networks().cloned().collect(),
            sandboxes: host.state.sandboxes().cloned().collect(),
            endpoints: host.state.endpoints().cloned().collect(),
        };
        change(&mut records);
        let meta = host.state.meta().clone();
        State::from_records(meta, records.networks, records.sandboxes, records.endpoints)
            .map(|_| ())
    };
    assert_eq!(rebuild(&|_| ()), Ok(()));
    let refused = [
        rebuild(&|r| r.networks.clear()),
        rebuild(&|r| r.sandboxes.clear()),
        rebuild(&|r| r.endpoints[1].addresses = r.endpoints[0].addresses.clone()),
        rebuild(&|r| r.endpoints[1].mac = r.endpoints[0].mac),
        rebuild(&|r| r.endpoints[1].index = r.endpoints[0].index),
        rebuild(&|r| r.endpoints[1].addresses = vec!["10.9.0.2/24".parse().unwrap()]),
        rebuild(&|r| r.sandboxes.push(r.sandboxes[0].clone())),
    ];
    for (i, result) in refused.into_iter().enumerate() {
        assert!(result.is_err(), "case {i}");
    }
}
