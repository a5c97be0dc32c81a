//! Networks: automatic and given subnets, gateways, names, removal.

use expect_test::{Expect, expect};

use super::{Host, create, network, network_with, sandbox, subnet};
use crate::{
    model::{HostFacts, facts::AddressFacts},
    state::{
        Request, Settings,
        request::{NetworkSpec, SubnetSpec},
    },
};

fn check(host: &mut Host, request: &Request, expected: Expect) {
    expected.assert_eq(&host.says(request));
}

fn pools(host: &Host) -> Vec<String> {
    let views = host.state.list_networks();
    let pools = views.iter().flat_map(|view| &view.network.subnets);
    pools.map(|subnet| subnet.pool.to_string()).collect()
}

fn remove(name: &str) -> Request {
    Request::NetworkRemove {
        network: name.to_owned(),
        force: false,
    }
}

#[test]
fn automatic_subnets_move_on_until_the_pools_are_used_up() {
    let mut host = Host::new();
    let mut taken = Vec::new();
    for i in 0..30 {
        let name = format!("ex{i:02}");
        assert_eq!(host.says(&Request::NetworkCreate(network(&name))), "ok");
        let view = host.state.inspect_network(&name).expect("it was made");
        taken.push(view.network.subnets[0].pool.to_string());
    }
    assert_eq!(taken[0], "172.18.0.0/16");
    assert_eq!(taken[13], "172.31.0.0/16");
    assert_eq!(taken[14], "192.168.0.0/20");
    assert_eq!(taken[29], "192.168.240.0/20");
    check(
        &mut host,
        &Request::NetworkCreate(network("more")),
        expect![
            "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network"
        ],
    );
    // A freed one is found behind the last one, round the end.
    assert_eq!(host.says(&remove("ex03")), "ok");
    assert_eq!(host.says(&Request::NetworkCreate(network("again"))), "ok");
    let view = host.state.inspect_network("again").expect("it was made");
    assert_eq!(view.network.subnets[0].pool.to_string(), taken[3]);
}

#[test]
fn a_freed_subnet_is_not_taken_at_once() {
    let mut host = Host::new();
    host.says(&Request::NetworkCreate(network("a")));
    host.says(&remove("a"));
    host.says(&Request::NetworkCreate(network("b")));
    assert_eq!(pools(&host), ["172.19.0.0/16", "172.17.0.0/16"]);
}

#[test]
fn what_the_host_uses_is_skipped_and_refused() {
    let mut facts = HostFacts::default();
    facts.routes.insert("172.16.0.0/14".parse().unwrap());
    let docker = AddressFacts {
        link: "docker0".parse().unwrap(),
        ifindex: 3,
        net: "172.20.0.1/16".parse().unwrap(),
    };
    facts
        .addresses
        .insert("172.20.0.1".parse().unwrap(), docker);
    let mut host = Host::with(facts, Settings::default());
    assert_eq!(pools(&host), ["172.21.0.0/16"]);
    check(
        &mut host,
        &network_with("x", "172.20.5.0/24"),
        expect!["subnet 172.20.5.0/24 overlaps with address 172.20.0.1/16 (docker0) of the host"],
    );
    check(
        &mut host,
        &network_with("x", "172.17.5.0/24"),
        expect!["subnet 172.17.5.0/24 overlaps with route 172.16.0.0/14 of the host"],
    );
    check(
        &mut host,
        &network_with("x", "172.16.0.0/12"),
        expect!["Pool overlaps with other one on this address space"],
    );
    let forced = NetworkSpec {
        subnets: vec![subnet("172.17.5.0/24")],
        force: true,
        ..network("x")
    };
    check(&mut host, &Request::NetworkCreate(forced), expect!["ok"]);
}

