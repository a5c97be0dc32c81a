//! `netd sandbox ls`: sandboxes as a table, with those of `docker ps`' filters that mean something
//! for a sandbox.

use clap::Args;
use serde_json::{Value, json};

use super::{
    Connection, Failure, Printed, bindings,
    filters::{self, Filter, Filters, is_like},
    format::ListFormat,
    labels, publish, verbs,
};
use crate::{
    frontends::api::{
        sandbox_brief::BriefList, sandbox_request::HostPort, sandbox_shape::SandboxShape,
    },
    model::Protocol,
};

/// `netd sandbox ls`.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// name=, id= (a part or a regular expression), label=K[=V], network=NAME|ID, publish=PORT[/PROTO],
    /// expose=PORT[/PROTO], status=, before=SANDBOX, since=SANDBOX
    #[arg(long, value_name = "K=V")]
    filter: Vec<String>,
    /// Print whole ids
    #[arg(long)]
    no_trunc: bool,
    /// Those of other owners (Docker, Podman, CNI), too
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    format: ListFormat,
    #[command(flatten)]
    connection: Connection,
}

const KEYS: [&str; 9] = [
    "name", "id", "label", "network", "publish", "expose", "status", "before", "since",
];
/// What Docker calls a container's states; a sandbox that exists is running.
const STATES: [&str; 7] = [
    "created",
    "restarting",
    "running",
    "removing",
    "paused",
    "exited",
    "dead",
];

/// Carries out the verb.
pub fn run(args: &LsArgs) -> Result<Printed, Failure> {
    let filters = Filters::parse(&args.filter, &KEYS)?;
    filters.among("status", &STATES)?;
    for key in ["publish", "expose"] {
        filters
            .values(key)
            .try_for_each(|value| ports(key, value).map(drop))?;
    }
    let list: BriefList = args.connection.client()?.get("/lists/sandboxes")?;
    let all: Vec<SandboxShape> = list.sandboxes.into_iter().map(SandboxShape::from).collect();
    let times = Times::of(&filters, &all)?;
    let shown = all
        .iter()
        .filter(|sandbox| args.all || sandbox.owner == "netd")
        .filter(|sandbox| times.pass(sandbox) && passes(sandbox, &filters));
    let rows: Vec<Value> = shown.map(|sandbox| row(sandbox, args.no_trunc)).collect();
    let mut columns = vec![
        ("SANDBOX ID", "ID"),
        ("NAME", "Name"),
        ("STATE", "State"),
        ("NETWORKS", "Networks"),
        ("ADDRESSES", "Addresses"),
        ("PORTS", "Ports"),
    ];
    columns.extend(args.all.then_some(("OWNER", "Owner")));
    args.format.print(&columns, &rows, "netd sandbox ls")
}

/// Between whose beginnings a sandbox has to have begun.
struct Times {
    before: Option<String>,
    since: Option<String>,
}

impl Times {
    fn of(filters: &Filters, sandboxes: &[SandboxShape]) -> Result<Times, Failure> {
        let created = |key: &str| {
            let found = filters.values(key).map(|value| {
                let is_it = |sandbox: &&SandboxShape| {
                    sandbox.name == value || sandbox.id.starts_with(value)
                };
                let found = sandboxes.iter().find(is_it);
                found
                    .map(|sandbox| sandbox.created.clone())
                    .ok_or_else(|| Failure::refused(format!("No such sandbox: {value}")))
            });
            found.collect::<Result<Vec<String>, Failure>>()
        };
        // Times of one form and length compare as texts.
        Ok(Times {
            before: created("before")?.into_iter().max(),
            since: created("since")?.into_iter().min(),
        })
    }

    fn pass(&self, sandbox: &SandboxShape) -> bool {
        let before = self.before.as_ref();
        let since = self.since.as_ref();
        before.is_none_or(|limit| sandbox.created < *limit)
            && since.is_none_or(|limit| sandbox.created > *limit)
    }
}

fn passes(sandbox: &SandboxShape, filters: &Filters) -> bool {
    filters.pass(&sandbox.labels, |Filter { key, value }| {
        match key.as_str() {
            "name" => is_like(&sandbox.name, value),
            "id" => is_like(&sandbox.id, value),
            "status" => sandbox.state == *value,
            "network" => sandbox.networks.iter().any(|(name, endpoint)| {
                name == value || endpoint.network_id.starts_with(value.as_str())
            }),
            "publish" => ports(key, value).is_ok_and(|wanted| publishes(sandbox, &wanted)),
            "expose" => ports(key, value).is_ok_and(|wanted| exposes(sandbox, &wanted)),
            // `before` and `since` are looked at by `Times`.
            _ => true,
        }
    })
}

/// `PORT[-PORT][/PROTO]`.
fn ports(key: &str, value: &str) -> Result<HostPort, Failure> {
    let parsed = publish::host_port(value).ok();
    let alone = parsed.filter(|port| port.host_address.is_none());
    alone.ok_or_else(|| filters::bad(key, value))
}

/// Whether a host port is among the wanted.
fn publishes(sandbox: &SandboxShape, wanted: &HostPort) -> bool {
    let bindings = sandbox.ports.iter();
    bindings
        .filter(|(port, _)| speaks(port, wanted))
        .flat_map(|(_, held)| held.iter().flatten())
        .any(|binding| has(&binding.host_port, wanted))
}

