//! Address management: which subnets a network gets, which addresses its endpoints, and what is
//! counted.

use std::{collections::BTreeMap, net::IpAddr};

use expect_test::{Expect, expect};

use super::{Host, create, network, network_with, sandbox, subnet};
use crate::{
    model::{
        HostFacts, Network,
        network::{Ipam, Subnet},
    },
    state::{
        Request, Settings, State,
        request::{NetworkSpec, SubnetSpec},
    },
};

fn check(host: &mut Host, request: &Request, expected: Expect) {
    expected.assert_eq(&host.says(request));
}

fn create_network(spec: NetworkSpec) -> Request {
    Request::NetworkCreate(spec)
}

/// A network of the given families and subnets.
fn with(name: &str, [ipv4, ipv6]: [bool; 2], subnets: &[&str]) -> NetworkSpec {
    NetworkSpec {
        ipv4,
        ipv6,
        subnets: subnets.iter().map(|pool| subnet(pool)).collect(),
        ..network(name)
    }
}

const V4: [bool; 2] = [true, false];
const V6: [bool; 2] = [false, true];
const BOTH: [bool; 2] = [true, true];

fn subnets(host: &Host, name: &str) -> Vec<String> {
    let view = host.state.inspect_network(name).expect(name);
    let subnets = view.network.subnets.iter();
    subnets
        .map(|s| match s.gateway {
            Some(gateway) => format!("{} via {gateway}", s.pool),
            None => s.pool.to_string(),
        })
        .collect()
}

fn addresses(host: &Host, sandbox: &str) -> Vec<String> {
    let view = host.state.inspect_sandbox(sandbox).expect(sandbox);
    let endpoints = view.endpoints.iter();
    endpoints
        .flat_map(|view| &view.endpoint.addresses)
        .map(ToString::to_string)
        .collect()
}

/// Used and free addresses of each subnet.
pub(super) fn counters(host: &Host, name: &str) -> Vec<(u64, u64)> {
    let view = host.state.inspect_network(name).expect(name);
    view.usage
        .iter()
        .map(|usage| (usage.used, usage.free))
        .collect()
}

fn restarted(host: &mut Host) {
    let state = &host.state;
    host.state = State::from_records(
        state.meta().clone(),
        state.networks().cloned(),
        state.sandboxes().cloned(),
        state.endpoints().cloned(),
    )
    .expect("records fit together");
}

#[test]
fn a_network_speaks_the_families_that_it_is_told_to() {
    let mut host = Host::new();
    check(
        &mut host,
        &create_network(with("six", V6, &[])),
        expect!["ok"],
    );
    host.says(&create(sandbox("a", &["six"])));
    let six = addresses(&host, "a");
    assert!(six.len() == 1 && six[0].ends_with("::2/64"), "{six:?}");
    let view = host.state.inspect_sandbox("a").expect("it was made");
    assert_eq!(view.endpoints[0].is_gateway, [false, true]);

    check(
        &mut host,
        &create_network(with("x", [false, false], &[])),
        expect!["IPv4 or IPv6 must be enabled"],
    );
    check(
        &mut host,
        &create_network(with("x", V6, &["10.9.0.0/24"])),
        expect!["subnet 10.9.0.0/24 needs IPv4 enabled on the network (--ipv4)"],
    );
    check(
        &mut host,
        &create_network(with("x", V4, &["fd00:9::/64"])),
        expect!["subnet fd00:9::/64 needs IPv6 enabled on the network (--ipv6)"],
    );
    let both = with("both", BOTH, &["fd00:9::/64", "10.9.0.0/24"]);
    check(&mut host, &create_network(both), expect!["ok"]);
    assert_eq!(
        subnets(&host, "both"),
        ["10.9.0.0/24 via 10.9.0.1", "fd00:9::/64 via fd00:9::1"]
    );
    let mut endpoint = sandbox("b", &["six"]);
    endpoint.networks[0].1.ip = "10.9.0.9".parse().ok();
    check(
        &mut host,
        &create(endpoint),
        expect!["Invalid address 10.9.0.9: It does not belong to any of this network's subnets"],
    );
}

