//! Links on the default network, exposed ports, variables: what Docker does.

use expect_test::expect;

use super::{Host, create, network, port, sandbox};
use crate::{
    model::{ExposedPorts, PortRange, Protocol},
    state::{
        Reply, Request,
        request::{EndpointSpec, NetworkSpec, PortSpec, SandboxSpec},
    },
};

fn exposing(name: &str, ports: &[(u16, u16, Protocol)]) -> SandboxSpec {
    let exposed = ports.iter().map(|(first, last, protocol)| ExposedPorts {
        protocol: *protocol,
        range: PortRange {
            first: *first,
            last: *last,
        },
    });
    SandboxSpec {
        exposed: exposed.collect(),
        ..sandbox(name, &[])
    }
}

fn linking(name: &str, links: &[&str]) -> SandboxSpec {
    let wish = EndpointSpec {
        links: links.iter().map(|link| link.parse().unwrap()).collect(),
        ..EndpointSpec::default()
    };
    SandboxSpec {
        networks: vec![("bridge".to_owned(), wish)],
        ..sandbox(name, &[])
    }
}

fn env(host: &Host, name: &str) -> String {
    let id = host.state.inspect_sandbox(name).unwrap().sandbox.id;
    let all = host.state.environment(id);
    all.iter().map(|(k, v)| format!("{k}={v}\n")).collect()
}

fn remove(name: &str) -> Request {
    Request::SandboxRemove {
        sandbox: name.to_owned(),
        force: false,
    }
}

fn ports(host: &Host, name: &str) -> Vec<String> {
    let sandbox = host.state.inspect_sandbox(name).unwrap().sandbox;
    let ports = sandbox.ports.iter();
    let text = |port: &crate::model::PublishedPort| {
        let protocol = port.protocol.name();
        format!(
            "{}:{}->{}/{protocol}",
            port.host_address, port.host, port.target
        )
    };
    ports.map(text).collect()
}

