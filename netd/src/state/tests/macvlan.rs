//! Macvlan networks: parents, modes, what their sandboxes get.

use expect_test::{Expect, expect};

use super::{
    Host, connect, create, network, port, remove_network, sandbox, sandbox_with_mac, subnet,
};
use crate::{
    model::{
        HostFacts, IfName, Mac, Network,
        facts::LinkFacts,
        macvlan::{HOST_ACCESS, MacvlanMode, Parent},
        network::Ipam,
    },
    state::{
        Reply, Request, Settings,
        request::{DriverSpec, EndpointSpec, NetworkSpec, SandboxSpec, SubnetSpec},
    },
};

const UP0: Mac = Mac([2, 0, 0, 0, 0, 0x10]);

fn host() -> Host {
    let mut facts = HostFacts::default();
    for (name, mac, mtu) in [
        ("lo", Mac([0; 6]), 65_536),
        ("up0", UP0, 1500),
        ("up1.30", Mac([2, 0, 0, 0, 0, 0x11]), 1500),
    ] {
        let name: IfName = name.parse().unwrap();
        facts.links.insert(name, LinkFacts { mac, mtu });
    }
    facts.external_servers = vec!["198.18.0.2".parse().unwrap()];
    facts.routes.insert("198.18.0.0/24".parse().unwrap());
    Host::with(facts, Settings::default())
}

fn spec(name: &str, pool: &str, parent: Option<&str>, mode: Option<MacvlanMode>) -> NetworkSpec {
    NetworkSpec {
        driver: DriverSpec::Macvlan {
            parent: parent.map(|name| name.parse().unwrap()),
            mode,
            mtu: None,
            host_access: false,
        },
        subnets: vec![subnet(pool)],
        ..network(name)
    }
}

fn on(name: &str, pool: &str, parent: &str) -> Request {
    Request::NetworkCreate(spec(name, pool, Some(parent), None))
}

fn check(host: &mut Host, request: &Request, expected: Expect) {
    expected.assert_eq(&host.says(request));
}

fn parent(host: &Host, name: &str) -> Parent {
    let view = host.state.inspect_network(name).unwrap();
    view.network.macvlan().unwrap().parent.clone()
}

#[test]
fn parents_are_the_hosts_or_a_vlan_of_one() {
    let mut host = host();
    for (parent, expected) in [
        (
            "lo",
            expect!["loopback interface is not a valid macvlan parent link"],
        ),
        (
            "nosuch0",
            expect!["invalid subinterface vlan name nosuch0, example formatting is eth0.10"],
        ),
        (
            "nosuch0.5",
            expect!["-o parent interface was not found on the host: nosuch0"],
        ),
        (
            "up0.x",
            expect!["unable to parse a valid vlan id from: x (ex. eth0.10 for vlan 10)"],
        ),
        (
            "up0.4095",
            expect!["vlan id must be between 1-4094, received: 4095"],
        ),
        (
            "up0.0",
            expect!["vlan id must be between 1-4094, received: 0"],
        ),
        (
            "up0.1.2",
            expect![
                "required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received up0.1.2"
            ],
        ),
        (
            "netd0",
            expect!["interface netd0 is netd's own: it cannot be a parent"],
        ),
        ("up0", expect!["ok"]),
    ] {
        check(&mut host, &on("mv", "198.18.0.0/24", parent), expected);
    }
    assert_eq!(parent(&host, "mv"), Parent::Link("up0".parse().unwrap()));
    assert_eq!(host.says(&on("v10", "10.1.0.0/24", "up0.10")), "ok");
    let Parent::Vlan(vlan) = parent(&host, "v10") else {
        panic!("no VLAN");
    };
    assert_eq!((vlan.base.as_str(), vlan.id), ("up0", 10));
    // One that the host has is not netd's to make.
    assert_eq!(host.says(&on("v30", "10.3.0.0/24", "up1.30")), "ok");
    let theirs = Parent::Link("up1.30".parse().unwrap());
    assert_eq!(parent(&host, "v30"), theirs);
}

