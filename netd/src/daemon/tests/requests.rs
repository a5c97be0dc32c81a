//! Requests that succeed: what is done, in which order, and what it costs.

use super::{Agent, create, network, network_with, port, sandbox};
use crate::{
    kernel::fake::FakeKernel,
    plan::Action,
    state::{
        Request,
        request::{NetworkSpec, SandboxSpec},
        tests::{connect, disconnect, remove_sandbox},
    },
};

fn kinds(kernel: &FakeKernel) -> Vec<String> {
    let kind = |action: &Action| {
        let text = format!("{action:?}");
        let end = text.find([' ', '(']).unwrap_or(text.len());
        let name = text[..end].to_owned();
        match action {
            Action::Put(entry) => {
                let text = format!("{entry:?}");
                let end = text.find('(').unwrap_or(text.len());
                format!("Put {}", &text[..end])
            }
            _ => name,
        }
    };
    let mut kinds: Vec<String> = kernel.actions.iter().map(kind).collect();
    kinds.dedup();
    kinds
}

#[test]
fn a_sandbox_is_made_in_a_safe_order() {
    let mut agent = Agent::new();
    agent.does(&network_with("app", "10.7.0.0/24"));
    agent.kernel().reset_counts();
    agent.does(&create(SandboxSpec {
        ports: vec![port(Some((8080, 8080)), (80, 80))],
        ..sandbox("web", &["app"])
    }));
    expect_test::expect![[r#"
        MakeNamespace
        CreateVeth
        SetSysctl
        SetMaster
        ClosePort
        AddFdb
        AddAddress
        Attach
        Put EndpointStats
        Put Endpoint
        Put Scopes
        Put Resolver
        Put Interface
        SetUp
        AddNeighbour
        AddRoute
        WriteFiles
        Put Port
        Put Name"#]]
    .assert_eq(&kinds(agent.kernel()).join("\n"));
    assert_eq!(agent.kernel().observations.len(), 3);
    assert_eq!(agent.kernel().full_observations, 0);
}

#[test]
fn a_sandbox_is_removed_in_a_safe_order() {
    let mut agent = Agent::new();
    agent.does(&network_with("app", "10.7.0.0/24"));
    agent.does(&create(SandboxSpec {
        ports: vec![port(Some((8080, 8080)), (80, 80))],
        ..sandbox("web", &["app"])
    }));
    agent.kernel().reset_counts();
    agent.does(&remove_sandbox("web"));
    expect_test::expect![[r#"
        SetUp
        Delete
        RemoveNeighbour
        Detach
        DeleteLink
        RemoveNamespace
        RemoveFiles"#]]
    .assert_eq(&kinds(agent.kernel()).join("\n"));
}

#[test]
fn one_more_sandbox_costs_the_same_at_ten_and_at_a_thousand() {
    let mut agent = Agent::new();
    agent.does(&network_with("app", "10.7.0.0/16"));
    let mut costs = Vec::new();
    for i in 0..1001 {
        agent.kernel().reset_counts();
        let name = format!("s{i}");
        agent
            .handle(&create(sandbox(&name, &["app"])))
            .expect("it is made");
        if i == 10 || i == 1000 {
            let kernel = agent.kernel();
            let keys: usize = kernel.observations.iter().map(|keys| keys.len()).sum();
            costs.push((kernel.observations.len(), keys, kernel.actions.len()));
            assert_eq!(kernel.full_observations, 0);
            kernel.reset_counts();
            agent.handle(&remove_sandbox(&name)).expect("it is removed");
            let kernel = agent.kernel();
            let keys: usize = kernel.observations.iter().map(|keys| keys.len()).sum();
            costs.push((kernel.observations.len(), keys, kernel.actions.len()));
        }
    }
    assert_eq!(costs[..2], costs[2..]);
    agent.check();
}

#[test]
fn a_published_port_moves_with_the_gateway_endpoint() {
    let mut agent = Agent::new();
    agent.does(&network_with("nb", "10.7.0.0/24"));
    agent.does(&network_with("na", "10.8.0.0/24"));
    agent.does(&Request::NetworkCreate(NetworkSpec {
        internal: true,
        ..network("aa")
    }));
    agent.does(&create(SandboxSpec {
        ports: vec![port(Some((8000, 8002)), (80, 82))],
        ..sandbox("web", &["nb"])
    }));
    let target = |agent: &Agent| {
        let view = agent.control.state().inspect_sandbox("web").unwrap();
        let target = view.ports[0].target?;
        let endpoint = view.endpoints.iter().find(|e| e.endpoint.id == target)?;
        Some(endpoint.network.name.to_string())
    };
    assert_eq!(target(&agent).as_deref(), Some("nb"));
    for (network, expected) in [("aa", "nb"), ("na", "na")] {
        agent.does(&connect(network, "web"));
        assert_eq!(target(&agent).as_deref(), Some(expected));
    }
    agent.does(&disconnect("na", "web"));
    assert_eq!(target(&agent).as_deref(), Some("nb"));
    agent.does(&disconnect("nb", "web"));
    assert_eq!(target(&agent), None);
}

#[test]
fn a_restarted_agent_changes_nothing() {
    let mut agent = Agent::new();
    agent.does(&network_with("app", "10.7.0.0/24"));
    for name in ["a", "b", "c"] {
        agent.does(&create(sandbox(name, &["app", "bridge"])));
    }
    let mut agent = agent.successor();
    let report = agent.start();
    assert_eq!(report.done, []);
    assert!(report.failures.is_empty());
    agent.check();
}

#[test]
fn taking_down_leaves_nothing_of_netds() {
    let mut agent = Agent::new();
    agent.does(&network_with("app", "10.7.0.0/24"));
    agent.does(&create(sandbox("a", &["app", "bridge"])));
    let report = agent.runtime.block_on(agent.control.tear_down()).unwrap();
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    let host = &agent.kernel().host;
    let left: Vec<_> = host.links.keys().map(|(_, name)| name.as_str()).collect();
    assert_eq!(left, ["up0"]);
    assert!(host.namespaces.is_empty() && host.entries.is_empty() && host.files.is_empty());
    assert!(host.attachments.is_empty() && host.neighbours.is_empty());
    // The host's own, as it was.
    let own = (
        crate::plan::Place::Host,
        crate::plan::RESERVED_PORTS.to_owned(),
    );
    assert_eq!(host.sysctls, [(own, String::new())].into());
}