/// As Docker was recorded to do it for the same history.
#[test]
fn a_link_tells_of_its_target() {
    let mut host = Host::new();
    let c1 = SandboxSpec {
        ports: vec![port(Some((8080, 8080)), (80, 80))],
        env: vec![("FOO".to_owned(), "bar".to_owned())],
        ..exposing("c1", &[(81, 81, Protocol::Tcp), (53, 53, Protocol::Udp)])
    };
    assert_eq!(host.says(&create(c1)), "ok");
    assert_eq!(host.says(&create(linking("c3", &["c1:mylink"]))), "ok");
    expect![[r#"
        MYLINK_PORT=udp://172.17.0.2:53
        MYLINK_PORT_53_UDP=udp://172.17.0.2:53
        MYLINK_PORT_53_UDP_ADDR=172.17.0.2
        MYLINK_PORT_53_UDP_PORT=53
        MYLINK_PORT_53_UDP_PROTO=udp
        MYLINK_PORT_80_TCP=tcp://172.17.0.2:80
        MYLINK_PORT_80_TCP_ADDR=172.17.0.2
        MYLINK_PORT_80_TCP_PORT=80
        MYLINK_PORT_80_TCP_PROTO=tcp
        MYLINK_PORT_81_TCP=tcp://172.17.0.2:81
        MYLINK_PORT_81_TCP_ADDR=172.17.0.2
        MYLINK_PORT_81_TCP_PORT=81
        MYLINK_PORT_81_TCP_PROTO=tcp
        MYLINK_NAME=/c3/mylink
        MYLINK_ENV_FOO=bar
    "#]]
    .assert_eq(&env(&host, "c3"));
    assert_eq!(env(&host, "c1"), "FOO=bar\n");
}

#[test]
fn runs_of_ports_are_told_by_their_ends() {
    let mut host = Host::new();
    let a = SandboxSpec {
        env: vec![("PATH".to_owned(), "/bin".to_owned())],
        ..exposing("a", &[(7000, 7002, Protocol::Tcp)])
    };
    assert_eq!(host.says(&create(a)), "ok");
    assert_eq!(host.says(&create(linking("b", &["a:db-1"]))), "ok");
    let text = env(&host, "b");
    let (head, tail) = text.split_once("DB_1_PORT_7000_TCP=").unwrap();
    expect![[r#"
        DB_1_PORT=tcp://172.17.0.2:7000
        DB_1_PORT_7000_TCP_START=tcp://172.17.0.2:7000
        DB_1_PORT_7000_TCP_ADDR=172.17.0.2
        DB_1_PORT_7000_TCP_PROTO=tcp
        DB_1_PORT_7000_TCP_PORT_START=7000
        DB_1_PORT_7000_TCP_END=tcp://172.17.0.2:7002
        DB_1_PORT_7000_TCP_PORT_END=7002
    "#]]
    .assert_eq(head);
    assert!(tail.ends_with("DB_1_NAME=/b/db-1\n"), "{tail}");
}

#[test]
fn a_target_has_to_be_there() {
    let mut host = Host::new();
    let app = NetworkSpec { ..network("app") };
    assert_eq!(host.says(&Request::NetworkCreate(app)), "ok");
    for (name, network) in [("host", "host"), ("off", "app")] {
        assert_eq!(host.says(&create(sandbox(name, &[network]))), "ok");
    }
    let off = host.state.inspect_sandbox("off").unwrap().sandbox.id;
    for (link, text) in [
        (
            "nosuch:x",
            "could not get sandbox for nosuch: No such sandbox: nosuch".to_owned(),
        ),
        // Not itself, either.
        (
            "me",
            "could not get sandbox for me: No such sandbox: me".to_owned(),
        ),
        (
            "host:x",
            "conflicting options: host type networking can't be used with links. This would \
             result in undefined behavior"
                .to_owned(),
        ),
        (
            "off:x",
            format!("sandbox {off} not attached to default bridge network"),
        ),
    ] {
        let before = host.state.clone();
        assert_eq!(host.says(&create(linking("me", &[link]))), text);
        assert_eq!(host.state, before, "{link}");
    }
    let on_app = SandboxSpec {
        networks: vec![(
            "app".to_owned(),
            EndpointSpec {
                links: vec!["nosuch:x".parse().unwrap()],
                ..EndpointSpec::default()
            },
        )],
        ..sandbox("me", &[])
    };
    assert_eq!(host.says(&create(on_app)), "ok");
}

#[test]
fn an_alias_is_given_once() {
    let mut host = Host::new();
    host.says(&create(sandbox("a", &[])));
    host.says(&create(sandbox("b", &[])));
    let wish = create(linking("c", &["a:x", "b:x", "b:y"]));
    let (reply, _) = host.apply(&wish).unwrap();
    let Reply::Created { warnings, .. } = reply else {
        panic!("{reply:?}");
    };
    let last = warnings.last().map(String::as_str);
    assert_eq!(last, Some("Link b:x is ignored: the alias is in use"));
    let view = host.state.inspect_sandbox("c").unwrap();
    assert_eq!(view.links, ["/a:/c/x", "/b:/c/y"]);
}

#[test]
fn a_link_ends_with_its_target() {
    let mut host = Host::new();
    host.says(&create(exposing("a", &[(80, 80, Protocol::Tcp)])));
    host.says(&create(linking("b", &["a"])));
    assert!(env(&host, "b").contains("A_NAME=/b/a"));
    let before = host.state.clone();
    let (_, change) = host.apply(&remove("a")).unwrap();
    assert_eq!(env(&host, "b"), "");
    // Another of the same name is another sandbox.
    host.says(&create(exposing("a", &[(80, 80, Protocol::Tcp)])));
    assert_eq!(env(&host, "b"), "");
    host.says(&remove("a"));
    host.state.replay(&change.inverse());
    assert_eq!(env(&host, "b"), {
        host.state = before;
        env(&host, "b")
    });
}

#[test]
fn a_link_opens_so_many_ranges() {
    let mut host = Host::new();
    let scattered = |count: u16| {
        let ports: Vec<_> = (0..count)
            .map(|n| (1 + n * 2, 1 + n * 2, Protocol::Tcp))
            .collect();
        ports
    };
    host.says(&create(exposing("sixteen", &scattered(16))));
    host.says(&create(exposing("more", &scattered(17))));
    assert_eq!(host.says(&create(linking("a", &["sixteen"]))), "ok");
    assert_eq!(
        host.says(&create(linking("b", &["more"]))),
        "limit reached: at most 16 ranges of exposed ports of a linked sandbox"
    );
}

#[test]
fn exposed_ports_are_published_at_automatic_ports() {
    let mut host = Host::new();
    let wish = SandboxSpec {
        publish_all: true,
        ports: vec![port(Some((8080, 8080)), (81, 81))],
        ..exposing(
            "a",
            &[
                (80, 82, Protocol::Tcp),
                (53, 53, Protocol::Udp),
                (7777, 7777, Protocol::Sctp),
            ],
        )
    };
    assert_eq!(host.says(&create(wish)), "ok");
    expect![[r#"
        0.0.0.0:8080->81/tcp
        :::8080->81/tcp
        0.0.0.0:49153->80/tcp
        :::49153->80/tcp
        0.0.0.0:49154->82/tcp
        :::49154->82/tcp
        0.0.0.0:49155->53/udp
        :::49155->53/udp
        0.0.0.0:7777->7777/sctp
        :::7777->7777/sctp"#]]
    .assert_eq(&ports(&host, "a").join("\n"));
}

#[test]
fn a_range_at_automatic_ports_may_be_cut() {
    let mut host = Host::new();
    // Every 4,096th automatic port is taken: no room for 6,000 in one piece.
    let taken = (0..4).map(|n| port(Some((53_000 + n * 4096, 53_000 + n * 4096)), (1, 1)));
    let taken = SandboxSpec {
        ports: taken.collect(),
        ..sandbox("taken", &[])
    };
    assert_eq!(host.says(&create(taken)), "ok");
    let wish = SandboxSpec {
        publish_all: true,
        ..exposing("a", &[(1, 6000, Protocol::Tcp)])
    };
    assert_eq!(host.says(&create(wish)), "ok");
    let ports = host.state.inspect_sandbox("a").unwrap().sandbox.ports;
    let v4 = ports.iter().filter(|port| port.host_address.is_ipv4());
    assert_eq!(
        v4.clone().map(|port| port.target.count()).sum::<u32>(),
        6000
    );
    assert!(v4.count() > 1);
}

#[test]
fn sctp_ports_are_kept() {
    let mut host = Host::new();
    let sctp = |host, target| PortSpec {
        protocol: Protocol::Sctp,
        ..port(host, target)
    };
    let with = |name: &str, wish| {
        create(SandboxSpec {
            ports: vec![wish],
            ..sandbox(name, &[])
        })
    };
    let refused = "SCTP port 80 cannot be published as 8087: the checksum of SCTP covers the ports, \
                   and netd does not compute it anew";
    assert_eq!(
        host.says(&with("a", sctp(Some((8087, 8087)), (80, 80)))),
        refused
    );
    assert_eq!(host.says(&with("a", sctp(Some((80, 80)), (80, 80)))), "ok");
    assert_eq!(host.says(&with("b", sctp(Some((70, 90)), (79, 79)))), "ok");
    assert_eq!(host.says(&with("c", sctp(None, (7, 8)))), "ok");
    let shown = ["a", "b", "c"].map(|name| ports(&host, name)[0].clone());
    assert_eq!(
        shown,
        [
            "0.0.0.0:80->80/sctp",
            "0.0.0.0:79->79/sctp",
            "0.0.0.0:7-8->7-8/sctp"
        ]
    );
    assert_eq!(
        host.says(&with("d", sctp(None, (80, 80)))),
        "Bind for 0.0.0.0:80 failed: port is already allocated"
    );
    assert_eq!(
        host.says(&with("d", sctp(Some((6, 7)), (7, 8))))
            .split(':')
            .next(),
        Some("SCTP port 7-8 cannot be published as 6-7")
    );
}