#[test]
fn a_parent_is_shared_unless_somebody_has_it_to_himself() {
    let mut host = host();
    assert_eq!(host.says(&on("a", "10.1.0.0/24", "up0")), "ok");
    assert_eq!(host.says(&on("b", "10.2.0.0/24", "up0")), "ok");
    let passthru = Request::NetworkCreate(spec(
        "c",
        "10.3.0.0/24",
        Some("up0"),
        Some(MacvlanMode::Passthru),
    ));
    let refused = host.says(&passthru);
    assert!(
        refused.starts_with("cannot use mode passthru, macvlan network ")
            && refused.ends_with(" is already using parent interface up0"),
        "{refused}"
    );
    // Its VLANs are others.
    assert_eq!(host.says(&on("v1", "10.4.0.0/24", "up0.10")), "ok");
    assert_eq!(host.says(&on("v2", "10.5.0.0/24", "up0.10")), "ok");
    assert_eq!(parent(&host, "v1"), parent(&host, "v2"));
    for name in ["a", "b"] {
        assert_eq!(host.says(&remove_network(name)), "ok");
    }
    assert_eq!(host.says(&passthru), "ok");
    let refused = host.says(&on("d", "10.6.0.0/24", "up0"));
    assert!(
        refused.ends_with(" is already using parent interface up0 in mode passthru"),
        "{refused}"
    );
}

#[test]
fn without_a_parent_it_leads_nowhere() {
    let mut host = host();
    let alone = spec("alone", "10.1.0.0/24", None, None);
    assert_eq!(host.says(&Request::NetworkCreate(alone)), "ok");
    let view = host.state.inspect_network("alone").unwrap();
    let expected = format!("dm-{}", view.network.id.short());
    assert_eq!(parent(&host, "alone").name().as_str(), expected);
    assert_eq!(view.network.subnets[0].gateway, None);
    assert!(!view.network.leads_out());
    // No gateway is set aside, so that the first address is a sandbox's.
    assert_eq!(host.says(&create(sandbox("s", &["alone"]))), "ok");
    let view = host.state.inspect_sandbox("s").unwrap();
    let address = view.endpoints[0].endpoint.addresses[0].to_string();
    assert_eq!(address, "10.1.0.1/24");
    assert_eq!(view.endpoints[0].is_gateway, [false, false]);
    // One that was asked for is kept from sandboxes, and leads nowhere all the same.
    let internal = NetworkSpec {
        internal: true,
        subnets: vec![SubnetSpec {
            gateway: "10.2.0.1".parse().ok(),
            ..subnet("10.2.0.0/24")
        }],
        ..spec("internal", "10.2.0.0/24", Some("up0"), None)
    };
    assert_eq!(host.says(&Request::NetworkCreate(internal)), "ok");
    assert_eq!(host.says(&create(sandbox("t", &["internal"]))), "ok");
    let view = host.state.inspect_sandbox("t").unwrap();
    let address = view.endpoints[0].endpoint.addresses[0].to_string();
    assert_eq!(address, "10.2.0.2/24");
    assert_eq!(view.endpoints[0].is_gateway, [false, false]);
}

#[test]
fn passthru_carries_one_sandbox_with_the_parents_address() {
    let mut host = host();
    let passthru = spec("p", "10.1.0.0/24", Some("up0"), Some(MacvlanMode::Passthru));
    assert_eq!(host.says(&Request::NetworkCreate(passthru)), "ok");
    check(
        &mut host,
        &create(sandbox_with_mac("s", "p")),
        expect![
            "with mode passthru the interface has the MAC address of its parent up0, 02:00:00:00:00:10"
        ],
    );
    assert_eq!(host.says(&create(sandbox("s", &["p"]))), "ok");
    let view = host.state.inspect_sandbox("s").unwrap();
    assert_eq!(view.endpoints[0].endpoint.mac, UP0);
    check(
        &mut host,
        &create(sandbox("t", &["p"])),
        expect!["network p is in mode passthru: sandbox s has its parent up0 to itself"],
    );
}

