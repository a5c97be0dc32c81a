//! Compares what should be with what is: the actions that make one the other, in an order in which
//! nothing is used before it exists, and nothing passes before its programs are there.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;

use super::{
    Action, Attachment, Desired, Observed, Place,
    desired::{DesiredKind, DesiredLink},
    observed::{LinkKind, LinkState},
    order,
};
use crate::model::{IfName, Mac};

/// Which part of the actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Makes namespaces and links, all down: the kernel then knows the numbers that entries need.
    Make,
    /// Everything else: programs, entries, up, routes, files, removals.
    Finish,
}

/// The actions of one stage that turn `observed` into `desired`. Only what `observed` holds is ever
/// removed, so the keys that were asked for bound the plan.
pub fn diff(desired: &Desired, observed: &Observed, stage: Stage) -> Vec<Action> {
    let mut plan = Plan {
        desired,
        observed,
        whole_pairs: BTreeSet::new(),
        actions: Vec::new(),
    };
    plan.find_whole_pairs();
    plan.namespaces();
    for ((place, name), link) in &desired.links {
        plan.link(*place, name, link);
    }
    plan.surplus_links();
    plan.settings();
    plan.host_routes();
    plan.programs_and_entries();
    let mut actions = plan.actions;
    actions.retain(|action| order::stage(action) == stage);
    actions.sort_by_key(order::rank);
    actions.into_iter().map(|(_, action)| action).collect()
}

/// An action, and whether it makes room for a new link or removes for good.
pub(super) type Step = (order::Purpose, Action);

struct Plan<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    /// Inner sides whose host side stays.
    whole_pairs: BTreeSet<(Place, IfName)>,
    actions: Vec<Step>,
}

