//! What the DNS server knows: names by scope, clients by who asks, the host's upstreams.
//! Written by the daemon alone; a superset of the names map (all addresses of a name, names too
//! long for the map). Asks nobody and decides nothing.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use ipnet::IpNet;

use super::upstreams::{Place, Upstreams};
use crate::model::{Id, WireName};

/// A handle; clones share one table. Each call is atomic; readers hold the lock for one look-up.
#[derive(Clone, Debug, Default)]
pub struct Table(Arc<RwLock<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    names: HashMap<u32, HashMap<WireName, Arc<Record>>>,
    clients: HashMap<Asker, Arc<Client>>,
    insiders: HashMap<Id, Inside>,
    upstreams: Arc<Upstreams>,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Answers to A and AAAA: every address of every endpoint with that name.
    Host {
        /// IPv4.
        v4: Vec<Ipv4Addr>,
        /// IPv6.
        v6: Vec<Ipv6Addr>,
    },
    /// Answer to PTR: `name.network.`.
    Pointer(WireName),
}

/// Who asks, as the server sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asker {
    /// The address that a question comes from, which `from_endpoint` has checked.
    Address(IpAddr),
    /// The sandbox in whose own namespace it was asked: its addresses prove nothing there.
    Sandbox(Id),
}

impl From<IpAddr> for Asker {
    fn from(address: IpAddr) -> Asker {
        Asker::Address(address.to_canonical())
    }
}

/// A sandbox's own namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    /// Leads to it.
    pub path: Arc<Path>,
    /// Its SO_NETNS_COOKIE where somebody else made it: the path may come to lead elsewhere.
    pub cookie: Option<u64>,
}

/// A client of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Scopes in the order they are tried (links first), as in the map `SCOPES`.
    pub scopes: Vec<u32>,
    /// Subnets of its networks: netd alone knows their addresses, so unknown reverse names in
    /// them are denied, not forwarded.
    pub subnets: Vec<IpNet>,
    /// Whether unknown names may leave the host; false where all networks are internal.
    pub forward: bool,
    /// The user set `ndots` to 1 or more: names of a single label are not forwarded, so that the
    /// client goes on with its search list (Docker's rule).
    pub single_labels_stay: bool,
    /// Its own `--dns` servers, asked from its own namespace, so through its own networks; `None`:
    /// the host's.
    pub upstreams: Option<Arc<Upstreams>>,
}

impl Table {
    /// An empty table.
    pub fn new() -> Table {
        Table::default()
    }

    /// Adds a name to a scope, or replaces it as a whole.
    pub fn replace_name(&self, scope: u32, name: WireName, record: Record) {
        let names = &mut self.write().names;
        names
            .entry(scope)
            .or_default()
            .insert(name, Arc::new(record));
    }

    /// Removes a name; nothing there is success.
    pub fn remove_name(&self, scope: u32, name: &WireName) {
        let mut inner = self.write();
        if let Some(names) = inner.names.get_mut(&scope) {
            names.remove(name);
            if names.is_empty() {
                inner.names.remove(&scope);
            }
        }
    }

    /// Adds the client behind an address, or replaces it as a whole.
    pub fn replace_client(&self, address: IpAddr, client: Client) {
        self.write()
            .clients
            .insert(address.into(), Arc::new(client));
    }

    /// Removes a client; nothing there is success.
    pub fn remove_client(&self, address: IpAddr) {
        self.write().clients.remove(&Asker::from(address));
    }

    /// Adds the client that asks within its own namespace, or replaces it.
    pub fn replace_insider(&self, sandbox: Id, inside: Inside, client: Client) {
        let mut inner = self.write();
        inner.insiders.insert(sandbox, inside);
        let asker = Asker::Sandbox(sandbox);
        inner.clients.insert(asker, Arc::new(client));
    }

    /// Removes such a client; nothing there is success.
    pub fn remove_insider(&self, sandbox: Id) {
        let mut inner = self.write();
        inner.insiders.remove(&sandbox);
        inner.clients.remove(&Asker::Sandbox(sandbox));
    }

    /// All clients that ask within their own namespaces, with these.
    pub fn insiders(&self) -> HashMap<Id, Inside> {
        self.read().insiders.clone()
    }

    /// Replaces the host's upstreams, in order of preference.
    pub fn replace_upstreams(&self, servers: Vec<SocketAddr>) {
        let place = Place::Host;
        self.write().upstreams = Arc::new(Upstreams { place, servers });
    }

    /// The first of `scopes` that has the name: what it stands for there.
    pub fn name(&self, scopes: &[u32], name: &WireName) -> Option<Arc<Record>> {
        let inner = self.read();
        scopes
            .iter()
            .find_map(|scope| inner.names.get(scope)?.get(name).cloned())
    }

    /// The client that asks.
    pub fn client(&self, asker: impl Into<Asker>) -> Option<Arc<Client>> {
        self.read().clients.get(&asker.into()).cloned()
    }

    /// Who is asked for a client.
    pub fn upstreams(&self, client: &Client) -> Arc<Upstreams> {
        let own = client.upstreams.as_ref();
        own.map_or_else(|| self.read().upstreams.clone(), Arc::clone)
    }

    /// Names over all scopes, and clients: for `netd status`.
    pub fn counts(&self) -> (usize, usize) {
        let inner = self.read();
        let names = inner.names.values().map(HashMap::len).sum();
        (names, inner.clients.len())
    }

    // No call panics while it holds the lock, and each leaves whole entries: a poisoned lock
    // (a panic elsewhere in the thread) says nothing about the table.
    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(last: u8) -> Record {
        Record::Host {
            v4: vec![Ipv4Addr::new(172, 18, 0, last)],
            v6: vec![],
        }
    }

    #[test]
    fn the_first_scope_that_has_the_name_wins() {
        let table = Table::new();
        let name: WireName = "db".parse().unwrap();
        table.replace_name(2, name.clone(), host(2));
        table.replace_name(4, name.clone(), host(4));
        assert_eq!(table.name(&[6, 4, 2], &name).as_deref(), Some(&host(4)));
        table.remove_name(4, &name);
        assert_eq!(table.name(&[6, 4, 2], &name).as_deref(), Some(&host(2)));
        assert_eq!(table.name(&[6], &name), None);
        table.remove_name(4, &name);
        table.remove_name(2, &name);
        assert_eq!(table.counts(), (0, 0));
    }

    #[test]
    fn a_mapped_source_address_is_the_ipv4_client() {
        let table = Table::new();
        let client = Client {
            scopes: vec![2],
            ..Client::default()
        };
        table.replace_client("172.18.0.2".parse().unwrap(), client.clone());
        let mapped = "::ffff:172.18.0.2".parse().unwrap();
        assert_eq!(table.client(mapped).as_deref(), Some(&client));
        table.remove_client(mapped);
        assert_eq!(table.client(mapped), None);
    }
}