#[test]
fn a_bridge_has_one_subnet_of_each_family() {
    let mut host = Host::new();
    for pools in [
        ["10.1.0.0/24", "10.2.0.0/24"],
        ["fd00:1::/64", "fd00:2::/64"],
    ] {
        check(
            &mut host,
            &create_network(with("x", BOTH, &pools)),
            expect!["bridge driver doesn't support multiple subnets"],
        );
    }
}

#[test]
fn a_subnet_may_be_asked_for_by_its_size() {
    let mut host = Host::new();
    let sized = |name: &str, pool: &str| {
        let families = if pool.contains(':') { V6 } else { V4 };
        create_network(with(name, families, &[pool]))
    };
    for (name, pool) in [("a", "0.0.0.0/24"), ("b", "0.0.0.0/24"), ("c", "0.0.0.0/0")] {
        check(&mut host, &sized(name, pool), expect!["ok"]);
    }
    check(&mut host, &sized("six", "::/120"), expect!["ok"]);
    check(&mut host, &sized("seven", "::/120"), expect!["ok"]);
    assert_eq!(subnets(&host, "a"), ["172.18.0.0/24 via 172.18.0.1"]);
    assert_eq!(subnets(&host, "b"), ["172.18.1.0/24 via 172.18.1.1"]);
    assert_eq!(subnets(&host, "c"), ["172.19.0.0/16 via 172.19.0.1"]);
    let [six, seven] = ["six", "seven"].map(|name| subnets(&host, name).remove(0));
    assert!(six.contains("::/120 via fd"), "{six}");
    assert!(seven.contains("::100/120 via fd"), "{seven}");
    // They are found again as they were, and the cursor of whole pieces was not moved by them.
    restarted(&mut host);
    assert_eq!(subnets(&host, "a"), ["172.18.0.0/24 via 172.18.0.1"]);
    assert_eq!(subnets(&host, "six"), [six]);
    check(&mut host, &sized("d", "0.0.0.0/25"), expect!["ok"]);
    assert_eq!(subnets(&host, "d"), ["172.18.2.0/25 via 172.18.2.1"]);
    check(
        &mut host,
        &sized("x", "0.0.0.0/8"),
        expect!["invalid address pool: no default pool has subnets of /8"],
    );
    let mut gateway = with("x", V4, &["0.0.0.0/24"]);
    gateway.subnets[0].gateway = "0.0.0.5".parse().ok();
    check(
        &mut host,
        &create_network(gateway),
        expect!["no matching subnet for gateway 0.0.0.5"],
    );
}

#[test]
fn automatic_ipv6_subnets_share_a_private_prefix_that_stays() {
    let mut host = Host::new();
    let prefix = |host: &Host, name: &str| {
        let subnet = &host
            .state
            .inspect_network(name)
            .expect(name)
            .network
            .subnets[0];
        assert_eq!(subnet.pool.prefix_len(), 64);
        let IpAddr::V6(address) = subnet.pool.addr() else {
            panic!("{subnet:?}");
        };
        let [a, b, c, number, ..] = address.segments();
        assert_eq!(a >> 8, 0xfd, "{address}");
        ([a, b, c], number)
    };
    host.says(&create_network(with("a", V6, &[])));
    host.says(&create_network(with("b", V6, &[])));
    let (first, number) = prefix(&host, "a");
    assert_eq!(number, 0);
    assert_eq!(prefix(&host, "b"), (first, 1));
    restarted(&mut host);
    host.says(&create_network(with("c", V6, &[])));
    assert_eq!(prefix(&host, "c"), (first, 2));
    // Other pools of IPv6 in the settings stand instead.
    host.settings.address_pools.push(crate::state::AddressPool {
        base: "2001:db8::/48".parse().unwrap(),
        size: 56,
    });
    host.says(&create_network(with("d", V6, &[])));
    assert_eq!(subnets(&host, "d"), ["2001:db8::/56 via 2001:db8::1"]);
}

