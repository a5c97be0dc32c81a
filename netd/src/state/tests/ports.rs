//! Published ports: conflicts, ranges, automatic ones.

use expect_test::expect;

use super::{Host, create, network, port, sandbox};
use crate::{
    model::{
        Protocol,
        facts::{BoundSocket, Use},
    },
    state::{
        Reply, Request,
        request::{DriverSpec, NetworkSpec, PortSpec, SandboxSpec},
    },
};

fn with(name: &str, ports: Vec<PortSpec>) -> Request {
    create(SandboxSpec {
        ports,
        ..sandbox(name, &[])
    })
}

fn on(address: &str, spec: PortSpec) -> PortSpec {
    PortSpec {
        host_address: address.parse().ok(),
        ..spec
    }
}

fn shown(host: &Host, name: &str) -> Vec<String> {
    let view = host.state.inspect_sandbox(name).expect("it is there");
    let ports = view.ports.iter().map(|view| {
        let port = &view.port;
        let state = if view.target.is_some() {
            ""
        } else {
            " (reserved)"
        };
        format!(
            "{}/{} -> {} {}{state}",
            port.target,
            port.protocol.name(),
            port.host_address,
            port.host
        )
    });
    ports.collect()
}

#[test]
fn a_port_is_published_on_both_wildcards() {
    let mut host = Host::new();
    assert_eq!(
        host.says(&with("a", vec![port(Some((8080, 8080)), (80, 80))])),
        "ok"
    );
    assert_eq!(
        shown(&host, "a"),
        ["80/tcp -> 0.0.0.0 8080", "80/tcp -> :: 8080"]
    );
}

#[test]
fn conflicts_are_told_as_docker_does() {
    let mut host = Host::new();
    let one = |n| port(Some((n, n)), (80, 80));
    host.says(&with("a", vec![one(8080), on("127.0.0.1", one(9000))]));
    expect!["Bind for 0.0.0.0:8080 failed: port is already allocated"]
        .assert_eq(&host.says(&with("b", vec![one(8080)])));
    expect!["Bind for 198.18.0.1:8080 failed: port is already allocated"]
        .assert_eq(&host.says(&with("b", vec![on("198.18.0.1", one(8080))])));
    expect!["Bind for 0.0.0.0:9000 failed: port is already allocated"]
        .assert_eq(&host.says(&with("b", vec![one(9000)])));
    expect!["Bind for 0.0.0.0:8080 failed: port is already allocated"]
        .assert_eq(&host.says(&with("b", vec![port(Some((8078, 8082)), (1, 5))])));
    expect!["Bind for 0.0.0.0:8091 failed: port is already allocated"]
        .assert_eq(&host.says(&with("b", vec![one(8091), one(8091)])));
    let udp = PortSpec {
        protocol: Protocol::Udp,
        ..one(8080)
    };
    let elsewhere = on("127.0.0.2", one(9000));
    expect!["ok"].assert_eq(&host.says(&with("b", vec![udp, elsewhere])));
    expect!["Invalid ranges specified for container and host Ports: 80-81 and 8000-8002"]
        .assert_eq(&host.says(&with("c", vec![port(Some((8000, 8002)), (80, 81))])));
    // What was refused holds nothing, what is removed gives it back.
    expect!["ok"].assert_eq(&host.says(&with("c", vec![one(8091)])));
    host.says(&Request::SandboxRemove {
        sandbox: "a".into(),
        force: false,
    });
    expect!["ok"].assert_eq(&host.says(&with("d", vec![one(8080), on("127.0.0.1", one(9000))])));
}

#[test]
fn a_range_for_one_port_takes_its_first_free() {
    let mut host = Host::new();
    for (name, expected) in [("a", "8000"), ("b", "8001"), ("c", "8002")] {
        assert_eq!(
            host.says(&with(name, vec![port(Some((8000, 8002)), (80, 80))])),
            "ok"
        );
        assert_eq!(
            shown(&host, name)[0],
            format!("80/tcp -> 0.0.0.0 {expected}")
        );
    }
    expect!["all ports are allocated"]
        .assert_eq(&host.says(&with("d", vec![port(Some((8000, 8002)), (80, 80))])));
}

#[test]
fn automatic_ports_rise_and_are_the_same_in_both_families() {
    let mut host = Host::new();
    host.says(&with(
        "v6",
        vec![on("::", port(Some((49_154, 49_154)), (80, 80)))],
    ));
    host.says(&with("a", vec![port(None, (80, 80))]));
    host.says(&with("b", vec![port(None, (80, 82))]));
    assert_eq!(
        shown(&host, "a"),
        ["80/tcp -> 0.0.0.0 49153", "80/tcp -> :: 49153"]
    );
    assert_eq!(shown(&host, "b")[0], "80-82/tcp -> 0.0.0.0 49155-49157");
    host.says(&Request::SandboxRemove {
        sandbox: "b".into(),
        force: false,
    });
    host.says(&with("c", vec![port(None, (80, 80))]));
    assert_eq!(shown(&host, "c")[0], "80/tcp -> 0.0.0.0 49158");
}