#[test]
fn more_octets_than_the_parent_has_are_refused() {
    let mut host = host();
    let with = |mtu, parent: &str| {
        Request::NetworkCreate(NetworkSpec {
            driver: DriverSpec::Macvlan {
                parent: parent.parse().ok(),
                mode: None,
                mtu: Some(mtu),
                host_access: false,
            },
            ..spec("m", "10.1.0.0/24", None, None)
        })
    };
    check(
        &mut host,
        &with(9000, "up0"),
        expect!["invalid MTU number: 9000: its parent up0 has 1500"],
    );
    check(
        &mut host,
        &with(1501, "up0.7"),
        expect!["invalid MTU number: 1501: its parent up0 has 1500"],
    );
    check(
        &mut host,
        &with(67, "up0"),
        expect!["invalid MTU number: 67"],
    );
    check(&mut host, &with(1400, "up0"), expect!["ok"]);
}

#[test]
fn ports_of_a_sandbox_that_leaves_by_macvlan_are_reserved() {
    let mut host = host();
    assert_eq!(host.says(&on("mv", "198.18.0.0/24", "up0")), "ok");
    assert_eq!(host.says(&Request::NetworkCreate(network("app"))), "ok");
    let spec = SandboxSpec {
        ports: vec![port(Some((8080, 8080)), (80, 80))],
        ..sandbox("web", &["mv"])
    };
    let (reply, _) = host.apply(&create(spec)).unwrap();
    let Reply::Created { warnings, .. } = reply else {
        panic!("{reply:?}");
    };
    assert_eq!(
        warnings,
        ["Published port 80/tcp is reserved: no network of the sandbox can carry it"]
    );
    // By name the bridge comes first: its answers come back the same way.
    assert_eq!(host.says(&connect("app", "web")), "ok");
    let view = host.state.inspect_sandbox("web").unwrap();
    assert_eq!(view.ports[0].target, Some(view.endpoints[1].endpoint.id));
}

/// With the host's own interface; `pools` are its subnets, `host` the address that is named for it.
fn with_access(name: &str, mode: Option<MacvlanMode>, subnets: Vec<SubnetSpec>) -> Request {
    Request::NetworkCreate(NetworkSpec {
        driver: DriverSpec::Macvlan {
            parent: "up0".parse().ok(),
            mode,
            mtu: None,
            host_access: true,
        },
        ipv6: subnets.iter().any(|subnet| subnet.pool.addr().is_ipv6()),
        subnets,
        ..network(name)
    })
}

fn ranged(pool: &str, range: &str) -> SubnetSpec {
    SubnetSpec {
        range: range.parse().ok(),
        ..subnet(pool)
    }
}

#[test]
fn the_host_has_an_address_of_each_subnet_that_nobody_gets() {
    let mut host = host();
    let subnets = vec![
        ranged("198.18.0.0/24", "198.18.0.128/27"),
        subnet("10.5.0.0/29"),
        subnet("2001:db8:18::/64"),
    ];
    assert_eq!(host.says(&with_access("mv", None, subnets)), "ok");
    let view = host.state.inspect_network("mv").unwrap();
    let own = of_the_host(&view.network);
    // Behind the gateway, where that is in the range.
    assert_eq!(own, ["198.18.0.129", "10.5.0.2", "2001:db8:18::2"]);
    let near = |text: &str| view.network.host_address_near(text.parse().unwrap());
    assert_eq!(near("198.18.0.200"), "198.18.0.129".parse().ok());
    assert_eq!(near("10.5.0.3"), "10.5.0.2".parse().ok());
    assert_eq!(near("10.6.0.3"), None);
    assert_eq!(host.says(&create(sandbox("s", &["mv"]))), "ok");
    let view = host.state.inspect_sandbox("s").unwrap();
    let addresses = &view.endpoints[0].endpoint.addresses;
    assert_eq!(addresses[0].to_string(), "198.18.0.130/24");
    assert_eq!(addresses[1].to_string(), "2001:db8:18::3/64");
    for (own, text) in [
        ("198.18.0.129", "Address already in use"),
        ("10.5.0.2", "Address already in use"),
    ] {
        let spec = EndpointSpec {
            ip: own.parse().ok(),
            ..EndpointSpec::default()
        };
        let spec = SandboxSpec {
            networks: vec![("mv".to_owned(), spec)],
            ..sandbox("t", &[])
        };
        let refused = host.says(&create(spec));
        assert!(refused.contains(text), "{refused}");
    }
    // Its interface's name is nobody's parent.
    let name = parent_of_access(&host, "mv");
    check(
        &mut host,
        &on("x", "10.9.0.0/24", &name),
        expect!["interface mh-78dde6c40000 is netd's own: it cannot be a parent"],
    );
}

