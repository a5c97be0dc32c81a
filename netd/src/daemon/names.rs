//! Keeps the DNS server's table in step with the plan.

use std::{net::SocketAddr, sync::Arc};

use super::{control::Control, failure::Store};
use crate::{
    dns::{Client, Inside, Place, Record, Upstreams},
    kernel::Kernel,
    model::{Id, sandbox::Namespace},
    plan::{
        Desired,
        table::{ClientRecord, NameRecord},
    },
};

const DNS_PORT: u16 = 53;

impl<K: Kernel, S: Store> Control<K, S> {
    /// Replaces what should be known of names and clients, and removes what should be no longer.
    pub(super) fn tell_names(&self, former: &Desired, wanted: &Desired) {
        for (key, record) in &wanted.names {
            let (scope, name) = key.clone();
            self.table.replace_name(scope, name, self::record(record));
        }
        for (scope, name) in former.names.keys() {
            if !wanted.names.contains_key(&(*scope, name.clone())) {
                self.table.remove_name(*scope, name);
            }
        }
        for (address, client) in &wanted.clients {
            self.table.replace_client(*address, self.client(client));
        }
        for (sandbox, client) in &wanted.insiders {
            if let Some(path) = self.namespace_path(*sandbox) {
                let inside = Inside {
                    path: path.into(),
                    cookie: self.joined_cookie(*sandbox),
                };
                let client = self.client(client);
                self.table.replace_insider(*sandbox, inside, client);
            }
        }
        for sandbox in former.insiders.keys() {
            if !wanted.insiders.contains_key(sandbox) {
                self.table.remove_insider(*sandbox);
            }
        }
        for address in former.clients.keys() {
            if !wanted.clients.contains_key(address) {
                self.table.remove_client(*address);
            }
        }
    }

    /// Tells the DNS server whom to ask what netd does not know.
    pub(super) fn tell_upstreams(&self) {
        let hosts = &self.facts.resolv_conf.servers;
        let fallback = &self.settings.dns_fallback;
        let servers = if hosts.is_empty() { fallback } else { hosts };
        let upstreams = if self.upstreams.is_empty() {
            if hosts.is_empty() {
                tracing::warn!(?fallback, "the host has no name server");
            }
            let servers = servers.iter();
            servers
                .map(|server| SocketAddr::new(*server, DNS_PORT))
                .collect()
        } else {
            self.upstreams.clone()
        };
        self.table.replace_upstreams(upstreams);
    }

    fn client(&self, record: &ClientRecord) -> Client {
        let servers = record.servers.iter();
        let namespace = self.namespace_path(record.sandbox);
        let namespace = namespace.filter(|_| !record.servers.is_empty());
        let upstreams = namespace.map(|path| {
            Arc::new(Upstreams {
                place: Place::Namespace(path.into()),
                servers: servers
                    .map(|server| SocketAddr::new(*server, DNS_PORT))
                    .collect(),
            })
        });
        Client {
            scopes: record.scopes.clone(),
            subnets: record.subnets.clone(),
            forward: record.forward,
            single_labels_stay: record.single_labels_stay,
            upstreams,
        }
    }

    fn joined_cookie(&self, sandbox: Id) -> Option<u64> {
        match &self.state.sandbox(sandbox)?.namespace {
            Namespace::Joined(joined) => Some(joined.cookie),
            Namespace::Made | Namespace::Host | Namespace::Shared(_) => None,
        }
    }

    fn namespace_path(&self, sandbox: Id) -> Option<std::path::PathBuf> {
        match &self.state.sandbox(sandbox)?.namespace {
            Namespace::Made => Some(self.namespaces.join(sandbox.to_string())),
            Namespace::Joined(joined) => Some(joined.path.clone()),
            Namespace::Host | Namespace::Shared(_) => None,
        }
    }
}

fn record(record: &NameRecord) -> Record {
    match record {
        NameRecord::Host { v4, v6 } => Record::Host {
            v4: v4.clone(),
            v6: v6.clone(),
        },
        NameRecord::Pointer(target) => Record::Pointer(target.clone()),
    }
}