#[test]
fn networks_choose_where_ports_are_heard_and_whether() {
    let mut host = Host::new();
    let spec = NetworkSpec {
        driver: DriverSpec::Bridge {
            name: None,
            icc: None,
            masquerade: None,
            mtu: None,
            host_binding: "198.18.0.1".parse().ok(),
            interface_prefix: None,
            gateway: Default::default(),
        },
        ..network("bound")
    };
    host.says(&Request::NetworkCreate(spec));
    host.says(&Request::NetworkCreate(NetworkSpec {
        internal: true,
        ..network("int")
    }));
    let publish = |name: &str, networks: &[&str]| {
        create(SandboxSpec {
            ports: vec![port(Some((81, 81)), (80, 80))],
            ..sandbox(name, networks)
        })
    };
    host.says(&publish("a", &["bound"]));
    assert_eq!(shown(&host, "a"), ["80/tcp -> 198.18.0.1 81"]);
    host.says(&Request::SandboxRemove {
        sandbox: "a".into(),
        force: false,
    });
    for network in ["none", "int"] {
        let (reply, _) = host
            .apply(&publish("b", &[network]))
            .expect("it is reserved");
        let Reply::Created { warnings, .. } = reply else {
            panic!("{reply:?}")
        };
        assert_eq!(
            warnings,
            ["Published port 80/tcp is reserved: no network of the sandbox can carry it"]
        );
        assert_eq!(shown(&host, "b").len(), 2);
        host.says(&Request::SandboxRemove {
            sandbox: "b".into(),
            force: false,
        });
    }
    let (reply, _) = host.apply(&publish("h", &["host"])).expect("it is told");
    let Reply::Created { warnings, .. } = reply else {
        panic!("{reply:?}")
    };
    assert_eq!(
        warnings,
        ["Published ports are discarded when using host network mode"]
    );
    assert_eq!(shown(&host, "h"), [""; 0]);
}

fn socket(protocol: Protocol, address: &str, port: u16) -> BoundSocket {
    BoundSocket {
        protocol,
        address: address.parse().expect("an address"),
        port,
        both_families: address == "::",
        used_for: Use::Bound,
    }
}

#[test]
fn sockets_of_the_host_are_rivals() {
    let mut host = Host::new();
    let one = |n| port(Some((n, n)), (80, 80));
    host.facts.local_ports = (32_768, 60_999);
    let connection = |port| BoundSocket {
        used_for: Use::Connection,
        ..socket(Protocol::Tcp, "198.18.0.2", port)
    };
    host.facts.sockets = vec![
        socket(Protocol::Tcp, "0.0.0.0", 22),
        socket(Protocol::Tcp, "::", 8080),
        socket(Protocol::Tcp, "127.0.0.53", 53),
        socket(Protocol::Udp, "::1", 9000),
        connection(5000),
        connection(49_153),
    ];
    for (spec, port) in [
        (one(22), "0.0.0.0:22"),
        (on("198.18.0.2", one(22)), "198.18.0.2:22"),
        (on("198.18.0.2", one(8080)), "198.18.0.2:8080"),
        (on("::", one(8080)), ":::8080"),
        (one(53), "0.0.0.0:53"),
        (one(49_153), "0.0.0.0:49153"),
    ] {
        let said = host.says(&with("a", vec![spec]));
        assert_eq!(
            said,
            format!("Bind for {port} failed: port is already allocated")
        );
    }
    let udp = |n| PortSpec {
        protocol: Protocol::Udp,
        ..one(n)
    };
    expect!["Bind for :::9000 failed: port is already allocated"]
        .assert_eq(&host.says(&with("a", vec![udp(9000)])));
    // Another family, protocol or address; an accepted connection; what is free of a range.
    let fine = vec![
        on("::1", one(22)),
        udp(22),
        on("127.0.0.1", one(53)),
        one(9000),
        one(5000),
        port(None, (80, 80)),
        port(Some((8079, 8081)), (81, 81)),
        port(Some((8080, 8081)), (82, 82)),
    ];
    expect!["ok"].assert_eq(&host.says(&with("b", fine)));
    let shown = shown(&host, "b");
    assert!(
        shown.contains(&"80/tcp -> 0.0.0.0 49154".to_owned()),
        "{shown:?}"
    );
    assert!(
        shown.contains(&"81/tcp -> 0.0.0.0 8079".to_owned()),
        "{shown:?}"
    );
    assert!(
        shown.contains(&"82/tcp -> 0.0.0.0 8081".to_owned()),
        "{shown:?}"
    );
}
