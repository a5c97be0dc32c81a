//! Configurations, prune's filters, id prefixes, other owners' objects.

use std::collections::BTreeMap;

use super::{Host, create, network, network_with, sandbox, subnet};
use crate::{
    model::{Id, network::Owner},
    state::{
        Request,
        request::{DriverSpec, LabelMatch, NetworkSpec, PruneSpec, SandboxSpec},
    },
};

fn config(name: &str) -> Request {
    Request::NetworkCreate(NetworkSpec {
        driver: DriverSpec::Config,
        subnets: vec![subnet("10.80.0.0/24")],
        ..network(name)
    })
}

fn made_from(name: &str, config: &str) -> Request {
    Request::NetworkCreate(NetworkSpec {
        config_from: config.parse().ok(),
        subnets: vec![subnet("10.80.0.0/24")],
        ..network(name)
    })
}

fn remove(name: &str) -> Request {
    Request::NetworkRemove {
        network: name.to_owned(),
        force: false,
    }
}

fn named(digit: char, name: &str) -> NetworkSpec {
    NetworkSpec {
        id: format!("ab{}", String::from(digit).repeat(62)).parse().ok(),
        ..network(name)
    }
}

#[test]
fn a_configuration_takes_no_subnet_and_stays_while_it_is_used() {
    let mut host = Host::new();
    assert_eq!(host.says(&config("cfg")), "ok");
    // What two configurations say may be the same: nothing is taken.
    assert_eq!(host.says(&config("same")), "ok");
    let refusal = host.state.find_config("nosuch").unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "configuration network \"nosuch\" does not exist"
    );
    assert_eq!(host.state.find_config("cfg").unwrap().name.as_str(), "cfg");
    assert_eq!(
        host.says(&made_from("x", "bridge")),
        "configuration network \"bridge\" does not exist"
    );
    assert_eq!(host.says(&made_from("app", "cfg")), "ok");
    let refused = host.says(&remove("cfg"));
    assert!(refused.ends_with(" has active endpoints"), "{refused}");
    assert_eq!(
        host.says(&create(sandbox("a", &["cfg"]))),
        "cannot create endpoint on configuration-only network"
    );
    assert_eq!(host.says(&remove("same")), "ok");
    assert_eq!(host.says(&remove("app")), "ok");
    assert_eq!(host.says(&remove("cfg")), "ok");
}

#[test]
fn a_sandbox_is_not_connected_to_a_configuration() {
    let mut host = Host::new();
    host.says(&config("cfg"));
    host.says(&create(sandbox("a", &[])));
    let connect = Request::Connect {
        network: "cfg".to_owned(),
        sandbox: "a".to_owned(),
        endpoint: Default::default(),
    };
    assert_eq!(
        host.says(&connect),
        "cannot create endpoint on configuration-only network"
    );
}

