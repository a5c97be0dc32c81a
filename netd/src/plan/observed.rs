//! What is on the host: the answer to `Kernel::observe`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;

use super::{Attachment, Entry, EntryKey, Place, SandboxFiles, action::Route};
use crate::model::{Id, IfName, Mac, macvlan::MacvlanMode};

/// Something that can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A namespace.
    Namespace(Place),
    /// A link, with its addresses, port flags, and inside namespaces routes of netd.
    Link(Place, IfName),
    /// A forwarding entry of a bridge port on the host: asked one by one, since a list of one port's
    /// makes the kernel look at every link. Told with its link, which has to be asked for, too.
    Fdb(IfName, Mac),
    /// A permanent neighbour through a link: asked one by one, since a bridge has one or two for
    /// each of its endpoints.
    Neighbour(Place, IfName, IpAddr),
    /// netd's route on the host through a link to a destination: asked one by one, since a link has one
    /// for each endpoint.
    Route(IfName, IpNet),
    /// A sysctl.
    Sysctl(Place, String),
    /// A program at a hook.
    Attachment(Attachment),
    /// A map entry.
    Entry(EntryKey),
    /// A sandbox's files.
    Files(Id),
}

/// What was found. What was asked for and is missing here does not exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Namespaces, with their cookies (SO_NETNS_COOKIE); a joined one only while its path leads to it.
    pub namespaces: BTreeMap<Place, u64>,
    /// Links.
    pub links: BTreeMap<(Place, IfName), LinkState>,
    /// Permanent neighbours.
    pub neighbours: BTreeMap<(Place, IfName, IpAddr), Mac>,
    /// netd's routes on the host, by link and destination.
    pub routes: BTreeMap<(IfName, IpNet), Route>,
    /// Sysctls.
    pub sysctls: BTreeMap<(Place, String), String>,
    /// Programs that are attached, are of the loaded object, and whose pin is in order.
    pub attachments: BTreeSet<Attachment>,
    /// Map entries.
    pub entries: BTreeMap<EntryKey, Entry>,
    /// Sandboxes' files.
    pub files: BTreeMap<Id, SandboxFiles>,
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// In its namespace.
    pub ifindex: u32,
    /// What it is.
    pub kind: LinkKind,
    /// Whether it carries netd's mark (inside sandboxes macvlan interfaces alone do).
    pub ours: bool,
    /// Its address.
    pub mac: Mac,
    /// Octets.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// The bridge it is a port of.
    pub master: Option<IfName>,
    /// As a bridge port: all flags as `Action::ClosePort` sets them.
    pub closed: bool,
    /// Addresses, without IPv6 link-local ones that the kernel made.
    pub addresses: BTreeSet<IpNet>,
    /// Routes of netd through it; none on the host.
    pub routes: BTreeSet<Route>,
    /// Static forwarding entries that netd made for it.
    pub fdb: BTreeSet<Mac>,
}

/// Kinds of links that netd tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// A bridge.
    Bridge,
    /// One side of a veth pair.
    Veth,
    /// A VLAN interface, by its number.
    Vlan(u16),
    /// A link that leads nowhere.
    Dummy,
    /// A macvlan interface.
    Macvlan(MacvlanMode),
    /// Anything else.
    Other,
}

impl Observed {
    /// Whether what a key names was found.
    pub fn holds(&self, key: &Key) -> bool {
        match key {
            Key::Namespace(place) => self.namespaces.contains_key(place),
            Key::Link(place, name) => self.links.contains_key(&(*place, name.clone())),
            Key::Fdb(name, mac) => {
                let link = self.links.get(&(Place::Host, name.clone()));
                link.is_some_and(|link| link.fdb.contains(mac))
            }
            Key::Neighbour(place, link, address) => {
                let key = (*place, link.clone(), *address);
                self.neighbours.contains_key(&key)
            }
            Key::Route(link, to) => self.routes.contains_key(&(link.clone(), *to)),
            Key::Sysctl(place, key) => self.sysctls.contains_key(&(*place, key.clone())),
            Key::Attachment(attachment) => self.attachments.contains(attachment),
            Key::Entry(key) => self.entries.contains_key(key),
            Key::Files(id) => self.files.contains_key(id),
        }
    }

    /// Adds what another observation found; it wins where both have something.
    pub fn extend(&mut self, other: Observed) {
        let Observed {
            namespaces,
            links,
            neighbours,
            routes,
            sysctls,
            attachments,
            entries,
            files,
        } = other;
        self.namespaces.extend(namespaces);
        self.links.extend(links);
        self.neighbours.extend(neighbours);
        self.routes.extend(routes);
        self.sysctls.extend(sysctls);
        self.attachments.extend(attachments);
        self.entries.extend(entries);
        self.files.extend(files);
    }
}