#[test]
fn given_subnets_are_checked_as_docker_does() {
    let mut host = Host::new();
    let with = |change: fn(&mut SubnetSpec)| {
        let mut subnet = subnet("10.78.0.0/24");
        change(&mut subnet);
        Request::NetworkCreate(NetworkSpec {
            subnets: vec![subnet],
            ..network("x")
        })
    };
    check(
        &mut host,
        &with(|s| s.gateway = "10.79.0.1".parse().ok()),
        expect!["no matching subnet for gateway 10.79.0.1"],
    );
    check(
        &mut host,
        &with(|s| s.gateway = "10.78.0.0".parse().ok()),
        expect!["failed to allocate gateway (10.78.0.0): Address already in use"],
    );
    check(
        &mut host,
        &with(|s| s.gateway = "10.78.0.255".parse().ok()),
        expect!["failed to allocate gateway (10.78.0.255): Address already in use"],
    );
    check(
        &mut host,
        &with(|s| s.range = "10.79.0.0/25".parse().ok()),
        expect!["no matching subnet for range 10.79.0.0/25"],
    );
    check(
        &mut host,
        &with(|s| s.range = "10.78.0.0/16".parse().ok()),
        expect!["no matching subnet for range 10.78.0.0/16"],
    );
    check(
        &mut host,
        &with(|s| {
            s.aux.insert("a".into(), "10.79.0.1".parse().unwrap());
        }),
        expect!["no matching subnet for aux-address 10.79.0.1"],
    );
    check(
        &mut host,
        &with(|s| {
            s.aux.insert("a".into(), "10.78.0.1".parse().unwrap());
        }),
        expect!["failed to allocate secondary ip address (a:10.78.0.1): Address already in use"],
    );
    check(
        &mut host,
        &network_with("x", "10.78.0.0/32"),
        expect!["failed to allocate gateway (): No available addresses on this pool"],
    );
    check(
        &mut host,
        &network_with("x", "127.5.0.0/16"),
        expect!["subnet 127.5.0.0/16 cannot be used: it overlaps with 127.0.0.0/8 (loopback)"],
    );
    check(
        &mut host,
        &network_with("x", "fd00:77::/64"),
        expect!["subnet fd00:77::/64 needs IPv6 enabled on the network (--ipv6)"],
    );
    check(&mut host, &network_with("x", "10.78.0.7/24"), expect!["ok"]);
    check(
        &mut host,
        &network_with("y", "10.78.0.0/25"),
        expect!["Pool overlaps with other one on this address space"],
    );
    check(
        &mut host,
        &network_with("x", "10.99.0.0/25"),
        expect!["network with name x already exists"],
    );
    check(
        &mut host,
        &network_with("default", "10.99.0.0/25"),
        expect!["operation is not permitted on predefined default network"],
    );
}

#[test]
fn two_addresses_are_enough_for_a_gateway_and_an_endpoint() {
    let mut host = Host::new();
    assert_eq!(host.says(&network_with("tiny", "10.78.0.0/31")), "ok");
    assert_eq!(host.says(&create(sandbox("a", &["tiny"]))), "ok");
    let view = host.state.inspect_sandbox("a").expect("it was made");
    assert_eq!(
        view.endpoints[0].endpoint.addresses[0].to_string(),
        "10.78.0.1/31"
    );
    assert_eq!(
        host.says(&create(sandbox("b", &["tiny"])))
            .split(':')
            .next(),
        Some("no available IPv4 addresses on this network's address pools")
    );
}