#[test]
fn prune_takes_what_its_filters_let_it() {
    let mut host = Host::new();
    let labelled = |name: &str, label: &str, pool: &str| {
        Request::NetworkCreate(NetworkSpec {
            labels: BTreeMap::from([("tier".to_owned(), label.to_owned())]),
            subnets: vec![subnet(pool)],
            ..network(name)
        })
    };
    host.says(&labelled("web", "web", "10.1.0.0/24"));
    host.says(&labelled("db", "db", "10.2.0.0/24"));
    host.says(&network_with("plain", "10.3.0.0/24"));
    host.says(&network_with("used", "10.4.0.0/24"));
    host.says(&create(sandbox("a", &["used"])));
    host.says(&config("cfg"));
    let created = host.state.inspect_network("web").unwrap().network.created;
    let label = |value: Option<&str>| LabelMatch {
        key: "tier".to_owned(),
        value: value.map(str::to_owned),
    };
    let mut prune = |spec: PruneSpec| {
        let (reply, _) = host.apply(&Request::NetworkPrune(spec)).unwrap();
        format!("{reply:?}")
    };
    let spec = PruneSpec {
        until: Some(created),
        ..PruneSpec::default()
    };
    assert_eq!(prune(spec), "Pruned([])");
    let spec = PruneSpec {
        labels: vec![label(None), label(Some("web"))],
        until: Some(created + 1),
        ..PruneSpec::default()
    };
    assert_eq!(prune(spec), r#"Pruned([Name("web")])"#);
    let spec = PruneSpec {
        without_labels: vec![label(None)],
        ..PruneSpec::default()
    };
    assert_eq!(prune(spec), r#"Pruned([Name("plain")])"#);
    assert_eq!(prune(PruneSpec::default()), r#"Pruned([Name("db")])"#);
    let left: Vec<String> = host
        .state
        .list_networks()
        .iter()
        .map(|view| view.network.name.to_string())
        .collect();
    assert_eq!(left, ["bridge", "cfg", "host", "none", "used"]);
}

#[test]
fn an_id_prefix_that_fits_several_is_refused_with_their_number() {
    let mut host = Host::new();
    for (digit, name) in [('1', "one"), ('2', "two"), ('3', "three")] {
        assert_eq!(host.says(&Request::NetworkCreate(named(digit, name))), "ok");
    }
    assert_eq!(
        host.says(&remove("ab")),
        "network ab is ambiguous (3 matches found based on ID prefix)"
    );
    assert_eq!(host.says(&remove("ab1")), "ok");
    // A name goes before an id that begins like it.
    assert_eq!(host.says(&Request::NetworkCreate(named('4', "ab2"))), "ok");
    let found = host.state.inspect_network("ab2").unwrap().network;
    assert_eq!(found.name.as_str(), "ab2");
}

#[test]
fn other_owners_objects_are_found_and_not_changed() {
    let mut host = Host::new();
    let theirs = NetworkSpec {
        owner: Owner::Docker,
        ..network("theirs")
    };
    assert_eq!(host.says(&Request::NetworkCreate(theirs)), "ok");
    let spec = SandboxSpec {
        owner: Owner::Docker,
        ..sandbox("c", &["theirs"])
    };
    assert_eq!(host.says(&create(spec)), "ok");
    // The same name is free for netd's own users.
    assert_eq!(host.says(&network_with("theirs", "10.9.0.0/24")), "ok");
    let id: Id = host
        .state
        .networks()
        .find(|network| network.owner == Owner::Docker)
        .map(|network| network.id)
        .unwrap();
    let foreign = "theirs belongs to docker, which alone may change it";
    assert_eq!(host.says(&remove(&id.to_string())), foreign);
    host.says(&create(sandbox("a", &[])));
    let connect = |network: &str, sandbox: &str| Request::Connect {
        network: network.to_owned(),
        sandbox: sandbox.to_owned(),
        endpoint: Default::default(),
    };
    assert_eq!(host.says(&connect(&id.to_string(), "a")), foreign);
    let foreign = "c belongs to docker, which alone may change it";
    assert_eq!(host.says(&connect("theirs", "c")), foreign);
    let remove_sandbox = Request::SandboxRemove {
        sandbox: "c".to_owned(),
        force: true,
    };
    assert_eq!(host.says(&remove_sandbox), foreign);
    assert_eq!(host.state.inspect_sandbox("c").unwrap().endpoints.len(), 1);
}

#[test]
fn interfaces_are_numbered_by_what_their_names_begin_with() {
    let mut host = Host::new();
    let mut prefixed = network("wide");
    if let DriverSpec::Bridge {
        interface_prefix, ..
    } = &mut prefixed.driver
    {
        *interface_prefix = "wan".parse().ok();
    }
    host.says(&Request::NetworkCreate(prefixed));
    host.says(&Request::NetworkCreate(network("plain")));
    host.says(&create(sandbox("a", &["plain", "wide"])));
    let disconnect = Request::Disconnect {
        network: "wide".to_owned(),
        sandbox: "a".to_owned(),
        force: false,
    };
    let connect = Request::Connect {
        network: "wide".to_owned(),
        sandbox: "a".to_owned(),
        endpoint: Default::default(),
    };
    assert_eq!(host.says(&disconnect), "ok");
    assert_eq!(host.says(&connect), "ok");
    let view = host.state.inspect_sandbox("a").unwrap();
    let names: Vec<&str> = view
        .endpoints
        .iter()
        .map(|view| view.endpoint.interface.as_str())
        .collect();
    assert_eq!(names, ["eth0", "wan1"]);
}