#[test]
fn automatic_subnets_leave_name_servers_reachable() {
    let mut facts = HostFacts::default();
    facts.resolv_conf.servers = vec!["172.17.0.53".parse().unwrap(), "fd00::53".parse().unwrap()];
    let mut host = Host::with(facts, Settings::default());
    assert_eq!(subnets(&host, "bridge"), ["172.18.0.0/16 via 172.18.0.1"]);
    // Who asks for just that subnet gets it, as from Docker.
    check(
        &mut host,
        &network_with("x", "172.17.0.0/24"),
        expect!["ok"],
    );
}

#[test]
fn the_smallest_subnets_hold_what_they_can() {
    let mut host = Host::new();
    let mut fill = |name: &str, families, pool: &str| {
        let text = host.says(&create_network(with(name, families, &[pool])));
        if text != "ok" {
            return vec![text];
        }
        let mut found = subnets(&host, name);
        for i in 0..4 {
            let sandbox_name = format!("{name}{i}");
            if host.says(&create(sandbox(&sandbox_name, &[name]))) == "ok" {
                found.extend(addresses(&host, &sandbox_name));
            }
        }
        found
    };
    // RFC 3021 and RFC 6164: of two addresses both are used.
    assert_eq!(
        fill("a", V4, "10.1.0.0/31"),
        ["10.1.0.0/31 via 10.1.0.0", "10.1.0.1/31"]
    );
    assert_eq!(
        fill("b", V6, "fd00:1::/127"),
        ["fd00:1::/127 via fd00:1::", "fd00:1::1/127"]
    );
    assert_eq!(
        fill("c", V4, "10.2.0.0/30"),
        ["10.2.0.0/30 via 10.2.0.1", "10.2.0.2/30"]
    );
    assert_eq!(
        fill("d", V6, "fd00:2::/126"),
        [
            "fd00:2::/126 via fd00:2::1",
            "fd00:2::2/126",
            "fd00:2::3/126"
        ]
    );
    for (families, pool) in [(V4, "10.3.0.0/32"), (V6, "fd00:3::/128")] {
        assert_eq!(
            fill("e", families, pool),
            ["failed to allocate gateway (): No available addresses on this pool"]
        );
    }
}

#[test]
fn ranges_of_64_bits_and_their_ends_are_no_limit() {
    let pools = ["fd2e:b68c:ce26::/64", "fd2e:b68c:ce26::/56"];
    for (i, pool) in pools.into_iter().enumerate() {
        for range in [None, Some("fd2e:b68c:ce26::/64")] {
            for gateway in [None, Some("fd2e:b68c:ce26::1")] {
                let mut host = Host::new();
                let mut spec = with("x", BOTH, &[pool]);
                spec.subnets[0].range = range.map(|range| range.parse().unwrap());
                spec.subnets[0].gateway = gateway.map(|gateway| gateway.parse().unwrap());
                assert_eq!(host.says(&create_network(spec)), "ok");
                host.says(&create(sandbox("a", &["x"])));
                let bits = [64, 56][i];
                assert_eq!(
                    addresses(&host, "a")[1],
                    format!("fd2e:b68c:ce26::2/{bits}")
                );
            }
        }
    }
    for (pool, range, address) in [
        (
            "fda9:8d04:86e::/64",
            "fda9:8d04:86e:0:ffff:ffff:ffff:ff0e/127",
            "fda9:8d04:86e:0:ffff:ffff:ffff:ff0f/64",
        ),
        (
            "fda9:8d04:86e::/64",
            "fda9:8d04:86e:0:ffff:ffff:ffff:fffe/127",
            "fda9:8d04:86e:0:ffff:ffff:ffff:ffff/64",
        ),
        (
            "fda9:8d04:86e::/56",
            "fda9:8d04:86e:aa:ffff:ffff:ffff:fffe/127",
            "fda9:8d04:86e:aa:ffff:ffff:ffff:ffff/56",
        ),
    ] {
        let mut host = Host::new();
        let mut spec = with("x", V6, &[pool]);
        spec.subnets[0].range = range.parse().ok();
        assert_eq!(host.says(&create_network(spec)), "ok");
        // The gateway has the range's first address.
        assert_eq!(host.says(&create(sandbox("a", &["x"]))), "ok");
        assert_eq!(addresses(&host, "a"), [address]);
        let text = host.says(&create(sandbox("b", &["x"])));
        assert!(
            text.starts_with("no available IPv6 addresses on this network's"),
            "{text}"
        );
    }
}

