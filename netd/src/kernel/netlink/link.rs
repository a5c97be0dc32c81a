//! Links: looked up by name, listed, changed, deleted.

use nix::errno::Errno;
use rtnetlink::{
    LinkMessageBuilder, LinkUnspec,
    packet_route::{
        RouteNetlinkMessage,
        link::{
            AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoBridgePort, InfoData, InfoKind,
            InfoMacVlan, InfoPortData, InfoVlan, LinkAttribute, LinkExtentMask, LinkFlags,
            LinkInfo, LinkLayerType, LinkMessage, MacVlanMode,
        },
    },
};

use super::{NetlinkError, Socket, error::Idempotent, mark};
use crate::{
    model::{IfName, Mac, macvlan::MacvlanMode},
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
    /// Ifindex of the other side of a veth pair, or of what this one stands on.
    pub peer: Option<u32>,
    /// Number of the namespace that it is in, as this link's namespace knows it;
    /// `None`: the same.
    pub peer_namespace: Option<i32>,
    /// As a bridge port: isolated, and neither learning nor flooding.
    pub closed: bool,
    /// It does not speak IPv6 (`disable_ipv6`); `None` where the kernel does not tell.
    pub ipv6_off: Option<bool>,
}

/// The link of that name; `None` if there is none.
pub async fn find(socket: &Socket, name: &IfName) -> Result<Option<Link>, NetlinkError> {
    // The kernel also finds links by their alternative names: those are not what was asked for.
    let found = get(socket, LinkUnspec::new_with_name(name.as_str())).await?;
    Ok(found.filter(|link| link.name == *name))
}

/// The link of that name, which must exist.
pub async fn require(socket: &Socket, name: &IfName) -> Result<Link, NetlinkError> {
    let found = find(socket, name).await?;
    found.ok_or_else(|| NetlinkError::NoLink(name.to_string()))
}

/// The name of a link.
pub async fn name(socket: &Socket, ifindex: u32) -> Result<Option<IfName>, NetlinkError> {
    let found = get(socket, LinkUnspec::new_with_index(ifindex)).await?;
    Ok(found.map(|link| link.name))
}

/// All links of the namespace.
pub async fn list(socket: &Socket) -> Result<Vec<Link>, NetlinkError> {
    let message = RouteNetlinkMessage::GetLink(query(LinkMessageBuilder::default()));
    let answer = socket.dump(message).await?;
    Ok(answer
        .iter()
        .filter_map(|message| match message {
            RouteNetlinkMessage::NewLink(message) => read(message),
            _ => None,
        })
        .collect())
}

/// Deletes a link that carries netd's mark; one that is not there is success.
pub async fn delete_ours(socket: &Socket, name: &IfName) -> Result<(), NetlinkError> {
    match find(socket, name).await? {
        None => Ok(()),
        Some(link) if !link.ours => Err(NetlinkError::NotOurs(name.to_string())),
        Some(link) => delete(socket, link.ifindex).await,
    }
}

/// Deletes a link by index.
pub async fn delete(socket: &Socket, ifindex: u32) -> Result<(), NetlinkError> {
    let request = socket.handle().link().del(ifindex);
    let deleted = socket.change(request.execute()).await;
    deleted.or_fine(&[Errno::ENODEV])
}

/// Sets a link up or down.
pub async fn set_up(socket: &Socket, name: &IfName, up: bool) -> Result<(), NetlinkError> {
    set(
        socket,
        name,
        |link| if up { link.up() } else { link.down() },
    )
    .await
}

/// Sets a link's MTU in octets.
pub async fn set_mtu(socket: &Socket, name: &IfName, mtu: u32) -> Result<(), NetlinkError> {
    set(socket, name, |link| link.mtu(mtu)).await
}

/// Sets a link's MAC.
pub async fn set_mac(socket: &Socket, name: &IfName, mac: Mac) -> Result<(), NetlinkError> {
    set(socket, name, |link| link.address(mac.0.to_vec())).await
}

/// Gives a link that is down another name.
pub(super) async fn rename(
    socket: &Socket,
    ifindex: u32,
    name: &IfName,
) -> Result<(), NetlinkError> {
    let link = LinkUnspec::new_with_index(ifindex);
    set_at(socket, link.name(name.to_string())).await
}

