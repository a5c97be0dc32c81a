//! Carries out the actions that are not BPF's, each as it says.

use std::os::fd::AsFd;

use super::{
    KernelError, describe, files,
    netlink::{
        address, bridge, dummy, fdb, link, macvlan,
        mark::{self, Purpose},
        neighbour, nsid, route, veth, vlan,
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
    pub async fn execute(&mut self, action: &Action) -> Result<(), KernelError> {
        let result = match action {
            Action::MakeNamespace(_)
            | Action::JoinNamespace { .. }
            | Action::RemoveNamespace(_)
            | Action::SetSysctl { .. }
            | Action::WriteFiles(_)
            | Action::RemoveFiles(_) => self.places_and_files(action).await,
            Action::CreateBridge { .. }
            | Action::CreateVeth { .. }
            | Action::CreateVlan { .. }
            | Action::CreateDummy { .. }
            | Action::CreateMacvlan { .. }
            | Action::SetMaster { .. }
            | Action::ClosePort(_)
            | Action::AddFdb { .. } => self.host_links(action).await,
            Action::SetUp { .. }
            | Action::SetMtu { .. }
            | Action::SetMac { .. }
            | Action::AddAddress { .. }
            | Action::AddRoute { .. }
            | Action::AddNeighbour { .. } => self.contents(action).await,
            Action::DeleteLink { .. }
            | Action::RemoveAddress { .. }
            | Action::RemoveRoute { .. }
            | Action::RemoveNeighbour { .. } => self.without(action).await,
            Action::Attach(_)
            | Action::Detach(_)
            | Action::Put(_)
            | Action::Delete(_)
            | Action::EndFlows(_) => Err(NotHere.into()),
        };
        result.map_err(|source| KernelError {
            doing: describe::action(action),
            source,
        })
    }

    async fn places_and_files(&mut self, action: &Action) -> Result<(), anyhow::Error> {
        match action {
            Action::MakeNamespace(place) => self.places.make(*place).await?,
            Action::JoinNamespace { place, joined } => self.places.join(*place, joined)?,
            Action::RemoveNamespace(place) => {
                self.numbers.forget(*place);
                self.places.remove(*place)?;
            }
            Action::SetSysctl { place, key, value } => self.set_sysctl(*place, key, value).await?,
            Action::WriteFiles(files) => files::write(&self.run_dir, files)?,
            Action::RemoveFiles(id) => files::remove_sandbox(&self.run_dir, *id)?,
            _ => return Err(NotHere.into()),
        }
        Ok(())
    }

    async fn host_links(&mut self, action: &Action) -> Result<(), anyhow::Error> {
        let socket = self.places.host()?;
        match action {
            Action::CreateBridge { name, mac, mtu } => {
                bridge::create(&socket, name, *mac, *mtu).await?;
            }
            Action::CreateVeth {
                host,
                place,
                inside,
                mac,
                mtu,
            } => self.create_veth(host, *place, inside, *mac, *mtu).await?,
            Action::CreateVlan { name, base, id } => {
                vlan::create(&socket, name, base, *id).await?;
            }
            Action::CreateDummy { name, mtu } => dummy::create(&socket, name, *mtu).await?,
            Action::CreateMacvlan {
                place,
                name,
                parent,
                mode,
                mac,
                mtu,
            } => {
                let link = macvlan::Macvlan {
                    name,
                    parent,
                    mode: *mode,
                    mac: *mac,
                    mtu: *mtu,
                    purpose: match place {
                        Place::Host => Purpose::HostAccess,
                        Place::Sandbox(_) | Place::Resolver => Purpose::Endpoint,
                    },
                };
                self.create_macvlan(*place, &link).await?;
            }
            Action::SetMaster { link, bridge } => bridge::set_master(&socket, link, bridge).await?,
            Action::ClosePort(name) => bridge::close_port(&socket, name).await?,
            Action::AddFdb { link, mac } => fdb::add(&socket, link, *mac).await?,
            _ => return Err(NotHere.into()),
        }
        Ok(())
    }

    /// What is added or set needs its namespace.
    async fn contents(&mut self, action: &Action) -> Result<(), anyhow::Error> {
        let places = &mut self.places;
        match action {
            Action::SetUp { place, link, up } => {
                link::set_up(&places.socket(*place)?, link, *up).await?;
            }
            Action::SetMtu { place, link, mtu } => {
                link::set_mtu(&places.socket(*place)?, link, *mtu).await?;
            }
            Action::SetMac { place, link, mac } => {
                link::set_mac(&places.socket(*place)?, link, *mac).await?;
            }
            Action::AddAddress {
                place,
                link,
                address: net,
            } => address::add(&places.socket(*place)?, link, *net).await?,
            Action::AddRoute { place, route: to } => {
                let replace = *place != Place::Host;
                route::add(&places.socket(*place)?, to, replace).await?;
            }
            Action::AddNeighbour {
                place,
                link,
                address,
                mac,
            } => neighbour::add(&places.socket(*place)?, link, *address, *mac).await?,
            _ => return Err(NotHere.into()),
        }
        Ok(())
    }

    /// What is removed from a namespace that is gone went with it.
    async fn without(&mut self, action: &Action) -> Result<(), anyhow::Error> {
        let (Action::DeleteLink { place, .. }
        | Action::RemoveAddress { place, .. }
        | Action::RemoveRoute { place, .. }
        | Action::RemoveNeighbour { place, .. }) = action
        else {
            return Err(NotHere.into());
        };
        let Some(socket) = self.places.find(*place)? else {
            return Ok(());
        };
        match action {
            Action::DeleteLink { link, .. } => link::delete_ours(&socket, link).await?,
            Action::RemoveAddress { link, address, .. } => {
                address::remove(&socket, link, *address).await?;
            }
            Action::RemoveRoute { route, .. } => route::remove(&socket, route).await?,
            Action::RemoveNeighbour { link, address, .. } => {
                neighbour::remove(&socket, link, *address).await?;
            }
            _ => return Err(NotHere.into()),
        }
        Ok(())
    }

    async fn create_veth(
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
        let (outer, inner) = (self.places.host()?, self.places.socket(place)?);
        veth::create(&outer, &inner, namespace.as_fd(), &pair).await?;
        // The pair has given the namespace a number: its events are heard from now on.
        if let Some(number) = nsid::find(&outer, namespace.as_fd()).await? {
            self.numbers.set(number, place);
        }
        Ok(())
    }

    async fn create_macvlan(
        &mut self,
        place: Place,
        link: &macvlan::Macvlan<'_>,
    ) -> Result<(), anyhow::Error> {
        let namespace = self.places.require(place)?;
        let (host, inside) = (self.places.host()?, self.places.socket(place)?);
        macvlan::create(&host, &inside, namespace.as_fd(), link).await?;
        if place == Place::Host {
            return Ok(());
        }
        // No pair gives the namespace a number here, without which its events are not heard.
        let number = nsid::find_or_give(&host, namespace.as_fd()).await?;
        self.numbers.set(number, place);
        Ok(())
    }

    async fn set_sysctl(
        &mut self,
        place: Place,
        key: &str,
        value: &str,
    ) -> Result<(), anyhow::Error> {
        let ours = match sysctl::link_of(key).and_then(|name| name.parse::<IfName>().ok()) {
            Some(name) => link::find(&self.places.host()?, &name)
                .await?
                .is_some_and(|link| link.ours),
            None => false,
        };
        let remember = (place == Place::Host && !ours).then_some(self.run_dir.as_path());
        sysctl::write(&self.places, place, key, value, remember)
    }
}