fn of_the_host(network: &Network) -> Vec<String> {
    network.host_addresses().map(|a| a.to_string()).collect()
}

fn parent_of_access(host: &Host, name: &str) -> String {
    let view = host.state.inspect_network(name).unwrap();
    let access = view.network.macvlan().unwrap().host_access.clone();
    access.unwrap().to_string()
}

#[test]
fn the_hosts_address_may_be_named() {
    let mut host = host();
    let named = SubnetSpec {
        aux: [(HOST_ACCESS.to_owned(), "198.18.0.99".parse().unwrap())].into(),
        ..subnet("198.18.0.0/24")
    };
    assert_eq!(host.says(&with_access("mv", None, vec![named])), "ok");
    let view = host.state.inspect_network("mv").unwrap();
    let own = of_the_host(&view.network);
    assert_eq!(own, ["198.18.0.99"]);
    // Without the option it is an address like any other that is set aside.
    assert_eq!(host.says(&on("plain", "10.1.0.0/24", "up0")), "ok");
    let view = host.state.inspect_network("plain").unwrap();
    assert_eq!(view.network.host_addresses().next(), None);
}

#[test]
fn the_hosts_interface_is_refused_where_it_would_reach_nobody() {
    let mut host = host();
    for (mode, expected) in [
        (
            MacvlanMode::Private,
            expect![
                "netd.macvlan.host_access is not for mode private: interfaces on its parent do not reach each other"
            ],
        ),
        (
            MacvlanMode::Vepa,
            expect![
                "netd.macvlan.host_access is not for mode vepa: a switch that sends frames back reaches the host without it"
            ],
        ),
        (
            MacvlanMode::Passthru,
            expect![
                "netd.macvlan.host_access is not for mode passthru: its parent carries one interface, the sandbox's"
            ],
        ),
    ] {
        let request = with_access("mv", Some(mode), vec![subnet("10.1.0.0/24")]);
        check(&mut host, &request, expected);
    }
    // Two addresses: the gateway's, and one for either.
    check(
        &mut host,
        &with_access("mv", None, vec![subnet("10.1.0.0/31")]),
        expect![
            "10.1.0.0/31 has no addresses for both the host (netd.macvlan.host_access) and a sandbox"
        ],
    );
    let Request::NetworkCreate(spec) = with_access("mv", None, Vec::new()) else {
        unreachable!();
    };
    let null = Request::NetworkCreate(NetworkSpec {
        ipam: Ipam::None,
        ..spec
    });
    check(
        &mut host,
        &null,
        expect!["netd.macvlan.host_access needs addresses: the null ipam driver gives none"],
    );
}

#[test]
fn without_a_gateway_the_smallest_subnets_hold_as_many_as_they_have() {
    let mut host = host();
    for (i, (pool, expected)) in [
        ("10.1.0.7/32", vec!["10.1.0.7/32"]),
        ("10.2.0.0/31", vec!["10.2.0.0/31", "10.2.0.1/31"]),
        ("10.3.0.0/30", vec!["10.3.0.1/30", "10.3.0.2/30"]),
        ("fd00::9/128", vec!["fd00::9/128"]),
        ("fd00:1::/127", vec!["fd00:1::/127", "fd00:1::1/127"]),
    ]
    .into_iter()
    .enumerate()
    {
        let ipv6 = pool.contains(':');
        let name = format!("n{i}");
        let spec = NetworkSpec {
            internal: true,
            ipv4: !ipv6,
            ipv6,
            ..spec(&name, pool, Some("up0"), None)
        };
        assert_eq!(host.says(&Request::NetworkCreate(spec)), "ok");
        let mut found = Vec::new();
        for j in 0..4 {
            let one = format!("{name}-{j}");
            if host.says(&create(sandbox(&one, &[&name]))) == "ok" {
                let view = host.state.inspect_sandbox(&one).unwrap();
                found.push(view.endpoints[0].endpoint.addresses[0].to_string());
            }
        }
        assert_eq!(found, expected, "{pool}");
    }
}
