//! `netd sandbox ls`: sandboxes as a table, with those of `docker ps`' filters that mean something
//! for a sandbox.

use std::borrow::Cow;

use clap::Args;
use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{
    Failure, Printed, bindings, client,
    filters::{self, Filter, Filters, is_like},
    format::Column,
    labels,
    listing::{Listing, shown_id, shown_time},
    publish,
};
use crate::{
    frontends::api::{
        sandbox_brief::{BriefList, SandboxBrief},
        sandbox_request::HostPort,
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
    #[command(flatten)]
    listing: Listing,
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
    let answer = args.listing.get("/lists/sandboxes")?;
    let list: BriefList<'_> = client::read(&answer)?;
    let times = Times::of(&filters, &list.sandboxes)?;
    let shown = list
        .sandboxes
        .iter()
        .filter(|sandbox| args.listing.shows(&sandbox.owner))
        .filter(|sandbox| times.pass(sandbox) && passes(sandbox, &filters));
    let no_trunc = args.listing.no_trunc;
    let rows: Vec<Row<'_>> = shown.map(|sandbox| Row { sandbox, no_trunc }).collect();
    let columns = columns(args.listing.all);
    args.listing.print(&columns, &rows, "netd sandbox ls")
}

fn columns<'a>(with_owner: bool) -> Vec<Column<Row<'a>>> {
    let mut columns: Vec<Column<Row<'a>>> = vec![
        ("SANDBOX ID", |row| row.id().into()),
        ("NAME", |row| (*row.sandbox.name).into()),
        ("STATE", |row| (*row.sandbox.state).into()),
        ("NETWORKS", |row| row.networks()),
        ("ADDRESSES", |row| row.addresses()),
        ("PORTS", |row| bindings::text(&row.sandbox.ports).into()),
    ];
    if with_owner {
        columns.push(("OWNER", |row| (*row.sandbox.owner).into()));
    }
    columns
}

/// Between whose beginnings a sandbox has to have begun.
struct Times {
    before: Option<String>,
    since: Option<String>,
}

impl Times {
    fn of(filters: &Filters, sandboxes: &[SandboxBrief<'_>]) -> Result<Times, Failure> {
        let created = |key: &str| {
            let found = filters.values(key).map(|value| {
                let is_it = |sandbox: &&SandboxBrief<'_>| {
                    sandbox.name == value || sandbox.id.starts_with(value)
                };
                let found = sandboxes.iter().find(is_it);
                found
                    .map(|sandbox| sandbox.created.to_string())
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

    fn pass(&self, sandbox: &SandboxBrief<'_>) -> bool {
        let before = self.before.as_ref();
        let since = self.since.as_ref();
        before.is_none_or(|limit| *sandbox.created < **limit)
            && since.is_none_or(|limit| *sandbox.created > **limit)
    }
}

fn passes(sandbox: &SandboxBrief<'_>, filters: &Filters) -> bool {
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
fn publishes(sandbox: &SandboxBrief<'_>, wanted: &HostPort) -> bool {
    let bindings = sandbox.ports.iter();
    bindings
        .filter(|(port, _)| speaks(port, wanted))
        .flat_map(|(_, held)| held.iter().flatten())
        .any(|binding| has(&binding.host_port, wanted))
}

/// Whether a port inside is among the wanted.
fn exposes(sandbox: &SandboxBrief<'_>, wanted: &HostPort) -> bool {
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

/// A sandbox as it is listed. What a list does not show is not made a text of.
struct Row<'a> {
    sandbox: &'a SandboxBrief<'a>,
    no_trunc: bool,
}

impl Row<'_> {
    fn id(&self) -> &str {
        shown_id(&self.sandbox.id, self.no_trunc)
    }

    fn networks(&self) -> Cow<'_, str> {
        joined(self.sandbox.networks.iter().map(|(name, _)| name.as_ref()))
    }

    fn addresses(&self) -> Cow<'_, str> {
        let shown = self.sandbox.networks.iter();
        let both = shown.flat_map(|(_, shown)| [&shown.ip_address, &shown.global_ipv6_address]);
        joined(both.map(AsRef::as_ref))
    }
}

/// What is not empty, with commas.
fn joined<'a>(texts: impl Iterator<Item = &'a str>) -> Cow<'a, str> {
    let join = |mut joined: Cow<'a, str>, text| {
        if joined.is_empty() {
            return Cow::Borrowed(text);
        }
        joined.to_mut().extend([",", text]);
        joined
    };
    texts.filter(|text| !text.is_empty()).fold("".into(), join)
}

