//! Addresses as a user asks for them and sees them: socket, verbs and store over the kernel in memory.

use expect_test::expect;

use super::{Agent, create, network, rig::Rig, sandbox};
use crate::{
    plan::Place,
    state::{
        Request,
        request::{EndpointSpec, NetworkSpec},
        tests::subnet,
    },
};

#[test]
fn inspect_counts_addresses_in_dockers_shape() {
    let rig = Rig::new();
    rig.out("network create --ipv6 --subnet 10.9.0.0/24 --ip-range 10.9.0.64/28 --aux-address a=10.9.0.65 --subnet fd00:9::/56 app");
    rig.out("sandbox create --name web --network app");
    expect![[r#"
        {"IPAM":{"Subnets":{"10.9.0.0/24":{"IPsInUse":5,"DynamicIPsAvailable":13},"fd00:9::/56":{"IPsInUse":3,"DynamicIPsAvailable":18446744073709551615}}}}
    "#]]
    .assert_eq(&rig.out("network inspect -f {{json~.Status}} app"));
    expect![[r#"
        {"IPAM":{}}
    "#]]
    .assert_eq(&rig.out("network inspect -f {{json~.Status}} none"));
    // Lists do without.
    let (_, list) = rig.raw("GET /v1/networks", b"");
    assert!(!list.contains("Status"), "{list}");
}

#[test]
fn families_are_chosen_when_a_network_is_made() {
    let rig = Rig::new();
    rig.out("network create --ipv4=false --ipv6 --subnet fd00:9::/64 six");
    rig.out("network create --ipv4 --ipv6=false four");
    let seen = |field: &str| {
        rig.out(&format!(
            "network inspect -f {{{{.{field}}}}} six four host"
        ))
    };
    assert_eq!(seen("EnableIPv4"), "false\ntrue\ntrue\n");
    assert_eq!(seen("EnableIPv6"), "true\nfalse\nfalse\n");
    rig.out("sandbox create --name a --network six");
    let seen = |field: &str| {
        rig.out(&format!(
            "sandbox inspect -f {{{{.Networks.six.{field}}}}} a"
        ))
    };
    assert_eq!(seen("IPAddress"), "\n");
    assert_eq!(seen("GlobalIPv6Address"), "fd00:9::2\n");
    assert_eq!(seen("IPv6Gateway"), "fd00:9::1\n");
    rig.refused(
        "network create --ipv4=false x",
        expect![[r#"
            netd: IPv4 or IPv6 must be enabled
        "#]],
    );
    assert_eq!(rig.run("network create --ipv4=maybe x").exit, 2);
}

#[test]
fn address_drivers_are_dockers_two() {
    let rig = Rig::new();
    rig.out("network create --ipam-driver default app");
    assert_eq!(
        rig.out("network inspect -f {{.IPAM.Driver}} app"),
        "default\n"
    );
    rig.refused(
        "network create --ipam-driver nosuchipam x",
        expect![[r#"
            netd: plugin "nosuchipam" not found
            try: --ipam-driver default
        "#]],
    );
    rig.refused(
        "network create --ipam-driver null x",
        expect![[r#"
            netd: bridge networks need addresses: the null ipam driver is not for them
        "#]],
    );
}

#[test]
fn announcements_have_dockers_ranges() {
    let rig = Rig::new();
    let option = "com.docker.network.advertise_addr_ms";
    rig.out(&format!("network create -o {option}=500 app"));
    let shown = rig.out("network inspect -f {{json~.Options}} app");
    assert_eq!(shown, format!("{{\"{option}\":\"500\"}}\n"));
    rig.refused(
        &format!("network create -o {option}=99 x"),
        expect![[r#"
            netd: com.docker.network.advertise_addr_ms must be in the range 100 to 2000
        "#]],
    );
}

/// Else the kernel's own link-local address is a packet's source as often as not.
#[test]
fn who_has_a_link_local_address_has_it_alone() {
    let mut agent = Agent::new();
    for (name, pool) in [("ll", "fe80::/64"), ("app", "fd00:9::/64")] {
        agent.does(&Request::NetworkCreate(NetworkSpec {
            ipv4: false,
            ipv6: true,
            subnets: vec![subnet(pool)],
            ..network(name)
        }));
    }
    agent.does(&create(sandbox("a", &["ll", "app"])));
    agent.does(&create(sandbox("b", &["app"])));
    agent.does(&Request::Connect {
        network: "ll".to_owned(),
        sandbox: "b".to_owned(),
        endpoint: EndpointSpec {
            link_local: vec!["fe80::9:9".parse().unwrap()],
            ..EndpointSpec::default()
        },
    });
    let sysctls = &agent.control.kernel.host.sysctls;
    let quiet = sysctls
        .iter()
        .filter(|((_, key), _)| key.ends_with("/addr_gen_mode"));
    let mut quiet: Vec<(bool, &str)> = quiet
        .map(|((place, key), _)| (*place == Place::Host, key.split('/').nth(3).unwrap()))
        .collect();
    quiet.sort();
    let view = agent.control.state.inspect_network("ll").unwrap();
    let bridge = view.network.bridge().unwrap().name.to_string();
    let expected = [(false, "eth0"), (false, "eth1"), (true, bridge.as_str())];
    assert_eq!(quiet, expected);
}

#[test]
fn automatic_subnets_are_the_same_after_a_restart() {
    let mut rig = Rig::new();
    rig.out("network create --subnet 0.0.0.0/24 v4");
    rig.out("network create --ipv4=false --ipv6 --subnet ::/120 v6");
    rig.out("network create --ipv6 --subnet 0.0.0.0/24 --subnet ::/120 both");
    rig.out("network create --ipv6 plain");
    let inspect = "network inspect -f {{json~.IPAM.Config}} v4 v6 both plain";
    let before = rig.out(inspect);
    assert!(
        before.contains(r#""172.18.0.0/24""#) && before.contains("/120"),
        "{before}"
    );
    rig.stop();
    rig.start();
    assert_eq!(rig.out(inspect), before);
    // What comes next does not collide with them.
    rig.out("network create --ipv6 next");
    rig.out("network create --subnet 0.0.0.0/24 small");
}

#[test]
fn a_namespace_that_has_ipv6_off_is_connected_without_it() {
    let mut agent = Agent::new();
    agent.does(&Request::NetworkCreate(NetworkSpec {
        ipv6: true,
        subnets: vec![subnet("10.9.0.0/24"), subnet("fd00:9::/64")],
        ..network("app")
    }));
    agent.does(&create(sandbox("a", &[])));
    let id = agent.control.state.inspect_sandbox("a").unwrap().sandbox.id;
    let namespace = agent.control.namespaces.join(id.to_string());
    agent.control.kernel.without_ipv6.insert(namespace);
    agent.does(&Request::Connect {
        network: "app".to_owned(),
        sandbox: "a".to_owned(),
        endpoint: EndpointSpec::default(),
    });
    let sysctl = |agent: &Agent, interface: &str| {
        let key = format!("net/ipv6/conf/{interface}/disable_ipv6");
        let sysctls = &agent.control.kernel.host.sysctls;
        sysctls.get(&(Place::Sandbox(id), key)).cloned()
    };
    let view = agent.control.state.inspect_sandbox("a").unwrap();
    assert_eq!(view.endpoints[1].endpoint.v6(), None);
    assert_eq!(sysctl(&agent, "eth1").as_deref(), Some("1"));
    // Only what is asked now counts: another sandbox has its address.
    agent.does(&create(sandbox("b", &["app"])));
    let view = agent.control.state.inspect_sandbox("b").unwrap();
    assert!(view.endpoints[0].endpoint.v6().is_some());
    agent.check();
}
