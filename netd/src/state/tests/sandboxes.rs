//! Sandboxes and endpoints: addresses, names, modes, Docker's texts.

use expect_test::{Expect, expect};

use super::{Host, create, network, network_with, sandbox, subnet};
use crate::{
    model::{
        network::Owner,
        sandbox::{Joined, Mode},
    },
    state::{
        Reply, Request,
        request::{EndpointSpec, NetworkSpec, SandboxSpec, SubnetSpec},
    },
};

fn check(host: &mut Host, request: &Request, expected: Expect) {
    let text = host.says(request);
    // Ids are long and say nothing.
    let words = text
        .split(' ')
        .map(|word| match word.trim_matches(['(', ')']).len() {
            64 => "<id>",
            _ => word,
        });
    expected.assert_eq(&words.collect::<Vec<_>>().join(" "));
}

fn connect(network: &str, sandbox: &str, endpoint: EndpointSpec) -> Request {
    Request::Connect {
        network: network.to_owned(),
        sandbox: sandbox.to_owned(),
        endpoint,
    }
}

fn disconnect(network: &str, sandbox: &str) -> Request {
    Request::Disconnect {
        network: network.to_owned(),
        sandbox: sandbox.to_owned(),
        force: false,
    }
}

fn remove(sandbox: &str) -> Request {
    Request::SandboxRemove {
        sandbox: sandbox.to_owned(),
        force: false,
    }
}

fn plain() -> EndpointSpec {
    EndpointSpec::default()
}