impl Plan<'_> {
    fn make(&mut self, action: Action) {
        self.actions.push((order::Purpose::Make, action));
    }

    fn remove(&mut self, action: Action) {
        self.actions.push((order::Purpose::Remove, action));
    }

    fn namespaces(&mut self) {
        let desired = self.desired;
        for (place, joined) in &desired.namespaces {
            if !self.observed.namespaces.contains_key(place) {
                self.make(match joined {
                    None => Action::MakeNamespace(*place),
                    Some(joined) => Action::JoinNamespace {
                        place: *place,
                        joined: joined.clone(),
                    },
                });
            }
        }
        for place in self.observed.namespaces.keys() {
            if *place != Place::Host && !desired.namespaces.contains_key(place) {
                self.remove(Action::RemoveNamespace(*place));
            }
        }
    }

    /// The link as it is, if it is what it should be: netd's, of the right kind, whole.
    fn usable(&self, place: Place, name: &IfName, link: &DesiredLink) -> Option<&LinkState> {
        let found = self.observed.links.get(&(place, name.clone()))?;
        let right = match &link.kind {
            DesiredKind::Bridge => found.kind == LinkKind::Bridge && found.ours,
            DesiredKind::Veth { place, inside, .. } => {
                let peer = self.observed.links.contains_key(&(*place, inside.clone()));
                found.kind == LinkKind::Veth && found.ours && peer
            }
            // Of a VLAN that somebody else made meanwhile only the number counts.
            DesiredKind::Vlan { id, .. } => found.kind == LinkKind::Vlan(*id),
            DesiredKind::Dummy => found.kind == LinkKind::Dummy && found.ours,
            DesiredKind::Macvlan { mode, .. } => {
                found.kind == LinkKind::Macvlan(*mode) && found.ours
            }
            DesiredKind::Inside => found.kind == LinkKind::Veth,
            DesiredKind::Loopback => true,
        };
        right.then_some(found)
    }

    fn link(&mut self, place: Place, name: &IfName, link: &DesiredLink) {
        let found = self.usable(place, name, link).cloned();
        let stays =
            link.kind != DesiredKind::Inside || self.whole_pairs.contains(&(place, name.clone()));
        // What is made anew comes without addresses and the like: the comparison is with nothing.
        let found = match found {
            Some(found) if stays => found,
            _ => {
                self.create(place, name, link);
                fresh(link)
            }
        };
        self.properties(place, name, link, &found);
        self.addresses(place, name, link, &found);
    }

    fn find_whole_pairs(&mut self) {
        for ((place, name), link) in &self.desired.links {
            let usable = self.usable(*place, name, link).is_some();
            if let (DesiredKind::Veth { place, inside, .. }, true) = (&link.kind, usable) {
                self.whole_pairs.insert((*place, inside.clone()));
            }
        }
    }

    fn create(&mut self, place: Place, name: &IfName, link: &DesiredLink) {
        let key = (place, name.clone());
        let broken = self
            .observed
            .links
            .get(&key)
            .is_some_and(|found| found.ours);
        let by_itself = !matches!(link.kind, DesiredKind::Inside | DesiredKind::Loopback);
        if by_itself && broken {
            let link = name.clone();
            self.make(Action::DeleteLink { place, link });
        }
        match &link.kind {
            DesiredKind::Bridge => {
                if let (Some(mac), Some(mtu)) = (link.mac, link.mtu) {
                    self.make(Action::CreateBridge {
                        name: name.clone(),
                        mac,
                        mtu,
                    });
                }
            }
            DesiredKind::Veth { place, inside, mac } => {
                if let Some(mtu) = link.mtu {
                    self.make(Action::CreateVeth {
                        host: name.clone(),
                        place: *place,
                        inside: inside.clone(),
                        mac: *mac,
                        mtu,
                    });
                }
            }
            DesiredKind::Vlan { base, id } => self.make(Action::CreateVlan {
                name: name.clone(),
                base: base.clone(),
                id: *id,
            }),
            DesiredKind::Dummy => self.make(Action::CreateDummy {
                name: name.clone(),
                mtu: link.mtu,
            }),
            DesiredKind::Macvlan { parent, mode } => self.make(Action::CreateMacvlan {
                place,
                name: name.clone(),
                parent: parent.clone(),
                mode: *mode,
                mac: link.mac,
                mtu: link.mtu,
            }),
            DesiredKind::Inside | DesiredKind::Loopback => {}
        }
    }

    fn properties(&mut self, place: Place, name: &IfName, link: &DesiredLink, found: &LinkState) {
        if let Some(mac) = link.mac.filter(|mac| *mac != found.mac) {
            let link = name.clone();
            self.make(Action::SetMac { place, link, mac });
        }
        if let Some(mtu) = link.mtu.filter(|mtu| *mtu != found.mtu) {
            let link = name.clone();
            self.make(Action::SetMtu { place, link, mtu });
        }
        if let Some(bridge) = &link.master {
            if found.master.as_ref() != Some(bridge) {
                self.make(Action::SetMaster {
                    link: name.clone(),
                    bridge: bridge.clone(),
                });
            }
            // A port that changes its bridge gets the new bridge's defaults.
            if !found.closed || found.master.as_ref() != Some(bridge) {
                self.make(Action::ClosePort(name.clone()));
            }
        }
        if !found.up {
            self.make(Action::SetUp {
                place,
                link: name.clone(),
                up: true,
            });
        }
        for mac in link.fdb.difference(&found.fdb) {
            let link = name.clone();
            self.make(Action::AddFdb { link, mac: *mac });
        }
    }

    fn addresses(&mut self, place: Place, name: &IfName, link: &DesiredLink, found: &LinkState) {
        let mut missing: Vec<&IpNet> = link.addresses.difference(&found.addresses).collect();
        // What comes first is what is shown and taken as the interface's address.
        missing.sort_by_key(|net| match net.addr() {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        });
        for address in missing {
            self.make(Action::AddAddress {
                place,
                link: name.clone(),
                address: *address,
            });
        }
        // Addresses that others add to netd's bridge go; inside a sandbox they are its own matter.
        if place == Place::Host {
            for address in found.addresses.difference(&link.addresses) {
                self.remove(Action::RemoveAddress {
                    place,
                    link: name.clone(),
                    address: *address,
                });
            }
        }
        for route in found.routes.difference(&link.routes) {
            let route = route.clone();
            self.remove(Action::RemoveRoute { place, route });
        }
        for route in link.routes.difference(&found.routes) {
            let route = route.clone();
            self.make(Action::AddRoute { place, route });
        }
    }

    /// Links with netd's mark that should not be; the inner side of a veth pair goes with the other.
    fn surplus_links(&mut self) {
        for ((place, name), found) in &self.observed.links {
            let (place, link) = (*place, name.clone());
            if !found.ours || self.desired.links.contains_key(&(place, link.clone())) {
                continue;
            }
            if place == Place::Host {
                self.remove(Action::SetUp {
                    place,
                    link: link.clone(),
                    up: false,
                });
            }
            self.remove(Action::DeleteLink { place, link });
        }
    }

    fn settings(&mut self) {
        let (desired, observed) = (self.desired, self.observed);
        for ((place, key), value) in &desired.sysctls {
            if observed.sysctls.get(&(*place, key.clone())) != Some(value) {
                self.make(Action::SetSysctl {
                    place: *place,
                    key: key.clone(),
                    value: value.clone(),
                });
            }
        }
        for (key, mac) in &desired.neighbours {
            if observed.neighbours.get(key) != Some(mac) {
                let (place, link, address) = key.clone();
                self.make(Action::AddNeighbour {
                    place,
                    link,
                    address,
                    mac: *mac,
                });
            }
        }
        for key in observed.neighbours.keys() {
            let (place, link, address) = key.clone();
            let link_goes = !desired.links.contains_key(&(place, link.clone()))
                && observed.links.contains_key(&(place, link.clone()));
            if !desired.neighbours.contains_key(key) && !link_goes {
                self.remove(Action::RemoveNeighbour {
                    place,
                    link,
                    address,
                });
            }
        }
        for (sandbox, files) in &desired.files {
            if observed.files.get(sandbox) != Some(files) {
                self.make(Action::WriteFiles(files.clone()));
            }
        }
        for sandbox in observed.files.keys() {
            if !desired.files.contains_key(sandbox) {
                self.remove(Action::RemoveFiles(*sandbox));
            }
        }
    }

    fn host_routes(&mut self) {
        let (desired, observed) = (self.desired, self.observed);
        let place = Place::Host;
        for (key, route) in &observed.routes {
            let link = (place, key.0.clone());
            let link_goes =
                !desired.links.contains_key(&link) && observed.links.contains_key(&link);
            if desired.routes.get(key) != Some(route) && !link_goes {
                let route = route.clone();
                self.remove(Action::RemoveRoute { place, route });
            }
        }
        for (key, route) in &desired.routes {
            if observed.routes.get(key) != Some(route) {
                let route = route.clone();
                self.make(Action::AddRoute { place, route });
            }
        }
    }

    fn programs_and_entries(&mut self) {
        let (desired, observed) = (self.desired, self.observed);
        let attach: Vec<Attachment> = (desired.attachments.difference(&observed.attachments))
            .cloned()
            .collect();
        for attachment in attach {
            self.make(Action::Attach(attachment));
        }
        for attachment in observed.attachments.difference(&desired.attachments) {
            self.remove(Action::Detach(attachment.clone()));
        }
        for (key, entry) in &desired.entries {
            if observed.entries.get(key) != Some(entry) {
                self.make(Action::Put(entry.clone()));
            }
        }
        for key in observed.entries.keys() {
            if !desired.entries.contains_key(key) {
                self.remove(Action::Delete(*key));
            }
        }
    }
}

/// A link as the kernel makes it.
fn fresh(link: &DesiredLink) -> LinkState {
    LinkState {
        ifindex: 0,
        kind: LinkKind::Other,
        ours: true,
        mac: link.mac.unwrap_or(Mac([0; 6])),
        mtu: link.mtu.unwrap_or(0),
        up: link.kind == DesiredKind::Loopback,
        master: None,
        closed: false,
        addresses: BTreeSet::new(),
        routes: BTreeSet::new(),
        fdb: BTreeSet::new(),
    }
}
