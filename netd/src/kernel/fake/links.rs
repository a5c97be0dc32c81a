//! How the kernel in memory makes links, and what goes with one. Decides nothing for netd.

use std::collections::BTreeSet;

use anyhow::{bail, ensure};

use super::FakeKernel;
use crate::{
    model::{IfName, Mac},
    plan::{
        Attachment, Place,
        observed::{LinkKind, LinkState},
    },
};

impl FakeKernel {
    /// A veth's end takes its addresses, routes, neighbours, sysctls and programs with it, and a
    /// bridge its ports' membership.
    pub(super) fn forget_link(&mut self, key: &(Place, IfName)) {
        self.host.links.remove(key);
        let (place, name) = key;
        self.host
            .neighbours
            .retain(|(p, link, _), _| (p, link) != (place, name));
        let marker = format!("/conf/{name}/");
        self.host
            .sysctls
            .retain(|(p, sysctl), _| p != place || !sysctl.contains(&marker));
        if *place == Place::Host {
            self.host.routes.retain(|(link, _), _| link != name);
            self.host.attachments.retain(
                |attachment| !matches!(attachment, Attachment::Tc { link, .. } if link == name),
            );
            for link in self.host.links.values_mut() {
                if link.master.as_ref() == Some(name) {
                    link.master = None;
                    link.closed = false;
                    link.fdb.clear();
                }
            }
        }
    }

    pub(super) fn new_link(&mut self, kind: LinkKind, mac: Mac, mtu: u32) -> LinkState {
        self.last_number += 1;
        LinkState {
            ifindex: self.last_number,
            kind,
            ours: true,
            mac,
            mtu,
            up: false,
            master: None,
            closed: false,
            addresses: BTreeSet::new(),
            routes: BTreeSet::new(),
            fdb: BTreeSet::new(),
        }
    }

    pub(super) fn create_bridge(
        &mut self,
        name: &IfName,
        mac: Mac,
        mtu: u32,
    ) -> anyhow::Result<()> {
        let key = (Place::Host, name.clone());
        match self.host.links.get(&key) {
            Some(found) if found.ours && found.kind == LinkKind::Bridge => Ok(()),
            Some(_) => bail!("{name} exists and is not netd's"),
            None => {
                let link = self.new_link(LinkKind::Bridge, mac, mtu);
                self.host.links.insert(key, link);
                Ok(())
            }
        }
    }

    pub(super) fn create_veth(
        &mut self,
        outside: (Place, IfName),
        inside: (Place, IfName),
        mac: Mac,
        mtu: u32,
    ) -> anyhow::Result<()> {
        let place = inside.0;
        ensure!(
            self.host.namespaces.contains_key(&place),
            "no namespace {place:?}"
        );
        if self.peers.get(&outside) == Some(&inside) {
            return Ok(());
        }
        for key in [&outside, &inside] {
            ensure!(!self.host.links.contains_key(key), "{} exists", key.1);
        }
        let host_side = self.new_link(LinkKind::Veth, Mac([0x5e, 0, 0, 0, 0, 1]), mtu);
        let inner_side = LinkState {
            ours: false,
            ..self.new_link(LinkKind::Veth, mac, mtu)
        };
        self.host.links.insert(outside.clone(), host_side);
        self.host.links.insert(inside.clone(), inner_side);
        self.peers.insert(outside.clone(), inside.clone());
        self.peers.insert(inside, outside);
        Ok(())
    }

    /// A VLAN, dummy or macvlan interface, on `lower` where it stands on something.
    pub(super) fn create_on(
        &mut self,
        key: (Place, IfName),
        kind: LinkKind,
        lower: Option<&IfName>,
        mac: Option<Mac>,
        mtu: Option<u32>,
    ) -> anyhow::Result<()> {
        if let Some(found) = self.host.links.get(&key) {
            let theirs = matches!(kind, LinkKind::Vlan(_));
            ensure!(
                found.kind == kind && (found.ours || theirs),
                "{} exists",
                key.1
            );
            return Ok(());
        }
        let mut inherited = 1500;
        if let Some(lower) = lower {
            inherited = self.link(Place::Host, lower)?.mtu;
            self.lowers.insert(key.clone(), lower.clone());
        }
        let mac = mac.unwrap_or(Mac([2, 0, 0, 0, 0, 9]));
        let link = self.new_link(kind, mac, mtu.unwrap_or(inherited));
        self.host.links.insert(key, link);
        Ok(())
    }
}
