//! Links on the default network: the hosts file of the linking sandbox, and the ports that are opened.

use expect_test::expect;

use super::{contents::entry, desired, host};
use crate::{
    model::{ExposedPorts, PortRange, Protocol, endpoint::Link},
    plan::{Subjects, entry::Entry},
    state::{
        Request, State,
        request::{EndpointSpec, SandboxSpec},
        tests::{Host, create, port, sandbox},
    },
};

fn exposed(port: u16, protocol: Protocol) -> ExposedPorts {
    let range = PortRange {
        first: port,
        last: port,
    };
    ExposedPorts { protocol, range }
}

/// Docker's recorded history: c1 serves, c2 is a stranger, c3 has a link.
fn recorded() -> Vec<Request> {
    let with_id = |name: &str, short: &str| SandboxSpec {
        id: format!("{short}{}", "0".repeat(52)).parse().ok(),
        ..sandbox(name, &[])
    };
    let linked = EndpointSpec {
        links: vec![Link {
            target: "c1".parse().unwrap(),
            alias: "mylink".parse().unwrap(),
        }],
        ..EndpointSpec::default()
    };
    vec![
        create(SandboxSpec {
            ports: vec![port(Some((8080, 8080)), (80, 80))],
            exposed: vec![exposed(81, Protocol::Tcp), exposed(53, Protocol::Udp)],
            env: vec![("FOO".to_owned(), "bar".to_owned())],
            ..with_id("c1", "838160ca1309")
        }),
        create(with_id("c2", "474b8afeec1b")),
        create(SandboxSpec {
            networks: vec![("bridge".to_owned(), linked)],
            ..with_id("c3", "602242405e54")
        }),
    ]
}

fn hosts(host: &Host, name: &str) -> String {
    let desired = desired(host);
    let id = host.state.inspect_sandbox(name).unwrap().sandbox.id;
    let lines = desired.files[&id].hosts.lines().skip(6);
    lines.map(|line| format!("{line}\n")).collect()
}

fn opened(host: &Host) -> Vec<String> {
    let entries = desired(host).entries.into_values();
    let opened = entries.filter(|found| {
        matches!(found, Entry::Link(..))
            || matches!(found, Entry::Interface(_, value) if value.flags & 0x80 != 0)
    });
    let text = opened.map(|found| entry(&found));
    text.map(|text| text.split(" in ").next().unwrap().to_owned())
        .collect()
}

#[test]
fn names_are_in_the_linking_sandbox_alone() {
    let host = host(&recorded());
    assert_eq!(
        hosts(&host, "c3"),
        "172.17.0.2\tmylink 838160ca1309 c1\n172.17.0.4\t602242405e54\n"
    );
    assert_eq!(hosts(&host, "c2"), "172.17.0.3\t474b8afeec1b\n");
    assert_eq!(hosts(&host, "c1"), "172.17.0.2\t838160ca1309\n");
}

#[test]
fn ports_are_opened_where_endpoints_are_kept_apart() {
    let mut host = host(&recorded());
    assert_eq!(opened(&host), Vec::<String>::new());
    host.settings.icc = false;
    host.predefine().unwrap();
    expect![[r#"
        INTERFACES 100 -> #3
        INTERFACES 101 -> #1
        LINKS #1 to #3 -> 80-81/6 answers, 53-53/17 answers
        LINKS #3 to #1 -> 80-81/6, 53-53/17"#]]
    .assert_eq(&opened(&host).join("\n"));
}

#[test]
fn a_link_leads_nowhere_while_one_side_is_off_the_network() {
    let mut host = host(&recorded());
    host.settings.icc = false;
    host.predefine().unwrap();
    for side in ["c1", "c3"] {
        let name = |text: &str| text.to_owned();
        let off = Request::Disconnect {
            network: name("bridge"),
            sandbox: name(side),
            force: false,
        };
        let on = Request::Connect {
            network: name("bridge"),
            sandbox: name(side),
            endpoint: EndpointSpec::default(),
        };
        assert_eq!(host.says(&off), "ok");
        assert_eq!(opened(&host), Vec::<String>::new(), "{side}");
        assert!(!hosts(&host, "c3").contains("mylink"), "{side}");
        assert_eq!(host.says(&on), "ok");
        assert_eq!(opened(&host).len(), 4, "{side}");
        assert!(hosts(&host, "c3").contains("\tmylink "), "{side}");
    }
}

/// What a change is about: a linking sandbox follows its target, and the hundred others do not.
#[test]
fn a_change_is_about_the_linked_and_no_further() {
    let mut host = host(&recorded());
    let id = |state: &State, name: &str| state.inspect_sandbox(name).unwrap().sandbox.id;
    let (c1, c3) = (id(&host.state, "c1"), id(&host.state, "c3"));
    let link = EndpointSpec {
        links: vec!["c1:again".parse().unwrap()],
        ..EndpointSpec::default()
    };
    let (_, change) = host
        .apply(&create(SandboxSpec {
            networks: vec![("bridge".to_owned(), link)],
            ..sandbox("c4", &[])
        }))
        .unwrap();
    let mut subjects = Subjects::of(&change);
    subjects.close(&host.state);
    subjects.close(&host.state);
    assert_eq!(subjects.sandboxes, [id(&host.state, "c4")].into());
    assert_eq!(subjects.peers, [c1].into());
    let (_, change) = host
        .apply(&Request::Disconnect {
            network: "bridge".to_owned(),
            sandbox: "c1".to_owned(),
            force: false,
        })
        .unwrap();
    let mut subjects = Subjects::of(&change);
    subjects.close(&host.state);
    host.state.replay(&change.inverse());
    subjects.close(&host.state);
    assert!(subjects.peers.contains(&c3));
}
