//! Links: looked up by name, listed, changed, deleted.

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{
        AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoBridgePort, InfoKind, InfoPortData,
        LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkLayerType, LinkMessage,
    },
};
use nix::errno::Errno;

use super::{NetlinkError, Socket, error::Idempotent, mark};
use crate::{
    model::{IfName, Mac},
    plan::observed::LinkKind,
};

/// What netd reads of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// In its namespace.
    pub ifindex: u32,
    /// Its name.
    pub name: IfName,
    /// What it is.
    pub kind: LinkKind,
    /// Carries netd's mark.
    pub ours: bool,
    /// All zero where it has none (or none of six octets).
    pub mac: Mac,
    /// Octets.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// `lo`.
    pub loopback: bool,
    /// How its packets begin.
    pub layer: LinkLayerType,
    /// Ifindex of what it is enslaved to.
    pub master: Option<u32>,
    /// Ifindex of the other side of a veth pair.
    pub peer: Option<u32>,
    /// Number of the namespace that the other side is in, as this link's namespace knows it;
    /// `None`: the same.
    pub peer_namespace: Option<i32>,
    /// As a bridge port: isolated, and neither learning nor flooding.
    pub closed: bool,
}

/// The link of that name; `None` if there is none.
pub fn find(socket: &mut Socket, name: &IfName) -> Result<Option<Link>, NetlinkError> {
    let message = query(vec![LinkAttribute::IfName(name.as_str().to_owned())]);
    match socket.get(RouteNetlinkMessage::GetLink(message)) {
        // The kernel also finds links by their alternative names: those are not what was asked for.
        Ok(RouteNetlinkMessage::NewLink(message)) => {
            Ok(read(&message).filter(|link| link.name == *name))
        }
        Ok(other) => Err(NetlinkError::Answer(format!("{other:?}"))),
        Err(error) if error.errno() == Some(Errno::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The link of that name, which must exist.
pub fn require(socket: &mut Socket, name: &IfName) -> Result<Link, NetlinkError> {
    find(socket, name)?.ok_or_else(|| NetlinkError::NoLink(name.to_string()))
}

/// The name of a link.
pub fn name(socket: &mut Socket, ifindex: u32) -> Result<Option<IfName>, NetlinkError> {
    let mut message = query(Vec::new());
    message.header.index = ifindex;
    match socket.get(RouteNetlinkMessage::GetLink(message)) {
        Ok(RouteNetlinkMessage::NewLink(message)) => Ok(read(&message).map(|link| link.name)),
        Ok(other) => Err(NetlinkError::Answer(format!("{other:?}"))),
        Err(error) if error.errno() == Some(Errno::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

/// All links of the namespace.
pub fn list(socket: &mut Socket) -> Result<Vec<Link>, NetlinkError> {
    let answer = socket.dump(RouteNetlinkMessage::GetLink(query(Vec::new())))?;
    Ok(answer
        .iter()
        .filter_map(|message| match message {
            RouteNetlinkMessage::NewLink(message) => read(message),
            _ => None,
        })
        .collect())
}

/// Deletes a link that carries netd's mark; one that is not there is success.
pub fn delete_ours(socket: &mut Socket, name: &IfName) -> Result<(), NetlinkError> {
    match find(socket, name)? {
        None => Ok(()),
        Some(link) if !link.ours => Err(NetlinkError::NotOurs(name.to_string())),
        Some(link) => delete(socket, link.ifindex),
    }
}

/// Deletes a link by index.
pub fn delete(socket: &mut Socket, ifindex: u32) -> Result<(), NetlinkError> {
    socket
        .change(RouteNetlinkMessage::DelLink(at(ifindex)), 0)
        .or_fine(&[Errno::ENODEV])
}

/// Sets a link up or down.
pub fn set_up(socket: &mut Socket, name: &IfName, up: bool) -> Result<(), NetlinkError> {
    let mut message = at(require(socket, name)?.ifindex);
    message.header.change_mask = LinkFlags::Up;
    if up {
        message.header.flags = LinkFlags::Up;
    }
    socket.change(RouteNetlinkMessage::SetLink(message), 0)
}

/// Sets one attribute of a link.
pub fn set(
    socket: &mut Socket,
    name: &IfName,
    attribute: LinkAttribute,
) -> Result<(), NetlinkError> {
    let ifindex = require(socket, name)?.ifindex;
    set_at(socket, ifindex, vec![attribute])
}

/// Sets attributes of a link.
pub(super) fn set_at(
    socket: &mut Socket,
    ifindex: u32,
    attributes: Vec<LinkAttribute>,
) -> Result<(), NetlinkError> {
    let mut message = at(ifindex);
    message.attributes = attributes;
    socket.change(RouteNetlinkMessage::SetLink(message), 0)
}

/// Ends a creation: the mark instead of [`mark::HALF_MADE`].
pub(super) fn set_mark(
    socket: &mut Socket,
    ifindex: u32,
    alias: String,
) -> Result<(), NetlinkError> {
    let attributes = vec![LinkAttribute::IfAlias(alias), LinkAttribute::Group(0)];
    set_at(socket, ifindex, attributes)
}

/// Makes the kernel give a link no IPv6 link-local address. Where IPv6 is off there is nothing to do.
pub(super) fn without_link_local(socket: &mut Socket, ifindex: u32) -> Result<(), NetlinkError> {
    let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
    let spec = LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![mode])]);
    set_at(socket, ifindex, vec![spec]).or_fine(&[Errno::EAFNOSUPPORT, Errno::EINVAL])
}

fn at(ifindex: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = ifindex;
    message
}

/// Counters are left out: they are most of the answer and nobody here reads them.
fn query(mut attributes: Vec<LinkAttribute>) -> LinkMessage {
    attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    let mut message = LinkMessage::default();
    message.attributes = attributes;
    message
}

fn read(message: &LinkMessage) -> Option<Link> {
    let mut link = Link {
        ifindex: message.header.index,
        name: name_of(message)?,
        kind: LinkKind::Other,
        ours: mark::is_ours(message),
        mac: Mac([0; 6]),
        mtu: 0,
        up: message.header.flags.contains(LinkFlags::Up),
        loopback: message.header.flags.contains(LinkFlags::Loopback),
        layer: message.header.link_layer_type,
        master: None,
        peer: None,
        peer_namespace: None,
        closed: false,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Address(bytes) => {
                link.mac = Mac(bytes.as_slice().try_into().unwrap_or_default());
            }
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Controller(master) => link.master = Some(*master).filter(|m| *m != 0),
            LinkAttribute::Link(peer) => link.peer = Some(*peer).filter(|peer| *peer != 0),
            LinkAttribute::LinkNetNsId(id) => link.peer_namespace = Some(*id),
            LinkAttribute::LinkInfo(infos) => infos.iter().for_each(|info| match info {
                LinkInfo::Kind(InfoKind::Bridge) => link.kind = LinkKind::Bridge,
                LinkInfo::Kind(InfoKind::Veth) => link.kind = LinkKind::Veth,
                LinkInfo::PortData(InfoPortData::BridgePort(port)) => link.closed = closed(port),
                _ => {}
            }),
            _ => {}
        }
    }
    Some(link)
}

fn name_of(message: &LinkMessage) -> Option<IfName> {
    message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => name.parse().ok(),
            _ => None,
        })
}

fn closed(port: &[InfoBridgePort]) -> bool {
    super::bridge::CLOSED.iter().all(|flag| port.contains(flag))
}