#[test]
fn used_and_free_addresses_are_counted_as_docker_counts_them() {
    let mut host = Host::new();
    let aux = |addresses: [&str; 2]| -> BTreeMap<String, IpAddr> {
        let aux = addresses.into_iter().enumerate();
        aux.map(|(i, a)| (format!("aux{i}"), a.parse().unwrap()))
            .collect()
    };
    let spec = NetworkSpec {
        ipv6: true,
        subnets: vec![
            SubnetSpec {
                range: "192.168.0.64/31".parse().ok(),
                gateway: "192.168.0.1".parse().ok(),
                aux: aux(["192.168.0.65", "192.168.0.128"]),
                ..subnet("192.168.0.0/24")
            },
            SubnetSpec {
                range: "2001:db8:abcd::/120".parse().ok(),
                gateway: "2001:db8:abcd::1".parse().ok(),
                aux: aux(["2001:db8:abcd::2a", "2001:db8:abcd::8000"]),
                ..subnet("2001:db8:abcd::/64")
            },
        ],
        ..network("x")
    };
    assert_eq!(host.says(&create_network(spec)), "ok");
    assert_eq!(counters(&host, "x"), [(5, 1), (4, 253)]);
    assert_eq!(host.says(&create(sandbox("a", &["x"]))), "ok");
    assert_eq!(counters(&host, "x"), [(6, 0), (5, 252)]);
    let mut outside = sandbox("b", &["x"]);
    outside.networks[0].1.ip = "192.168.0.129".parse().ok();
    outside.networks[0].1.ip6 = "2001:db8:abcd::9000".parse().ok();
    assert_eq!(host.says(&create(outside)), "ok");
    assert_eq!(counters(&host, "x"), [(7, 0), (6, 252)]);
    for sandbox in ["a", "b"] {
        let sandbox = sandbox.to_owned();
        let force = false;
        host.says(&Request::SandboxRemove { sandbox, force });
    }
    assert_eq!(counters(&host, "x"), [(5, 1), (4, 253)]);

    host.says(&create_network(with("y", V6, &["2001:db8:1::/56"])));
    assert_eq!(counters(&host, "y"), [(2, u64::MAX)]);
    host.says(&create_network(with("z", V6, &["2001:db8:2::/64"])));
    assert_eq!(counters(&host, "z"), [(2, u64::MAX - 1)]);
    assert_eq!(counters(&host, "host"), []);
}

#[test]
fn a_sandbox_with_ipv6_switched_off_gets_no_ipv6_address() {
    let mut host = Host::new();
    host.says(&create_network(with(
        "x",
        BOTH,
        &["10.9.0.0/24", "fd00:9::/64"],
    )));
    host.says(&create_network(with("six", V6, &["fd00:6::/64"])));
    host.without_ipv6 = true;
    assert_eq!(host.says(&create(sandbox("a", &["x"]))), "ok");
    assert_eq!(addresses(&host, "a"), ["10.9.0.2/24"]);
    let mut wish = sandbox("b", &["x"]);
    wish.networks[0].1.ip6 = "fd00:9::9".parse().ok();
    check(
        &mut host,
        &create(wish),
        expect!["IPv6 is disabled in the sandbox: it cannot have fd00:9::9"],
    );
    // Without any address it is on the network all the same, as in Docker.
    assert_eq!(host.says(&create(sandbox("b", &["six"]))), "ok");
    assert!(addresses(&host, "b").is_empty());
    host.without_ipv6 = false;
    assert_eq!(host.says(&create(sandbox("c", &["x"]))), "ok");
    assert_eq!(addresses(&host, "c"), ["10.9.0.3/24", "fd00:9::2/64"]);
}