/// Interface, address, MAC and whether it is the IPv4 gateway, of each endpoint.
fn shape(host: &Host, sandbox: &str) -> String {
    let view = host.state.inspect_sandbox(sandbox).expect("it is there");
    let lines = view.endpoints.iter().map(|view| {
        let endpoint = &view.endpoint;
        let mark = if view.is_gateway[0] { " *" } else { "" };
        let address = endpoint.addresses[0];
        format!(
            "{} {} {address} {}{mark}",
            endpoint.interface, view.network.name, endpoint.mac
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn addresses_rise_and_are_not_reused_at_once() {
    let mut host = Host::new();
    let spec = NetworkSpec {
        subnets: vec![SubnetSpec {
            range: "10.90.5.0/29".parse().ok(),
            gateway: "10.90.0.254".parse().ok(),
            aux: [("a".to_owned(), "10.90.5.1".parse().unwrap())].into(),
            ..subnet("10.90.0.0/16")
        }],
        ..network("opt")
    };
    host.says(&Request::NetworkCreate(spec));
    let mut given = Vec::new();
    let mut step = |host: &mut Host, name: &str| {
        host.apply(&create(sandbox(name, &["opt"]))).expect("room");
        let view = host.state.inspect_sandbox(name).unwrap();
        given.push(view.endpoints[0].endpoint.addresses[0].addr().to_string());
    };
    step(&mut host, "a");
    step(&mut host, "b");
    host.says(&remove("b"));
    step(&mut host, "c");
    for name in ["d", "e", "f", "g", "b"] {
        step(&mut host, name);
    }
    // The range's first address is an ordinary one; .1 is the aux address, .2 was released.
    let expected = [".0", ".2", ".3", ".4", ".5", ".6", ".7", ".2"];
    let expected: Vec<String> = expected.iter().map(|end| format!("10.90.5{end}")).collect();
    assert_eq!(given, expected);
    check(
        &mut host,
        &create(sandbox("z", &["opt"])),
        expect![[r#"no available IPv4 addresses on this network's address pools: opt <id>"#]],
    );
}

#[test]
fn interfaces_and_the_gateway_follow_docker() {
    let mut host = Host::new();
    host.says(&network_with("na", "172.31.1.0/24"));
    host.says(&network_with("nb", "172.31.2.0/24"));
    host.says(&network_with("aa", "172.31.3.0/24"));
    host.says(&Request::NetworkCreate(NetworkSpec {
        internal: true,
        subnets: vec![subnet("172.31.4.0/24")],
        ..network("nint")
    }));
    host.says(&create(sandbox("k1", &["na"])));
    host.says(&connect(
        "nb",
        "k1",
        EndpointSpec {
            ip: Some([172, 31, 2, 77].into()),
            ..plain()
        },
    ));
    host.says(&connect("aa", "k1", plain()));
    host.says(&connect("nint", "k1", plain()));
    expect![[r#"
        eth0 na 172.31.1.2/24 02:42:ac:1f:01:02
        eth1 nb 172.31.2.77/24 02:42:ac:1f:02:4d
        eth2 aa 172.31.3.2/24 02:42:ac:1f:03:02 *
        eth3 nint 172.31.4.2/24 02:42:ac:1f:04:02"#]]
    .assert_eq(&shape(&host, "k1"));
    for network in ["na", "nb", "aa", "nint"] {
        assert_eq!(host.says(&disconnect(network, "k1")), "ok");
    }
    host.says(&connect(
        "na",
        "k1",
        EndpointSpec {
            gateway_priority: -1,
            ..plain()
        },
    ));
    host.says(&connect("nb", "k1", plain()));
    expect![[r#"
        eth4 na 172.31.1.3/24 02:42:ac:1f:01:03
        eth5 nb 172.31.2.2/24 02:42:ac:1f:02:02 *"#]]
    .assert_eq(&shape(&host, "k1"));
}

#[test]
fn connecting_is_refused_with_dockers_texts() {
    let mut host = Host::new();
    host.says(&network_with("x1", "10.77.0.0/24"));
    host.says(&create(sandbox("z1", &["x1"])));
    host.says(&create(sandbox("z2", &[])));
    host.says(&create(sandbox("hh", &["host"])));
    host.says(&create(sandbox("nn", &["none"])));
    let ip = |last| EndpointSpec {
        ip: Some([10, 77, 0, last].into()),
        ..plain()
    };
    check(
        &mut host,
        &connect("nosuch", "z1", plain()),
        expect!["network nosuch not found"],
    );
    check(
        &mut host,
        &connect("x1", "nosuch", plain()),
        expect!["No such sandbox: nosuch"],
    );
    check(
        &mut host,
        &connect("x1", "z1", plain()),
        expect!["endpoint with name z1 already exists in network x1"],
    );
    check(
        &mut host,
        &connect("host", "z2", plain()),
        expect!["sandbox cannot be disconnected from host network or connected to host network"],
    );
    check(
        &mut host,
        &connect("none", "z2", plain()),
        expect![
            "sandbox cannot be connected to multiple networks with one of the networks in private (none) mode"
        ],
    );
    check(
        &mut host,
        &connect("x1", "hh", plain()),
        expect!["sandbox cannot be disconnected from host network or connected to host network"],
    );
    check(
        &mut host,
        &connect("x1", "nn", plain()),
        expect![
            "sandbox cannot be connected to multiple networks with one of the networks in private (none) mode"
        ],
    );
    check(
        &mut host,
        &disconnect("x1", "z2"),
        expect!["sandbox <id> is not connected to network x1"],
    );
    check(
        &mut host,
        &disconnect("host", "z1"),
        expect!["sandbox <id> is not connected to network host"],
    );
    check(
        &mut host,
        &disconnect("host", "hh"),
        expect!["sandbox cannot be disconnected from host network or connected to host network"],
    );
    for taken in [0, 1, 2, 255] {
        check(
            &mut host,
            &connect("x1", "z2", ip(taken)),
            expect!["Address already in use"],
        );
    }
    check(
        &mut host,
        &connect(
            "x1",
            "z2",
            EndpointSpec {
                ip: Some([10, 78, 0, 9].into()),
                ..plain()
            },
        ),
        expect!["Invalid address 10.78.0.9: It does not belong to any of this network's subnets"],
    );
    check(
        &mut host,
        &connect(
            "x1",
            "z2",
            EndpointSpec {
                ip6: "fd00::1".parse().ok(),
                ..plain()
            },
        ),
        expect!["Invalid address fd00::1: It does not belong to any of this network's subnets"],
    );
    check(
        &mut host,
        &connect(
            "x1",
            "z2",
            EndpointSpec {
                mac: "02:42:0a:4d:00:02".parse().ok(),
                ..plain()
            },
        ),
        expect!["MAC address 02:42:0a:4d:00:02 is already in use on this network"],
    );
    let on_bridge = |endpoint| {
        create(SandboxSpec {
            networks: vec![("bridge".to_owned(), endpoint)],
            ..sandbox("q", &[])
        })
    };
    check(
        &mut host,
        &on_bridge(EndpointSpec {
            ip: Some([172, 17, 0, 9].into()),
            ..plain()
        }),
        expect!["user specified IP address is supported on user defined networks only"],
    );
    check(
        &mut host,
        &on_bridge(EndpointSpec {
            aliases: vec!["zz".parse().unwrap()],
            ..plain()
        }),
        expect!["network-scoped aliases are only supported for user-defined networks"],
    );
    check(
        &mut host,
        &create(sandbox("q", &["x1", "host"])),
        expect!["sandbox cannot be disconnected from host network or connected to host network"],
    );
    check(
        &mut host,
        &create(sandbox("q", &["x1", "x1"])),
        expect!["endpoint with name q already exists in network x1"],
    );
    let text = host.says(&create(sandbox("z1", &[])));
    assert!(
        text.starts_with("Conflict. The sandbox name \"/z1\" is already in use by sandbox \""),
        "{text}"
    );
    // `none` is left by disconnecting from it, and then other networks can be joined.
    check(&mut host, &disconnect("none", "nn"), expect!["ok"]);
    check(&mut host, &connect("x1", "nn", plain()), expect!["ok"]);
    assert_eq!(
        host.state.inspect_sandbox("nn").unwrap().sandbox.mode,
        Mode::Bridge
    );
}

#[test]
fn sandboxes_are_found_by_name_id_and_prefix() {
    let mut host = Host::new();
    let (reply, _) = host
        .apply(&create(SandboxSpec {
            name: None,
            ..sandbox("x", &[])
        }))
        .unwrap();
    let Reply::Created { id, .. } = reply else {
        panic!("{reply:?}")
    };
    for text in [&id.to_string(), &id.short(), &id.to_string()[..5]] {
        assert_eq!(
            host.state.inspect_sandbox(text).map(|view| view.sandbox.id),
            Ok(id)
        );
    }
    let view = host.state.inspect_sandbox(&id.short()).unwrap();
    assert_eq!(view.sandbox.name.to_string(), id.short());
    assert_eq!(view.sandbox.hostname.to_string(), id.short());
    for text in ["", "nosuch", "ffffffffffffffff", &"0".repeat(65)] {
        check(
            &mut host,
            &remove(text),
            match text.len() {
                0 => expect!["No such sandbox: "],
                6 => expect!["No such sandbox: nosuch"],
                16 => expect!["No such sandbox: ffffffffffffffff"],
                _ => expect![
                    "No such sandbox: 00000000000000000000000000000000000000000000000000000000000000000"
                ],
            },
        );
    }
    // Two ids with one beginning.
    for last in ["1", "2"] {
        let given = format!("cafe{}{last}", "0".repeat(59)).parse().ok();
        host.apply(&create(SandboxSpec {
            name: format!("s{last}").parse().ok(),
            id: given,
            ..sandbox("x", &[])
        }))
        .unwrap();
    }
    check(
        &mut host,
        &remove("cafe"),
        expect!["multiple IDs found with provided prefix: cafe"],
    );
}

#[test]
fn names_are_per_owner_and_others_objects_are_theirs() {
    let mut host = Host::new();
    let docker = |name: &str| SandboxSpec {
        owner: Owner::Docker,
        ..sandbox(name, &[])
    };
    check(&mut host, &create(docker("web")), expect!["ok"]);
    check(
        &mut host,
        &remove("web"),
        expect!["web belongs to docker, which alone may change it"],
    );
    check(&mut host, &create(sandbox("web", &[])), expect!["ok"]);
    check(&mut host, &remove("web"), expect!["ok"]);
    assert_eq!(host.state.list_sandboxes().len(), 1);
    check(
        &mut host,
        &Request::SandboxRemove {
            sandbox: "gone".into(),
            force: true,
        },
        expect!["ok"],
    );
}

#[test]
fn a_namespace_is_one_sandbox() {
    let mut host = Host::new();
    let joined = Joined {
        cookie: 9,
        device: 4,
        inode: 8,
        path: "/proc/1/ns/net".into(),
    };
    let guest = |name: &str, networks: &[&str]| {
        create(SandboxSpec {
            namespace: Some(joined.clone()),
            ..sandbox(name, networks)
        })
    };
    check(&mut host, &guest("a", &[]), expect!["ok"]);
    check(
        &mut host,
        &guest("b", &[]),
        expect!["the network namespace is already sandbox a"],
    );
    check(
        &mut host,
        &guest("c", &["host"]),
        expect!["conflicting options: a network namespace and the host network mode"],
    );
    check(&mut host, &remove("a"), expect!["ok"]);
    check(&mut host, &guest("b", &[]), expect!["ok"]);
}

#[test]
fn a_given_mac_makes_way_for_no_one() {
    let mut host = Host::new();
    host.says(&network_with("x", "10.77.0.0/24"));
    // The MAC that the next address would get.
    let mac = EndpointSpec {
        mac: "02:42:0a:4d:00:03".parse().ok(),
        ..plain()
    };
    host.says(&create(sandbox("a", &[])));
    assert_eq!(host.says(&connect("x", "a", mac)), "ok");
    assert_eq!(host.says(&create(sandbox("b", &["x"]))), "ok");
    let view = host.state.inspect_sandbox("b").unwrap();
    let endpoint = &view.endpoints[0].endpoint;
    assert_eq!(endpoint.addresses[0].to_string(), "10.77.0.3/24");
    assert_ne!(endpoint.mac.to_string(), "02:42:0a:4d:00:03");
}

#[test]
fn dns_names_are_dockers() {
    let mut host = Host::new();
    host.says(&network_with("app", "10.77.0.0/24"));
    let spec = EndpointSpec {
        aliases: vec!["DB".parse().unwrap(), "DB".parse().unwrap()],
        ..plain()
    };
    let wish = SandboxSpec {
        networks: vec![("app".to_owned(), spec)],
        hostname: "h1".parse().ok(),
        ..sandbox("a1", &[])
    };
    host.says(&create(wish));
    host.says(&connect("bridge", "a1", plain()));
    let view = host.state.inspect_sandbox("a1").unwrap();
    let id = view.sandbox.id.short();
    assert_eq!(view.endpoints[0].dns_names, ["a1", "DB", &id, "h1"]);
    assert!(
        view.endpoints[1].dns_names.is_empty(),
        "none on the default network"
    );
    let app = host.state.inspect_network("app").unwrap().network.id;
    for name in ["a1", "db", "db.app", "h1.app"] {
        assert_eq!(host.state.named(app, name).len(), 1, "{name}");
    }
}
