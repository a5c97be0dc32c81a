//! Names as they are asked for: map and table give the same, each sandbox sees its own networks and
//! links, and nothing that is gone.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{Name as QueryName, RecordType},
};
use netd_common::abi::name::name_kind;

use super::{Agent, create, network_with, sandbox};
use crate::{
    dns::{
        agreement_tests::{Map, bpf},
        answer::{Decision, Kind, Transport, decide},
    },
    model::WireName,
    plan::{Entry, EntryKey},
    state::{
        Request,
        request::{EndpointSpec, SandboxSpec},
    },
};

fn question(name: &WireName, record_type: RecordType) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    let name = QueryName::from_ascii(name.to_string()).unwrap();
    message.add_query(Query::query(name, record_type));
    message.to_vec().unwrap()
}

impl Agent {
    /// Every name that is known anywhere, asked for by every client: the map's answer is the table's,
    /// and what only the table answers is what the map leaves to it.
    pub(super) fn check_names(&mut self) {
        let control = &mut self.control;
        let entries = &control.kernel.host.entries;
        let names = entries.values().filter_map(|entry| match entry {
            Entry::Name(key, value) => Some((*key, **value)),
            _ => None,
        });
        let mut map = Map(names.collect::<HashMap<_, _>>());
        let mut asked: BTreeSet<WireName> = BTreeSet::new();
        for key in map.0.keys() {
            asked.insert(WireName::read(&key.name).unwrap().0);
        }
        for sandbox in control.state.sandboxes() {
            let scopes = match entries.get(&EntryKey::Scopes(sandbox.index)) {
                Some(Entry::Scopes(_, scopes)) => &scopes.scopes[..scopes.count as usize],
                _ => &[],
            };
            let endpoints = control.state.endpoints_of_sandbox(sandbox.id);
            let addresses = endpoints.iter().flat_map(|endpoint| &endpoint.addresses);
            let addresses: Vec<IpAddr> = addresses.map(|net| net.addr()).collect();
            for name in &asked {
                for record_type in [
                    RecordType::A,
                    RecordType::AAAA,
                    RecordType::PTR,
                    RecordType::MX,
                ] {
                    let message = question(name, record_type);
                    let by_map = bpf(&message, scopes, &mut map, 0);
                    for address in &addresses {
                        let client = control.table.client(*address);
                        if client.is_none() {
                            assert_eq!(by_map, None, "{name} for a stranger");
                            continue;
                        }
                        let by_agent = decide(&message, client, &control.table, Transport::Udp, 0);
                        let known = scopes
                            .iter()
                            .find_map(|scope| map.0.get(&name.key(*scope)?));
                        match (&by_map, by_agent) {
                            (
                                Some(bytes),
                                Decision::Answer {
                                    bytes: own,
                                    kind: Kind::Local,
                                },
                            ) => {
                                assert_eq!(*bytes, own, "{name} {record_type}");
                            }
                            // Too many addresses for the map, or a reverse name of nobody's.
                            (
                                None,
                                Decision::Answer {
                                    kind: Kind::Local, ..
                                },
                            ) => assert!(
                                known.is_none_or(|known| known.kind == name_kind::AGENT),
                                "{name} {record_type}"
                            ),
                            (None, _) => assert_eq!(known, None, "{name} {record_type}"),
                            (Some(_), other) => panic!("{name} {record_type}: {other:?}"),
                        }
                    }
                }
            }
        }
    }

    /// The addresses that a name has for a sandbox, sorted.
    fn resolve(&self, sandbox: &str, name: &str) -> Vec<IpAddr> {
        let view = self.control.state().inspect_sandbox(sandbox).unwrap();
        let address = view.endpoints[0].endpoint.addresses[0].addr();
        let table = &self.control.table;
        let message = question(&name.parse().unwrap(), RecordType::A);
        let client = table.client(address);
        let answer = match decide(&message, client, table, Transport::Tcp, 0) {
            Decision::Answer { bytes, .. } => Message::from_vec(&bytes).unwrap(),
            _ => return Vec::new(),
        };
        let addresses = answer
            .answers
            .iter()
            .filter_map(|record| record.data.ip_addr());
        let mut addresses: Vec<IpAddr> = addresses.collect();
        addresses.sort_unstable();
        addresses
    }

    fn address_of(&self, sandbox: &str) -> IpAddr {
        let view = self.control.state().inspect_sandbox(sandbox).unwrap();
        view.endpoints[0].endpoint.addresses[0].addr()
    }
}

fn linked(name: &str, links: &[&str]) -> Request {
    let endpoint = EndpointSpec {
        links: links.iter().map(|link| link.parse().unwrap()).collect(),
        ..EndpointSpec::default()
    };
    create(SandboxSpec {
        networks: vec![("app".to_owned(), endpoint)],
        ..sandbox(name, &[])
    })
}

fn remove(sandbox: &str) -> Request {
    Request::SandboxRemove {
        sandbox: sandbox.to_owned(),
        force: false,
    }
}

#[test]
fn a_link_is_a_name_for_one_sandbox_and_follows_its_target() {
    let mut agent = Agent::new();
    agent.does(&network_with("app", "10.7.0.0/24"));
    agent.does(&linked("web", &["db:Store", "db"]));
    agent.does(&create(sandbox("other", &["app"])));
    assert_eq!(agent.resolve("web", "store"), [] as [IpAddr; 0], "not yet");
    agent.does(&create(sandbox("db", &["app"])));
    let db = agent.address_of("db");
    assert_eq!(agent.resolve("web", "store"), [db]);
    assert_eq!(agent.resolve("web", "db"), [db]);
    assert_eq!(agent.resolve("other", "store"), [] as [IpAddr; 0]);
    agent.check_names();
    agent.does(&remove("db"));
    assert_eq!(agent.resolve("web", "store"), [] as [IpAddr; 0]);
    agent.does(&create(sandbox("db", &["app"])));
    assert_eq!(agent.resolve("web", "STORE"), [agent.address_of("db")]);
    agent.does(&remove("web"));
    agent.check_names();
    // Nothing of the link is left for the next one.
    agent.does(&create(sandbox("web", &["app"])));
    assert_eq!(agent.resolve("web", "store"), [] as [IpAddr; 0]);
}

#[test]
fn a_links_name_stands_before_the_networks() {
    let mut agent = Agent::new();
    agent.does(&network_with("app", "10.7.0.0/24"));
    for name in ["one", "two"] {
        agent.does(&create(sandbox(name, &["app"])));
    }
    agent.does(&linked("web", &["one:two", "two:both", "one:both"]));
    let (one, two) = (agent.address_of("one"), agent.address_of("two"));
    assert_eq!(agent.resolve("web", "two"), [one]);
    assert_eq!(agent.resolve("web", "both"), [one, two]);
    assert_eq!(agent.resolve("one", "two"), [two]);
    agent.check_names();
}

#[test]
fn a_link_on_the_default_network_needs_its_target() {
    let mut agent = Agent::new();
    let endpoint = EndpointSpec {
        links: vec!["db".parse().unwrap()],
        ..EndpointSpec::default()
    };
    let spec = SandboxSpec {
        networks: vec![("bridge".to_owned(), endpoint)],
        ..sandbox("web", &[])
    };
    let refused = agent.handle(&create(spec)).unwrap_err();
    let text = "could not get sandbox for db: No such sandbox: db";
    assert!(refused.to_string().contains(text), "{refused}");
}