#[test]
fn the_null_ipam_driver_is_not_for_bridges() {
    let mut host = Host::new();
    let null = |spec| NetworkSpec {
        ipam: Ipam::None,
        ..spec
    };
    check(
        &mut host,
        &create_network(null(network("x"))),
        expect!["bridge networks need addresses: the null ipam driver is not for them"],
    );
    check(
        &mut host,
        &create_network(null(with("x", V4, &["10.1.0.0/24"]))),
        expect!["null ipam driver does not handle specific address pool requests"],
    );
}

#[test]
fn addresses_may_come_with_the_request_alone() {
    let mut host = Host::new();
    let spec = NetworkSpec {
        ipam: Ipam::Given,
        ..with("x", BOTH, &["10.9.0.0/24", "fd00:9::/64"])
    };
    assert_eq!(host.says(&create_network(spec)), "ok");
    check(
        &mut host,
        &create(sandbox("a", &["x"])),
        expect!["network x gives no addresses of its own, and none came with the request"],
    );
    let mut wish = sandbox("a", &["x"]);
    wish.networks[0].1.ip = "10.9.0.77".parse().ok();
    assert_eq!(host.says(&create(wish)), "ok");
    assert_eq!(addresses(&host, "a"), ["10.9.0.77/24"]);
}

/// What drivers with several subnets of a family have: an endpoint's address is from the first that
/// has one left, and its gateway is that subnet's.
#[test]
fn a_full_subnet_is_followed_by_the_next() {
    let mut host = Host::new();
    host.says(&network_with("x", "10.1.0.0/30"));
    let more = Subnet {
        pool: "10.2.0.0/30".parse().unwrap(),
        range: None,
        gateway: "10.2.0.2".parse().ok(),
        aux: BTreeMap::new(),
        automatic: false,
        last: None,
    };
    let state = &host.state;
    let networks = state.networks().cloned().map(|mut network: Network| {
        if network.name.as_str() == "x" {
            network.subnets.push(more.clone());
        }
        network
    });
    host.state = State::from_records(state.meta().clone(), networks, [], []).expect("two subnets");
    for (name, address, gateway) in [
        ("a", "10.1.0.2/30", "10.1.0.1/30"),
        ("b", "10.2.0.1/30", "10.2.0.2/30"),
    ] {
        assert_eq!(host.says(&create(sandbox(name, &["x"]))), "ok");
        assert_eq!(addresses(&host, name), [address]);
        let view = host.state.inspect_sandbox(name).expect(name);
        let endpoint = &view.endpoints[0];
        let via = endpoint.endpoint.address(false);
        let via = via.and_then(|address| endpoint.network.gateway_of(address));
        assert_eq!(via.map(|net| net.to_string()).as_deref(), Some(gateway));
        assert_eq!(endpoint.is_gateway, [true, false]);
    }
    let text = host.says(&create(sandbox("c", &["x"])));
    assert!(
        text.starts_with("no available IPv4 addresses on this network's"),
        "{text}"
    );
    let mut wish = sandbox("c", &["x"]);
    wish.networks[0].1.ip = "10.2.0.1".parse().ok();
    check(&mut host, &create(wish), expect!["Address already in use"]);
    assert_eq!(counters(&host, "x"), [(4, 0), (4, 0)]);
}
