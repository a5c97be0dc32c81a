//! Sandboxes in the namespace of another one.

use expect_test::{Expect, expect};

use super::{Host, create, network, port, sandbox, sandbox_with_mac};
use crate::{
    model::sandbox::{Mode, Namespace},
    state::{
        Request, State,
        request::{EndpointSpec, SandboxSpec},
    },
};

fn host() -> Host {
    let mut host = Host::new();
    assert_eq!(host.says(&Request::NetworkCreate(network("app"))), "ok");
    assert_eq!(host.says(&create(sandbox("base", &["app"]))), "ok");
    host
}

fn sharing(name: &str, target: &str) -> SandboxSpec {
    SandboxSpec {
        share: Some(target.to_owned()),
        ..sandbox(name, &[])
    }
}

fn remove(sandbox: &str, force: bool) -> Request {
    Request::SandboxRemove {
        sandbox: sandbox.to_owned(),
        force,
    }
}

fn check(host: &mut Host, request: &Request, expected: Expect) {
    expected.assert_eq(&host.says(request));
}

fn names(state: &State) -> Vec<String> {
    let views = state.list_sandboxes();
    views.iter().map(|v| v.sandbox.name.to_string()).collect()
}

#[test]
fn who_shares_has_the_others_namespace_and_name() {
    let mut host = host();
    assert_eq!(host.says(&create(sharing("side", "base"))), "ok");
    // Who shares with one that shares has the same namespace.
    assert_eq!(host.says(&create(sharing("more", "side"))), "ok");
    let base = host.state.inspect_sandbox("base").unwrap().sandbox;
    for name in ["side", "more"] {
        let view = host.state.inspect_sandbox(name).unwrap();
        assert_eq!(view.sandbox.mode, Mode::Shared(base.id));
        assert_eq!(view.sandbox.namespace, Namespace::Shared(base.id));
        assert_eq!(view.sandbox.hostname, base.hostname);
        assert_eq!(view.holder.id, base.id);
        assert!(view.endpoints.is_empty());
    }
}

#[test]
fn what_is_the_others_to_say_is_refused() {
    let mut host = host();
    for (spec, expected) in [
        (
            SandboxSpec {
                ports: vec![port(Some((1, 1)), (1, 1))],
                ..sharing("s", "base")
            },
            expect!["conflicting options: port publishing and the container type network mode"],
        ),
        (
            SandboxSpec {
                publish_all: true,
                ..sharing("s", "base")
            },
            expect!["conflicting options: port publishing and the container type network mode"],
        ),
        (
            SandboxSpec {
                hostname: "x".parse().ok(),
                ..sharing("s", "base")
            },
            expect!["conflicting options: hostname and the network mode"],
        ),
        (
            SandboxSpec {
                extra_hosts: vec![("a".to_owned(), "1.2.3.4".parse().ok())],
                ..sharing("s", "base")
            },
            expect!["conflicting options: custom host-to-IP mapping and the network mode"],
        ),
        (
            SandboxSpec {
                share: Some("base".to_owned()),
                ..sandbox("s", &["app"])
            },
            expect![
                "conflicting options: cannot attach both user-defined and non-user-defined network-modes"
            ],
        ),
        (sharing("s", "nosuch"), expect!["No such sandbox: nosuch"]),
    ] {
        check(&mut host, &create(spec), expected);
    }
    let mut with_dns = sharing("s", "base");
    with_dns.dns.servers = vec!["1.1.1.1".parse().unwrap()];
    check(
        &mut host,
        &create(with_dns),
        expect!["conflicting options: dns and the network mode"],
    );
    assert_eq!(host.says(&create(sharing("s", "base"))), "ok");
    let connect = Request::Connect {
        network: "app".to_owned(),
        sandbox: "s".to_owned(),
        endpoint: EndpointSpec::default(),
    };
    check(
        &mut host,
        &connect,
        expect![
            "sandbox sharing network namespace with another sandbox or host cannot be connected to any other network"
        ],
    );
    let publish = Request::Publish {
        sandbox: "s".to_owned(),
        ports: vec![port(Some((1, 1)), (1, 1))],
    };
    check(
        &mut host,
        &publish,
        expect!["conflicting options: port publishing and the container type network mode"],
    );
}

#[test]
fn a_namespace_that_others_are_in_stays_unless_forced() {
    let mut host = host();
    for name in ["one", "two"] {
        assert_eq!(host.says(&create(sharing(name, "base"))), "ok");
    }
    check(
        &mut host,
        &remove("base", false),
        expect!["sandbox base shares its network namespace with others: two, one"],
    );
    assert_eq!(host.says(&remove("one", false)), "ok");
    assert_eq!(host.says(&remove("base", true)), "ok");
    assert_eq!(names(&host.state), Vec::<String>::new());
    // In whatever order the store has them, records are taken.
    let mut host = self::host();
    for name in ["one", "two"] {
        assert_eq!(host.says(&create(sharing(name, "base"))), "ok");
    }
    let again = |host: &Host, without: &str| {
        let sandboxes = host.state.sandboxes().cloned();
        let mut sandboxes: Vec<_> = sandboxes.filter(|s| s.name.as_str() != without).collect();
        sandboxes.reverse();
        let endpoints = host.state.endpoints().filter(|_| without.is_empty());
        let networks = host.state.networks().cloned();
        let meta = host.state.meta().clone();
        State::from_records(meta, networks, sandboxes, endpoints.cloned())
    };
    assert!(again(&host, "").is_ok_and(|state| state == host.state));
    assert!(again(&host, "base").is_err());
}

#[test]
fn an_interface_of_ones_own_is_refused_where_there_is_none() {
    let mut host = host();
    for mode in ["host", "none"] {
        check(
            &mut host,
            &create(sandbox_with_mac("s", mode)),
            expect!["conflicting options: mac-address and the network mode"],
        );
    }
}
