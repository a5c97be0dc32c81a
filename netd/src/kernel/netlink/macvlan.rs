//! Macvlan interfaces: made at once in the namespace where they belong, on a link of the host's.

use std::os::fd::{AsRawFd, BorrowedFd};

use rtnetlink::{
    LinkMacVlan,
    packet_route::link::{LinkMessage, MacVlanMode},
};

use super::{
    Link, NetlinkError, Socket, link,
    mark::{self, Purpose},
};
use crate::{
    model::{IfName, Mac, macvlan::MacvlanMode},
    plan::observed::LinkKind,
};

/// What an interface is called until it has its name.
const PASSING: &str = "nd-half-made";

/// What to make.
#[derive(Clone, Copy)]
pub struct Macvlan<'a> {
    /// Its name.
    pub name: &'a IfName,
    /// The link of the host that it stands on.
    pub parent: &'a IfName,
    /// How it reaches others there.
    pub mode: MacvlanMode,
    /// `None`: the kernel's choice.
    pub mac: Option<Mac>,
    /// Octets; `None`: the parent's.
    pub mtu: Option<u32>,
    /// Whose it is.
    pub purpose: Purpose,
}

/// Makes the interface, down. `host` is a socket in the host namespace, `inside` one in the namespace
/// of `namespace`. One of that name that netd made before is success.
pub async fn create(
    host: &Socket,
    inside: &Socket,
    namespace: BorrowedFd<'_>,
    wanted: &Macvlan<'_>,
) -> Result<(), NetlinkError> {
    let parent = link::require(host, wanted.parent).await?.ifindex;
    let found = match link::find(inside, wanted.name).await? {
        Some(found) if found.ours && found.kind == LinkKind::Macvlan(wanted.mode) => found,
        Some(_) => return Err(NetlinkError::NotOurs(wanted.name.to_string())),
        None if wanted.purpose == Purpose::HostAccess => {
            add(host, parent, namespace, wanted).await?;
            link::require(inside, wanted.name).await?
        }
        None => add_and_name(host, inside, parent, namespace, wanted).await?,
    };
    let alias = mark::alias(wanted.purpose, wanted.name.as_str());
    link::set_mark(inside, found.ifindex, alias).await
}

/// Linux up to 6.12 at least compares a new link's name with those of the namespace that asks, although
/// the link goes elsewhere: where the host has an `eth0` it refuses one inside. So it comes under a name
/// that nobody has and is renamed.
async fn add_and_name(
    host: &Socket,
    inside: &Socket,
    parent: u32,
    namespace: BorrowedFd<'_>,
    wanted: &Macvlan<'_>,
) -> Result<Link, NetlinkError> {
    let passing: IfName = PASSING.parse().expect("a valid interface name");
    // Of an agent that was killed in between.
    link::delete_ours(inside, &passing).await?;
    let named = Macvlan {
        name: &passing,
        ..*wanted
    };
    add(host, parent, namespace, &named).await?;
    let made = link::require(inside, &passing).await?;
    match link::rename(inside, made.ifindex, wanted.name).await {
        Ok(()) => Ok(made),
        Err(error) => {
            link::delete(inside, made.ifindex).await?;
            Err(error)
        }
    }
}

async fn add(
    host: &Socket,
    parent: u32,
    namespace: BorrowedFd<'_>,
    wanted: &Macvlan<'_>,
) -> Result<(), NetlinkError> {
    let message = message(parent, namespace, wanted);
    let request = host.handle().link().add(message);
    host.change(request.execute()).await
}

fn message(parent: u32, namespace: BorrowedFd<'_>, wanted: &Macvlan<'_>) -> LinkMessage {
    let mode = match wanted.mode {
        MacvlanMode::Bridge => MacVlanMode::Bridge,
        MacvlanMode::Private => MacVlanMode::Private,
        MacvlanMode::Vepa => MacVlanMode::Vepa,
        MacvlanMode::Passthru => MacVlanMode::Passthrough,
    };
    let mut message = LinkMacVlan::new(wanted.name.as_str(), parent, mode)
        .link_group(mark::HALF_MADE)
        .setns_by_fd(namespace.as_raw_fd());
    if let Some(mac) = wanted.mac {
        message = message.address(mac.0.to_vec());
    }
    if let Some(mtu) = wanted.mtu {
        message = message.mtu(mtu);
    }
    message.build()
}
