//! Carries out the actions that are not BPF's, each as it says.

use std::os::fd::AsFd;

use netlink_packet_route::link::LinkAttribute;

use super::{
    KernelError, describe, files,
    netlink::{
        address, bridge, fdb, link,
        mark::{self, Purpose},
        neighbour, nsid, route, veth,
    },
    stack::Stack,
    sysctl,
};
use crate::{
    model::{IfName, Mac},
    plan::{Action, Place},
};

/// An action came to where it is not carried out: a mistake in netd.
#[derive(Debug, thiserror::Error)]
#[error("not done here")]
struct NotHere;

impl Stack {
    /// Carries out one action that is not BPF's.
    pub fn execute(&mut self, action: &Action) -> Result<(), KernelError> {
        let result = match action {
            Action::MakeNamespace(_)
            | Action::JoinNamespace { .. }
            | Action::RemoveNamespace(_)
            | Action::SetSysctl { .. }
            | Action::WriteFiles(_)
            | Action::RemoveFiles(_) => self.without_netlink(action),
            Action::CreateBridge { .. }
            | Action::CreateVeth { .. }
            | Action::DeleteLink(_)
            | Action::SetMaster { .. }
            | Action::ClosePort(_)
            | Action::AddFdb { .. } => self.host_links(action),
            Action::SetUp { .. }
            | Action::SetMtu { .. }
            | Action::SetMac { .. }
            | Action::AddAddress { .. }
            | Action::RemoveAddress { .. }
            | Action::AddRoute { .. }
            | Action::RemoveRoute { .. }
            | Action::AddNeighbour { .. }
            | Action::RemoveNeighbour { .. } => self.contents(action),
            Action::Attach(_)
            | Action::Detach(_)
            | Action::Put(_)
            | Action::Delete(_)
            | Action::FlushFlows { .. } => Err(NotHere.into()),
        };
        result.map_err(|source| KernelError {
            doing: describe::action(action),
            source,
        })
    }

    fn without_netlink(&mut self, action: &Action) -> Result<(), anyhow::Error> {
        match action {
            Action::MakeNamespace(place) => self.places.make(*place)?,
            Action::JoinNamespace { place, joined } => self.places.join(*place, joined)?,
            Action::RemoveNamespace(place) => {
                self.numbers.forget(*place);
                self.places.remove(*place)?;
            }
            Action::SetSysctl { place, key, value } => self.set_sysctl(*place, key, value)?,
            Action::WriteFiles(files) => files::write(&self.run_dir, files)?,
            Action::RemoveFiles(id) => files::remove_sandbox(&self.run_dir, *id)?,
            _ => return Err(NotHere.into()),
        }
        Ok(())
    }

    fn host_links(&mut self, action: &Action) -> Result<(), anyhow::Error> {
        let host = self.places.host();
        match action {
            Action::CreateBridge { name, mac, mtu } => bridge::create(host, name, *mac, *mtu)?,
            Action::CreateVeth {
                host,
                place,
                inside,
                mac,
                mtu,
            } => self.create_veth(host, *place, inside, *mac, *mtu)?,
            Action::DeleteLink(name) => link::delete_ours(host, name)?,
            Action::SetMaster { link, bridge } => bridge::set_master(host, link, bridge)?,
            Action::ClosePort(name) => bridge::close_port(host, name)?,
            Action::AddFdb { link, mac } => fdb::add(host, link, *mac)?,
            _ => return Err(NotHere.into()),
        }
        Ok(())
    }

    /// What is added needs its namespace; what is removed went with it.
    fn contents(&mut self, action: &Action) -> Result<(), anyhow::Error> {
        let places = &mut self.places;
        match action {
            Action::SetUp { place, link, up } => {
                places.with(*place, |s| link::set_up(s, link, *up))??;
            }
            Action::SetMtu { place, link, mtu } => {
                let mtu = LinkAttribute::Mtu(*mtu);
                places.with(*place, |s| link::set(s, link, mtu))??;
            }
            Action::SetMac { place, link, mac } => {
                let mac = LinkAttribute::Address(mac.0.to_vec());
                places.with(*place, |s| link::set(s, link, mac))??;
            }
            Action::AddAddress {
                place,
                link,
                address: net,
            } => places.with(*place, |s| address::add(s, link, *net))??,
            Action::RemoveAddress {
                place,
                link,
                address: net,
            } => places
                .try_with(*place, |s| address::remove(s, link, *net))?
                .unwrap_or(Ok(()))?,
            Action::AddRoute { place, route: to } => {
                places.with(*place, |s| route::add(s, to))??;
            }
            Action::RemoveRoute { place, route: to } => places
                .try_with(*place, |s| route::remove(s, to))?
                .unwrap_or(Ok(()))?,
            Action::AddNeighbour {
                place,
                link,
                address,
                mac,
            } => places.with(*place, |s| neighbour::add(s, link, *address, *mac))??,
            Action::RemoveNeighbour {
                place,
                link,
                address,
            } => places
                .try_with(*place, |s| neighbour::remove(s, link, *address))?
                .unwrap_or(Ok(()))?,
            _ => return Err(NotHere.into()),
        }
        Ok(())
    }

    fn create_veth(
        &mut self,
        host: &IfName,
        place: Place,
        inside: &IfName,
        mac: Mac,
        mtu: u32,
    ) -> Result<(), anyhow::Error> {
        let purpose = match place {
            Place::Host => anyhow::bail!("both sides would be on the host"),
            Place::Sandbox(_) => Purpose::Endpoint,
            Place::Resolver => Purpose::Resolver,
        };
        let namespace = self.places.require(place)?;
        let pair = veth::Pair {
            host,
            inside,
            mac,
            mtu,
            alias: mark::alias(purpose, host.as_str()),
        };
        self.places.with_both(place, |outer, inner| {
            veth::create(outer, inner, namespace.as_fd(), &pair)
        })??;
        // The pair has given the namespace a number: its events are heard from now on.
        if let Some(number) = nsid::find(self.places.host(), namespace.as_fd())? {
            self.numbers.set(number, place);
        }
        Ok(())
    }

    fn set_sysctl(&mut self, place: Place, key: &str, value: &str) -> Result<(), anyhow::Error> {
        let ours = match sysctl::link_of(key).and_then(|name| name.parse::<IfName>().ok()) {
            Some(name) => link::find(self.places.host(), &name)?.is_some_and(|link| link.ours),
            None => false,
        };
        let remember = (place == Place::Host && !ours).then_some(self.run_dir.as_path());
        sysctl::write(&self.places, place, key, value, remember)
    }
}