/// With Docker's names of fields, all texts.
impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sandbox = self.sandbox;
        let mut row = serializer.serialize_struct("Row", 9)?;
        row.serialize_field("Addresses", &self.addresses())?;
        row.serialize_field("CreatedAt", &shown_time(&sandbox.created))?;
        row.serialize_field("ID", self.id())?;
        row.serialize_field("Labels", &labels::text(&sandbox.labels))?;
        row.serialize_field("Name", &sandbox.name)?;
        row.serialize_field("Networks", &self.networks())?;
        row.serialize_field("Owner", &sandbox.owner)?;
        row.serialize_field("Ports", &bindings::text(&sandbox.ports))?;
        row.serialize_field("State", &sandbox.state)?;
        row.end()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use expect_test::expect;

    use super::{Filters, KEYS, Row, Times, columns, passes, ports};
    use crate::frontends::api::{
        sandbox_brief::{EndpointBrief, SandboxBrief},
        sandbox_shape::Binding,
    };

    fn sandbox(name: &str, id: &str, created: &str) -> SandboxBrief<'static> {
        let held = Binding {
            host_ip: "0.0.0.0".to_owned(),
            host_port: "8080".to_owned(),
        };
        let endpoint = EndpointBrief {
            network_id: "0596d26bced8".into(),
            ip_address: "172.18.0.2".into(),
            global_ipv6_address: "fd00::2".into(),
        };
        SandboxBrief {
            id: id.to_owned().into(),
            name: name.to_owned().into(),
            created: created.to_owned().into(),
            state: "running".into(),
            owner: "netd".into(),
            labels: BTreeMap::from([("tier".to_owned(), "web".to_owned())]),
            ports: BTreeMap::from([
                ("80/tcp".to_owned(), Some(vec![held])),
                ("53/udp".to_owned(), None),
            ]),
            networks: vec![("app".into(), endpoint)],
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
    fn rows_have_dockers_fields() {
        let sandbox = sandbox(
            "web-1",
            &"ab12".repeat(16),
            "2026-11-21T19:34:11.100000000Z",
        );
        let row = Row {
            sandbox: &sandbox,
            no_trunc: false,
        };
        expect![[r#"
            {"Addresses":"172.18.0.2,fd00::2","CreatedAt":"2026-11-21 19:34:11.1 +0000 UTC","ID":"ab12ab12ab12","Labels":"tier=web","Name":"web-1","Networks":"app","Owner":"netd","Ports":"0.0.0.0:8080->80/tcp, 53/udp","State":"running"}
        "#]]
        .assert_eq(&format!("{}\n", serde_json::to_string(&row).unwrap()));
        let cells: Vec<_> = columns(true).iter().map(|(_, cell)| cell(&row)).collect();
        assert_eq!(
            cells.join("|"),
            "ab12ab12ab12|web-1|running|app|172.18.0.2,fd00::2|0.0.0.0:8080->80/tcp, 53/udp|netd"
        );
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
            let names = all
                .iter()
                .filter(|s| times.pass(s))
                .map(|s| s.name.to_string());
            Ok(names.collect::<Vec<_>>().join(" "))
        };
        assert_eq!(shown("before=b"), Ok("a".to_owned()));
        assert_eq!(shown("since=a1"), Ok("b c".to_owned()));
        assert_eq!(shown("since=x"), Err("No such sandbox: x".to_owned()));
    }
}
