//! veth pairs: one side in the host namespace, the other made inside its target namespace at once.

use std::os::fd::{AsRawFd, BorrowedFd};

use rtnetlink::{
    LinkUnspec, LinkVeth,
    packet_route::link::{InfoData, InfoVeth, LinkMessage},
};

use super::{NetlinkError, Socket, link, mark};
use crate::{
    model::{IfName, Mac},
    plan::observed::LinkKind,
};

/// What to make.
pub struct Pair<'a> {
    /// Host side.
    pub host: &'a IfName,
    /// The other side's name.
    pub inside: &'a IfName,
    /// The other side's MAC.
    pub mac: Mac,
    /// Octets, both sides.
    pub mtu: u32,
    /// The host side's mark.
    pub alias: String,
}

/// Makes the pair, both sides down. `host` is a socket in the host namespace, `place` one in the
/// namespace of `namespace`. A complete pair that netd made before is success; half of one, or one
/// whose other side went elsewhere, is made anew.
pub async fn create(
    host: &Socket,
    place: &Socket,
    namespace: BorrowedFd<'_>,
    pair: &Pair<'_>,
) -> Result<(), NetlinkError> {
    if let Some(found) = link::find(host, pair.host).await? {
        if !found.ours || found.kind != LinkKind::Veth {
            return Err(NetlinkError::NotOurs(pair.host.to_string()));
        }
        let other = link::find(place, pair.inside).await?;
        let complete = other.is_some_and(|other| {
            found.peer == Some(other.ifindex) && other.peer == Some(found.ifindex)
        });
        if complete {
            return finish(host, found.ifindex, pair).await;
        }
        link::delete(host, found.ifindex).await?;
    }
    let request = host.handle().link().add(message(namespace, pair));
    host.change(request.execute()).await?;
    let ifindex = link::require(host, pair.host).await?.ifindex;
    finish(host, ifindex, pair).await
}

async fn finish(host: &Socket, ifindex: u32, pair: &Pair<'_>) -> Result<(), NetlinkError> {
    link::without_link_local(host, ifindex).await?;
    link::set_mark(host, ifindex, pair.alias.clone()).await
}

fn message(namespace: BorrowedFd<'_>, pair: &Pair<'_>) -> LinkMessage {
    let peer = LinkUnspec::new_with_name(pair.inside.as_str())
        .address(pair.mac.0.to_vec())
        .mtu(pair.mtu)
        .setns_by_fd(namespace.as_raw_fd());
    LinkVeth::new(pair.host.as_str(), pair.inside.as_str())
        .mtu(pair.mtu)
        .link_group(mark::HALF_MADE)
        // `LinkVeth` itself gives the other side nothing but a name.
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer.build())))
        .build()
}
