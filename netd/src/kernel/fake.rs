//! A kernel in memory, for tests: knows the rules that the control loop relies on and that the real
//! one was seen to follow, counts what it is asked, and fails at a chosen action.

mod answers;
mod links;
mod reader;

pub use reader::FakeReader;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::PathBuf,
};

use anyhow::{anyhow, bail, ensure};

use super::MapFull;
use crate::{
    model::{IfName, Mac, sandbox::Joined},
    plan::{
        Action, Announcement, Attachment, Entry, EntryKey, HostFacts, Key, Observed, Place,
        action::Route,
        observed::{LinkKind, LinkState},
    },
};

/// The host in memory.
#[derive(Debug, Default)]
pub struct FakeKernel {
    /// Everything there is, netd's and others'.
    pub host: Observed,
    /// What [`Kernel::facts`](super::Kernel::facts) says.
    pub facts: HostFacts,
    /// The other side of a veth pair.
    peers: BTreeMap<(Place, IfName), (Place, IfName)>,
    /// What a VLAN or macvlan interface stands on, in the host namespace.
    lowers: BTreeMap<(Place, IfName), IfName>,
    /// Joined namespaces that have ended.
    pub dead: BTreeSet<u64>,
    /// Namespaces where IPv6 is off.
    pub without_ipv6: BTreeSet<PathBuf>,
    last_number: u32,
    /// Calls of `observe`, with the keys asked for.
    pub observations: Vec<BTreeSet<Key>>,
    /// Calls of `observe_all`.
    pub full_observations: usize,
    /// Actions in order, the failed ones too.
    pub actions: Vec<Action>,
    /// Actions that fail, counted from the next one on.
    pub failing: BTreeSet<usize>,
    /// What neighbours were told.
    pub announced: Vec<Announcement>,
    /// Names that the map has room for; `None`: any number.
    pub name_capacity: Option<usize>,
    /// Who looks at the datapath.
    pub reader: FakeReader,
}

impl FakeKernel {
    /// A host without anything.
    pub fn new(facts: HostFacts) -> FakeKernel {
        FakeKernel {
            facts,
            ..FakeKernel::default()
        }
    }

    /// Forgets what was counted.
    pub fn reset_counts(&mut self) {
        self.observations.clear();
        self.full_observations = 0;
        self.actions.clear();
    }

    /// A link that somebody else made in the host namespace.
    pub fn add_foreign_link(&mut self, name: &str) {
        let name: IfName = name.parse().expect("an interface name");
        let link = self.new_link(LinkKind::Other, Mac([2, 0, 0, 0, 0, 1]), 1500);
        let link = LinkState {
            ours: false,
            ..link
        };
        self.host.links.insert((Place::Host, name), link);
    }

    /// Deletes a link as an administrator does, whoever made it.
    pub fn delete_link(&mut self, place: Place, name: &IfName) {
        let key = (place, name.clone());
        if place == Place::Host {
            let above = self.lowers.iter().filter(|(_, lower)| *lower == name);
            let above: Vec<_> = above.map(|(key, _)| key.clone()).collect();
            above.iter().for_each(|(p, n)| self.delete_link(*p, n));
        }
        self.lowers.remove(&key);
        let peer = self.peers.remove(&key);
        for key in [Some(key), peer].into_iter().flatten() {
            self.peers.remove(&key);
            self.forget_link(&key);
        }
    }

    fn link(&mut self, place: Place, name: &IfName) -> anyhow::Result<&mut LinkState> {
        let link = self.host.links.get_mut(&(place, name.clone()));
        link.ok_or_else(|| anyhow!("no link {name} in {place:?}"))
    }

    fn make_namespace(&mut self, place: Place, cookie: Option<u64>) {
        if self.host.namespaces.contains_key(&place) {
            return;
        }
        self.last_number += 1;
        let cookie = cookie.unwrap_or(u64::from(self.last_number) << 20);
        self.host.namespaces.insert(place, cookie);
        let lo = LinkState {
            ours: false,
            up: true,
            ..self.new_link(LinkKind::Other, Mac([0; 6]), 65_536)
        };
        let name = "lo".parse().expect("an interface name");
        self.host.links.insert((place, name), lo);
    }

    fn join_namespace(&mut self, place: Place, joined: &Joined) -> anyhow::Result<()> {
        ensure!(
            !self.dead.contains(&joined.cookie),
            "{} leads to another namespace",
            joined.path.display()
        );
        self.make_namespace(place, Some(joined.cookie));
        Ok(())
    }

    /// A namespace ends: its links go, and the other sides of its veth pairs.
    fn remove_namespace(&mut self, place: Place) {
        self.host.namespaces.remove(&place);
        let inside = self.host.links.keys().filter(|(p, _)| *p == place);
        let inside: Vec<_> = inside.cloned().collect();
        for (place, name) in inside {
            self.delete_link(place, &name);
        }
        self.host.sysctls.retain(|(p, _), _| *p != place);
    }