/// Whether a port inside is among the wanted.
fn exposes(sandbox: &SandboxShape, wanted: &HostPort) -> bool {
    let inside = |port: &String| {
        let number = port.split('/').next().unwrap_or_default();
        speaks(port, wanted) && has(number, wanted)
    };
    sandbox.ports.keys().any(inside)
}

fn speaks(port: &str, wanted: &HostPort) -> bool {
    let protocol = Protocol::from(wanted.protocol).name();
    port.split_once('/').is_some_and(|(_, own)| own == protocol)
}

fn has(number: &str, wanted: &HostPort) -> bool {
    let last = wanted.host.last.unwrap_or(wanted.host.first);
    let number: Option<u16> = number.parse().ok();
    number.is_some_and(|number| (wanted.host.first..=last).contains(&number))
}

fn row(sandbox: &SandboxShape, no_trunc: bool) -> Value {
    let networks: Vec<&str> = sandbox.networks.keys().map(String::as_str).collect();
    let addresses: Vec<&str> = sandbox
        .networks
        .values()
        .flat_map(|endpoint| [&endpoint.ip_address, &endpoint.global_ipv6_address])
        .filter(|address| !address.is_empty())
        .map(String::as_str)
        .collect();
    json!({
        "Addresses": addresses.join(","),
        "CreatedAt": verbs::shown_time(&sandbox.created),
        "ID": verbs::shown_id(&sandbox.id, no_trunc),
        "Labels": labels::text(&sandbox.labels),
        "Name": sandbox.name,
        "Networks": networks.join(","),
        "Owner": sandbox.owner,
        "Ports": bindings::text(&sandbox.ports),
        "State": sandbox.state,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Filters, KEYS, Times, passes, ports};
    use crate::frontends::api::sandbox_shape::{
        Binding, EndpointShape, NetworkSettings, SandboxShape,
    };

    fn sandbox(name: &str, id: &str, created: &str) -> SandboxShape {
        let held = Binding {
            host_ip: "0.0.0.0".to_owned(),
            host_port: "8080".to_owned(),
        };
        let endpoint = EndpointShape {
            network_id: "0596d26bced8".to_owned(),
            ..EndpointShape::default()
        };
        SandboxShape {
            id: id.to_owned(),
            name: name.to_owned(),
            hostname: name.to_owned(),
            created: created.to_owned(),
            state: "running".to_owned(),
            owner: "netd".to_owned(),
            sandbox_key: String::new(),
            hosts_path: String::new(),
            hostname_path: String::new(),
            resolv_conf_path: String::new(),
            exposed_ports: BTreeMap::new(),
            env: Vec::new(),
            links: None,
            labels: BTreeMap::from([("tier".to_owned(), "web".to_owned())]),
            ports: BTreeMap::from([
                ("80/tcp".to_owned(), Some(vec![held])),
                ("53/udp".to_owned(), None),
            ]),
            networks: BTreeMap::from([("app".to_owned(), endpoint)]),
            network_settings: NetworkSettings::default(),
        }
    }

    fn shown(filters: &[&str]) -> bool {
        let filters: Vec<String> = filters.iter().map(|text| text.to_string()).collect();
        let filters = Filters::parse(&filters, &KEYS).unwrap();
        passes(&sandbox("web-1", "ab12", ""), &filters)
    }

    #[test]
    fn filters_are_those_of_docker_ps() {
        for filter in [
            "name=eb",
            "name=^web",
            "id=b12",
            "label=tier=web",
            "network=app",
            "network=0596",
            "status=running",
            "publish=8080",
            "publish=8000-8100/tcp",
            "expose=80",
            "expose=53/udp",
        ] {
            assert!(shown(&[filter]), "{filter}");
        }
        for filter in [
            "name=^eb",
            "label=tier=db",
            "network=ap",
            "status=exited",
            "publish=80",
            "publish=8080/udp",
            "expose=53",
            "expose=81-90",
        ] {
            assert!(!shown(&[filter]), "{filter}");
        }
        assert!(shown(&["network=other", "network=app"]));
        for bad in ["0", "127.0.0.1:80", "80/foo", "9-8", ""] {
            let text = format!("invalid filter 'publish={bad}'");
            assert_eq!(ports("publish", bad).unwrap_err().message, text);
        }
    }

    #[test]
    fn before_and_since_compare_with_another_sandbox() {
        let all = [
            sandbox("a", "a1", "2026-11-21T19:34:11.000000001Z"),
            sandbox("b", "b1", "2026-11-21T19:34:11.000000002Z"),
            sandbox("c", "c1", "2026-11-21T19:34:12.000000000Z"),
        ];
        let shown = |filter: &str| {
            let filters = Filters::parse(&[filter.to_owned()], &KEYS).unwrap();
            let times = Times::of(&filters, &all).map_err(|failure| failure.message)?;
            let names = all.iter().filter(|s| times.pass(s)).map(|s| s.name.clone());
            Ok(names.collect::<Vec<_>>().join(" "))
        };
        assert_eq!(shown("before=b"), Ok("a".to_owned()));
        assert_eq!(shown("since=a1"), Ok("b c".to_owned()));
        assert_eq!(shown("since=x"), Err("No such sandbox: x".to_owned()));
    }
}