#[test]
fn removal_follows_docker() {
    let mut host = Host::new();
    host.says(&network_with("x", "10.77.0.0/24"));
    host.says(&create(sandbox("z", &["x"])));
    let text = host.says(&remove("x"));
    assert!(
        text.starts_with("error while removing network: network x id "),
        "{text}"
    );
    assert!(text.ends_with(" has active endpoints"), "{text}");
    check(
        &mut host,
        &remove("nosuch"),
        expect!["network nosuch not found"],
    );
    check(
        &mut host,
        &remove("bridge"),
        expect!["bridge is a pre-defined network and cannot be removed"],
    );
    check(
        &mut host,
        &Request::NetworkRemove {
            network: "nosuch".into(),
            force: true,
        },
        expect!["ok"],
    );
    host.says(&network_with("y", "10.76.0.0/24"));
    let (reply, _) = host
        .apply(&Request::NetworkPrune(Default::default()))
        .expect("pruned");
    assert_eq!(format!("{reply:?}"), r#"Pruned([Name("y")])"#);
}

#[test]
fn an_ipv6_network_gets_a_private_subnet_of_its_own() {
    let mut host = Host::new();
    let spec = NetworkSpec {
        ipv6: true,
        ..network("six")
    };
    assert_eq!(host.says(&Request::NetworkCreate(spec)), "ok");
    assert_eq!(host.says(&create(sandbox("a", &["six"]))), "ok");
    let view = host.state.inspect_sandbox("a").expect("it was made");
    let addresses = &view.endpoints[0].endpoint.addresses;
    assert_eq!(addresses.len(), 2);
    let v6 = addresses[1].to_string();
    assert!(v6.starts_with("fd") && v6.ends_with("::2/64"), "{v6}");
    assert_eq!(view.endpoints[0].is_gateway, [true, true]);
}

#[test]
fn changed_addresses_move_an_unused_default_network_only() {
    let mut host = Host::new();
    let set = |host: &mut Host, bip: &str| {
        host.settings.default_network.v4.bip = bip.parse().ok();
    };
    set(&mut host, "10.5.0.1/24");
    assert!(!host.predefine().expect("nobody is connected").is_empty());
    assert_eq!(pools(&host), ["10.5.0.0/24"]);
    assert!(host.predefine().expect("it fits").is_empty());
    host.says(&create(sandbox("a", &[])));
    set(&mut host, "10.6.0.1/24");
    assert!(host.predefine().is_err());
    assert_eq!(pools(&host), ["10.5.0.0/24"]);
}

/// The bridge's addresses follow `fixed-cidr-v6` from start to start.
#[test]
fn the_default_networks_ipv6_follows_the_settings() {
    let mut host = Host::new();
    host.settings.default_network.ipv6 = true;
    host.predefine().expect("nobody is connected");
    let gateways = |host: &Host| {
        let view = host.state.inspect_network("bridge").expect("it is there");
        let gateways = view.network.gateways().map(|net| net.to_string());
        gateways.collect::<Vec<_>>()
    };
    let automatic = gateways(&host);
    assert!(
        automatic[1].starts_with("fd") && automatic[1].ends_with("::1/64"),
        "{automatic:?}"
    );
    assert!(host.predefine().expect("it fits").is_empty());
    for (range, bip, expected) in [
        (
            "fd1c:f1a0:5d8d:aaaa::/64",
            None,
            "fd1c:f1a0:5d8d:aaaa::1/64",
        ),
        (
            "fd1c:f1a0:5d8d:bbbb::/64",
            None,
            "fd1c:f1a0:5d8d:bbbb::1/64",
        ),
        (
            "fd1c:f1a0:5d8d:bbbb::/80",
            None,
            "fd1c:f1a0:5d8d:bbbb::1/80",
        ),
        (
            "fd1c:f1a0:5d8d:bbbb::/80",
            Some("fd1c:f1a0:5d8d:bbbb::9/64"),
            "fd1c:f1a0:5d8d:bbbb::9/64",
        ),
    ] {
        host.settings.default_network.v6.range = range.parse().ok();
        host.settings.default_network.v6.bip = bip.and_then(|bip: &str| bip.parse().ok());
        host.predefine().expect("nobody is connected");
        assert_eq!(gateways(&host)[1], expected);
        assert!(host.predefine().expect("it fits").is_empty());
        assert_eq!(host.says(&create(sandbox("a", &[]))), "ok");
        let view = host.state.inspect_sandbox("a").expect("it was made");
        let v6 = view.endpoints[0].endpoint.v6().expect("an IPv6 address");
        let within: ipnet::IpNet = range.parse().unwrap();
        assert!(
            within.contains(&std::net::IpAddr::from(v6)),
            "{v6} of {range}"
        );
        host.says(&Request::SandboxRemove {
            sandbox: "a".to_owned(),
            force: false,
        });
    }
    host.settings.default_network = Default::default();
    host.predefine().expect("nobody is connected");
    assert_eq!(gateways(&host).len(), 1);
}

#[test]
fn link_local_subnets_are_dockers() {
    let mut facts = HostFacts::default();
    let own = AddressFacts {
        link: "up0".parse().unwrap(),
        ifindex: 2,
        net: "fe80::42/64".parse().unwrap(),
    };
    facts.addresses.insert(own.net.addr(), own);
    let mut host = Host::with(facts, Settings::default());
    let six = |name: &str, pool: &str| {
        Request::NetworkCreate(NetworkSpec {
            ipv4: false,
            ipv6: true,
            subnets: vec![subnet(pool)],
            ..network(name)
        })
    };
    for (pool, expected) in [
        (
            "fe80::/80",
            expect!["'fe80::/80' clashes with the Link-Local prefix 'fe80::/64'"],
        ),
        (
            "fe80::/10",
            expect!["'fe80::/10' clashes with the Link-Local prefix 'fe80::/64'"],
        ),
        // Each link of the host has addresses of it, which say nothing.
        ("fe80::/64", expect!["ok"]),
        ("fe80:0:0:1::/64", expect!["ok"]),
    ] {
        let name = format!("n{}", pool.len());
        check(&mut host, &six(&name, pool), expected);
    }
    check(
        &mut host,
        &network_with("v4", "169.254.0.0/16"),
        expect!["ok"],
    );
}