    /// A joined namespace ends without netd.
    pub fn kill_namespace(&mut self, place: Place) {
        if let Some(cookie) = self.host.namespaces.get(&place) {
            self.dead.insert(*cookie);
        }
        self.remove_namespace(place);
    }

    fn set_up(&mut self, place: Place, name: &IfName, up: bool) -> anyhow::Result<()> {
        let link = self.link(place, name)?;
        link.up = up;
        if !up {
            // fib_sync_down_dev, neigh_ifdown, addrconf_ifdown.
            link.routes.clear();
            link.addresses.retain(|net| net.addr().is_ipv4());
            let neighbours = &mut self.host.neighbours;
            neighbours.retain(|(p, link, _), _| (p, link) != (&place, name));
            if place == Place::Host {
                self.host.routes.retain(|(link, _), _| link != name);
            }
        }
        Ok(())
    }

    fn add_host_route(&mut self, route: &Route) -> anyhow::Result<()> {
        let link = self.link(Place::Host, &route.link)?;
        ensure!(link.up, "{} is down", route.link);
        if let Some(source) = route.source {
            let own = link.addresses.iter().any(|net| net.addr() == source);
            ensure!(own, "{source} is not of {}", route.link);
        }
        let key = (route.link.clone(), route.destination);
        self.host.routes.insert(key, route.clone());
        Ok(())
    }

    fn add_route(&mut self, place: Place, route: &Route) -> anyhow::Result<()> {
        let link = self.link(place, &route.link)?;
        ensure!(link.up, "{} is down", route.link);
        if let Some(via) = route.via {
            let reachable = link.addresses.iter().any(|net| net.contains(&via));
            ensure!(reachable, "next hop {via} is not on {}", route.link);
        }
        link.routes
            .retain(|other| other.destination != route.destination);
        link.routes.insert(route.clone());
        Ok(())
    }

    fn add_neighbour(
        &mut self,
        place: Place,
        name: &IfName,
        address: IpAddr,
        mac: Mac,
    ) -> anyhow::Result<()> {
        ensure!(self.link(place, name)?.up, "{name} is down");
        let key = (place, name.clone(), address);
        self.host.neighbours.insert(key, mac);
        Ok(())
    }

    fn set_sysctl(&mut self, place: Place, key: &str, value: &str) -> anyhow::Result<()> {
        if let Some((_, rest)) = key.split_once("/conf/")
            && let Some((link, _)) = rest.split_once('/')
            && !["all", "default"].contains(&link)
        {
            self.link(place, &link.parse()?)?;
        }
        let key = (place, key.to_owned());
        self.host.sysctls.insert(key, value.to_owned());
        Ok(())
    }

    fn put(&mut self, entry: &Entry) -> anyhow::Result<()> {
        let entries = &mut self.host.entries;
        let new = !entries.contains_key(&entry.key());
        if let (Entry::Name(..), Some(capacity), true) = (entry, self.name_capacity, new) {
            let names = entries
                .keys()
                .filter(|key| matches!(key, EntryKey::Name(_)));
            ensure!(names.count() < capacity, MapFull("NAMES"));
        }
        entries.insert(entry.key(), entry.clone());
        Ok(())
    }

    fn carry_out(&mut self, action: &Action) -> anyhow::Result<()> {
        match action {
            Action::MakeNamespace(place) => self.make_namespace(*place, None),
            Action::JoinNamespace { place, joined } => self.join_namespace(*place, joined)?,
            Action::RemoveNamespace(place) => self.remove_namespace(*place),
            Action::CreateBridge { name, mac, mtu } => self.create_bridge(name, *mac, *mtu)?,
            Action::CreateVeth {
                host,
                place,
                inside,
                mac,
                mtu,
            } => {
                let (host, inside) = (host.clone(), inside.clone());
                self.create_veth((Place::Host, host), (*place, inside), *mac, *mtu)?;
            }
            Action::CreateVlan { name, base, id } => {
                let key = (Place::Host, name.clone());
                self.create_on(key, LinkKind::Vlan(*id), Some(base), None, None)?;
            }
            Action::CreateDummy { name, mtu } => {
                let key = (Place::Host, name.clone());
                self.create_on(key, LinkKind::Dummy, None, None, *mtu)?;
            }
            Action::CreateMacvlan {
                place,
                name,
                parent,
                mode,
                mac,
                mtu,
            } => {
                let exists = *place == Place::Host || self.host.namespaces.contains_key(place);
                ensure!(exists, "no namespace {place:?}");
                let key = (*place, name.clone());
                self.create_on(key, LinkKind::Macvlan(*mode), Some(parent), *mac, *mtu)?;
            }
            Action::DeleteLink { place, link } => {
                let found = self.host.links.get(&(*place, link.clone()));
                ensure!(found.is_none_or(|link| link.ours), "{link} is not netd's");
                self.delete_link(*place, link);
            }
            Action::SetMaster { link, bridge } => {
                self.link(Place::Host, bridge)?;
                let port = self.link(Place::Host, link)?;
                port.master = Some(bridge.clone());
                port.closed = false;
                port.fdb.clear();
            }
            Action::SetUp { place, link, up } => self.set_up(*place, link, *up)?,
            Action::SetMtu { place, link, mtu } => self.link(*place, link)?.mtu = *mtu,
            Action::SetMac { place, link, mac } => self.link(*place, link)?.mac = *mac,
            Action::ClosePort(link) => {
                let port = self.link(Place::Host, link)?;
                ensure!(port.master.is_some(), "{link} is no bridge port");
                port.closed = true;
            }
            Action::AddFdb { link, mac } => {
                let port = self.link(Place::Host, link)?;
                ensure!(port.master.is_some(), "{link} is no bridge port");
                port.fdb.insert(*mac);
            }
            other => self.carry_out_rest(other)?,
        }
        Ok(())
    }

