//! What should be on the host, in the shape of what is observed, so that the two can be compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;

use super::{
    Attachment, Entry, EntryKey, Key, Place, SandboxFiles,
    action::Route,
    table::{ClientRecord, NameRecord},
};
use crate::model::{Id, IfName, Mac, WireName, macvlan::MacvlanMode, sandbox::Joined};

/// Desired objects; what is missing here, and was asked for, should not be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// Namespaces; the joined ones with their identity, `None` for those that netd makes.
    pub namespaces: BTreeMap<Place, Option<Joined>>,
    /// Links.
    pub links: BTreeMap<(Place, IfName), DesiredLink>,
    /// Permanent neighbours.
    pub neighbours: BTreeMap<(Place, IfName, IpAddr), Mac>,
    /// Routes on the host, by link and destination.
    pub routes: BTreeMap<(IfName, IpNet), Route>,
    /// Sysctls.
    pub sysctls: BTreeMap<(Place, String), String>,
    /// Programs at their hooks.
    pub attachments: BTreeSet<Attachment>,
    /// Map entries.
    pub entries: BTreeMap<EntryKey, Entry>,
    /// Sandboxes' files.
    pub files: BTreeMap<Id, SandboxFiles>,
    /// Names of the agent's DNS server, by scope: a superset of the names map.
    pub names: BTreeMap<(u32, WireName), NameRecord>,
    /// Clients of the agent's DNS server, by source address.
    pub clients: BTreeMap<IpAddr, ClientRecord>,
    /// Those of them that ask within their own namespaces, by sandbox.
    pub insiders: BTreeMap<Id, ClientRecord>,
    /// Links whose number is not known: entries that need it are missing here.
    pub unidentified: BTreeSet<(Place, IfName)>,
}

/// A link as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredLink {
    /// How it is made.
    pub kind: DesiredKind,
    /// `None`: whatever the kernel gave it.
    pub mac: Option<Mac>,
    /// Octets; `None`: whatever it is.
    pub mtu: Option<u32>,
    /// The bridge it is a port of, closed.
    pub master: Option<IfName>,
    /// Its addresses.
    pub addresses: BTreeSet<IpNet>,
    /// Routes through it; none on the host.
    pub routes: BTreeSet<Route>,
    /// MACs behind it.
    pub fdb: BTreeSet<Mac>,
}

/// How a link is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DesiredKind {
    /// A bridge of the host.
    Bridge,
    /// The host side of a veth pair; the other side, with its MAC, is the link named here.
    Veth {
        /// Where the other side is.
        place: Place,
        /// Its name there.
        inside: IfName,
        /// Its MAC.
        mac: Mac,
    },
    /// A VLAN interface of the host.
    Vlan {
        /// The link it is of.
        base: IfName,
        /// 1 to 4094.
        id: u16,
    },
    /// A link of the host that leads nowhere.
    Dummy,
    /// A macvlan interface.
    Macvlan {
        /// The link of the host that it stands on.
        parent: IfName,
        /// How it reaches others on that.
        mode: MacvlanMode,
    },
    /// The inner side of a veth pair: comes and goes with the host side.
    Inside,
    /// The loopback interface: always there.
    Loopback,
}

impl Desired {
    /// The keys under which all of this is observed.
    pub fn keys(&self) -> BTreeSet<Key> {
        self.link_keys()
            .into_iter()
            .chain(self.attachments.iter().cloned().map(Key::Attachment))
            .chain(self.entries.keys().copied().map(Key::Entry))
            .collect()
    }

    /// The keys of everything but attachments and entries.
    pub fn link_keys(&self) -> BTreeSet<Key> {
        let namespaces = self.namespaces.keys().copied().map(Key::Namespace);
        let links = self.links.keys().cloned();
        let entries = self.links.iter().flat_map(|((place, name), link)| {
            let host = *place == Place::Host;
            let macs = link.fdb.iter().filter(move |_| host);
            macs.map(|mac| Key::Fdb(name.clone(), *mac))
        });
        let neighbours = self.neighbours.keys().cloned();
        let routes = self.routes.keys().cloned();
        let sysctls = self.sysctls.keys().cloned();
        namespaces
            .chain(links.map(|(place, name)| Key::Link(place, name)))
            .chain(entries)
            .chain(neighbours.map(|(place, link, address)| Key::Neighbour(place, link, address)))
            .chain(routes.map(|(link, to)| Key::Route(link, to)))
            .chain(sysctls.map(|(place, key)| Key::Sysctl(place, key)))
            .chain(self.files.keys().copied().map(Key::Files))
            .collect()
    }

    pub(super) fn put(&mut self, entry: Entry) {
        self.entries.insert(entry.key(), entry);
    }
}