/// What is to change of a link.
pub(super) type Changed = LinkMessageBuilder<LinkUnspec>;

async fn set(
    socket: &Socket,
    name: &IfName,
    change: impl FnOnce(Changed) -> Changed,
) -> Result<(), NetlinkError> {
    let link = LinkUnspec::new_with_index(require(socket, name).await?.ifindex);
    set_at(socket, change(link)).await
}

/// Changes a link, which is given by index.
pub(super) async fn set_at(socket: &Socket, link: Changed) -> Result<(), NetlinkError> {
    let request = socket.handle().link().change(link.build());
    socket.change(request.execute()).await
}

/// Ends a creation: the mark instead of [`mark::HALF_MADE`].
pub(super) async fn set_mark(
    socket: &Socket,
    ifindex: u32,
    alias: String,
) -> Result<(), NetlinkError> {
    let link = LinkUnspec::new_with_index(ifindex);
    set_at(socket, link.alias(alias).link_group(0)).await
}

/// Makes the kernel give a link no IPv6 link-local address. Where IPv6 is off there is nothing to do.
pub(super) async fn without_link_local(socket: &Socket, ifindex: u32) -> Result<(), NetlinkError> {
    let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
    let spec = LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![mode])]);
    let link = LinkUnspec::new_with_index(ifindex).append_extra_attribute(spec);
    let set = set_at(socket, link).await;
    set.or_fine(&[Errno::EAFNOSUPPORT, Errno::EINVAL])
}

async fn get(socket: &Socket, link: Changed) -> Result<Option<Link>, NetlinkError> {
    let message = RouteNetlinkMessage::GetLink(query(link));
    match socket.get(message).await {
        Ok(RouteNetlinkMessage::NewLink(message)) => Ok(read(&message)),
        Ok(other) => Err(NetlinkError::Answer(format!("{other:?}"))),
        Err(error) if error.errno() == Some(Errno::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Counters are left out: they are most of the answer and nobody here reads them. Virtual functions
/// are not asked for either, which would make it longer than one read of rtnetlink's (64 KiB).
fn query(link: Changed) -> LinkMessage {
    let mask = LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]);
    link.append_extra_attribute(mask).build()
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
        ipv6_off: None,
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
                LinkInfo::Kind(InfoKind::Dummy) => link.kind = LinkKind::Dummy,
                // The kind comes first, then its data.
                LinkInfo::Data(InfoData::Vlan(data)) => link.kind = vlan(data),
                LinkInfo::Data(InfoData::MacVlan(data)) => link.kind = macvlan(data),
                LinkInfo::PortData(InfoPortData::BridgePort(port)) => link.closed = closed(port),
                _ => {}
            }),
            LinkAttribute::AfSpecUnspec(families) => link.ipv6_off = ipv6_off(families),
            _ => {}
        }
    }
    Some(link)
}

fn ipv6_off(families: &[AfSpecUnspec]) -> Option<bool> {
    let inet6 = families.iter().find_map(|family| match family {
        AfSpecUnspec::Inet6(attributes) => Some(attributes),
        _ => None,
    });
    inet6?.iter().find_map(|attribute| match attribute {
        AfSpecInet6::DevConf(conf) => Some(conf.disable_ipv6 != 0),
        _ => None,
    })
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

fn vlan(data: &[InfoVlan]) -> LinkKind {
    let id = data.iter().find_map(|info| match info {
        InfoVlan::Id(id) => Some(*id),
        _ => None,
    });
    id.map_or(LinkKind::Other, LinkKind::Vlan)
}

fn macvlan(data: &[InfoMacVlan]) -> LinkKind {
    let mode = data.iter().find_map(|info| match info {
        InfoMacVlan::Mode(MacVlanMode::Bridge) => Some(MacvlanMode::Bridge),
        InfoMacVlan::Mode(MacVlanMode::Private) => Some(MacvlanMode::Private),
        InfoMacVlan::Mode(MacVlanMode::Vepa) => Some(MacvlanMode::Vepa),
        InfoMacVlan::Mode(MacVlanMode::Passthrough) => Some(MacvlanMode::Passthru),
        _ => None,
    });
    mode.map_or(LinkKind::Other, LinkKind::Macvlan)
}

fn closed(port: &[InfoBridgePort]) -> bool {
    super::bridge::CLOSED.iter().all(|flag| port.contains(flag))
}