    fn carry_out_rest(&mut self, action: &Action) -> anyhow::Result<()> {
        match action {
            Action::AddAddress {
                place,
                link,
                address,
            } => {
                self.link(*place, link)?.addresses.insert(*address);
            }
            Action::RemoveAddress {
                place,
                link,
                address,
            } => {
                self.link(*place, link)?.addresses.remove(address);
            }
            Action::AddRoute {
                place: Place::Host,
                route,
            } => self.add_host_route(route)?,
            Action::AddRoute { place, route } => self.add_route(*place, route)?,
            Action::RemoveRoute {
                place: Place::Host,
                route,
            } => {
                let key = (route.link.clone(), route.destination);
                self.host.routes.remove(&key);
            }
            Action::RemoveRoute { place, route } => {
                self.link(*place, &route.link)?.routes.remove(route);
            }
            Action::AddNeighbour {
                place,
                link,
                address,
                mac,
            } => self.add_neighbour(*place, link, *address, *mac)?,
            Action::RemoveNeighbour {
                place,
                link,
                address,
            } => {
                let key = (*place, link.clone(), *address);
                self.host.neighbours.remove(&key);
            }
            Action::SetSysctl { place, key, value } => self.set_sysctl(*place, key, value)?,
            Action::Attach(attachment) => {
                if let Attachment::Tc { link, .. } = attachment {
                    self.link(Place::Host, link)?;
                }
                self.host.attachments.insert(attachment.clone());
            }
            Action::Detach(attachment) => {
                self.host.attachments.remove(attachment);
            }
            Action::Put(entry) => self.put(entry)?,
            Action::Delete(key) => {
                self.host.entries.remove(key);
            }
            Action::WriteFiles(files) => {
                self.host.files.insert(files.sandbox, files.clone());
            }
            Action::RemoveFiles(sandbox) => {
                self.host.files.remove(sandbox);
            }
            Action::EndFlows(_) => {}
            other => bail!("not known here: {other:?}"),
        }
        Ok(())
    }

    fn see(&self, key: &Key, observed: &mut Observed) {
        let host = &self.host;
        match key {
            Key::Namespace(place) => copy(&host.namespaces, place, &mut observed.namespaces),
            Key::Link(place, name) => {
                let key = (*place, name.clone());
                copy(&host.links, &key, &mut observed.links);
            }
            // With their links.
            Key::Fdb(..) => {}
            Key::Neighbour(place, link, address) => {
                let key = (*place, link.clone(), *address);
                copy(&host.neighbours, &key, &mut observed.neighbours);
            }
            Key::Route(link, to) => {
                let key = (link.clone(), *to);
                copy(&host.routes, &key, &mut observed.routes);
            }
            Key::Sysctl(place, name) => {
                let key = (*place, name.clone());
                copy(&host.sysctls, &key, &mut observed.sysctls);
            }
            Key::Attachment(attachment) => {
                observed
                    .attachments
                    .extend(host.attachments.get(attachment).cloned());
            }
            Key::Entry(key) => copy(&host.entries, key, &mut observed.entries),
            Key::Files(sandbox) => copy(&host.files, sandbox, &mut observed.files),
        }
    }
}

fn copy<K: Ord + Clone, V: Clone>(from: &BTreeMap<K, V>, key: &K, to: &mut BTreeMap<K, V>) {
    if let Some(value) = from.get(key) {
        to.insert(key.clone(), value.clone());
    }
}
