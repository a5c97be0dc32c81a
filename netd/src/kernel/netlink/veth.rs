//! veth pairs: one side in the host namespace, the other made inside its target namespace at once.

use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkInfo, LinkMessage},
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
pub fn create(
    host: &mut Socket,
    place: &mut Socket,
    namespace: BorrowedFd<'_>,
    pair: &Pair<'_>,
) -> Result<(), NetlinkError> {
    if let Some(found) = link::find(host, pair.host)? {
        if !found.ours || found.kind != LinkKind::Veth {
            return Err(NetlinkError::NotOurs(pair.host.to_string()));
        }
        let other = link::find(place, pair.inside)?;
        let complete = other.is_some_and(|other| {
            found.peer == Some(other.ifindex) && other.peer == Some(found.ifindex)
        });
        if complete {
            return finish(host, found.ifindex, pair);
        }
        link::delete(host, found.ifindex)?;
    }
    host.change(
        RouteNetlinkMessage::NewLink(request(namespace, pair)),
        NLM_F_CREATE | NLM_F_EXCL,
    )?;
    let ifindex = link::require(host, pair.host)?.ifindex;
    finish(host, ifindex, pair)
}

fn finish(host: &mut Socket, ifindex: u32, pair: &Pair<'_>) -> Result<(), NetlinkError> {
    link::without_link_local(host, ifindex)?;
    link::set_mark(host, ifindex, pair.alias.clone())
}

fn request(namespace: BorrowedFd<'_>, pair: &Pair<'_>) -> LinkMessage {
    let mut peer = LinkMessage::default();
    peer.attributes = vec![
        LinkAttribute::IfName(pair.inside.as_str().to_owned()),
        LinkAttribute::Address(pair.mac.0.to_vec()),
        LinkAttribute::Mtu(pair.mtu),
        LinkAttribute::NetNsFd(namespace.as_raw_fd()),
    ];
    let mut message = LinkMessage::default();
    message.attributes = vec![
        LinkAttribute::IfName(pair.host.as_str().to_owned()),
        LinkAttribute::Mtu(pair.mtu),
        LinkAttribute::Group(mark::HALF_MADE),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]),
    ];
    message
}
