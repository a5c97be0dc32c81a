//! Bridges and their ports.

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{
        BridgeStpState, InfoBridge, InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoPortKind,
        LinkAttribute, LinkInfo, LinkMessage,
    },
};
use nix::errno::Errno;

use super::{
    NetlinkError, Socket,
    error::Idempotent,
    link,
    mark::{self, Purpose},
};
use crate::{
    model::{IfName, Mac},
    plan::observed::LinkKind,
};

/// A port that fails closed: without a program, or beside it, nothing crosses the bridge from or to
/// it but frames between the host and MACs with a static entry.
pub const CLOSED: [InfoBridgePort; 5] = [
    InfoBridgePort::Isolated(true),
    InfoBridgePort::Learning(false),
    InfoBridgePort::UnicastFlood(false),
    InfoBridgePort::MulticastFlood(false),
    InfoBridgePort::BroadcastFlood(false),
];

/// Makes a bridge, down. One of that name with netd's mark is success; any other link is an error.
pub fn create(socket: &mut Socket, name: &IfName, mac: Mac, mtu: u32) -> Result<(), NetlinkError> {
    let mut message = LinkMessage::default();
    message.attributes = vec![
        LinkAttribute::IfName(name.as_str().to_owned()),
        LinkAttribute::Address(mac.0.to_vec()),
        LinkAttribute::Group(mark::HALF_MADE),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Bridge),
            LinkInfo::Data(InfoData::Bridge(vec![
                InfoBridge::StpState(BridgeStpState::Disabled),
                InfoBridge::MulticastSnooping(false),
                // Without VLANs there is no copy of each static entry in VLAN 1.
                InfoBridge::VlanDefaultPvid(0),
            ])),
        ]),
    ];
    socket
        .change(
            RouteNetlinkMessage::NewLink(message),
            NLM_F_CREATE | NLM_F_EXCL,
        )
        .or_fine(&[Errno::EEXIST])?;
    match link::find(socket, name)? {
        Some(found) if found.ours && found.kind == LinkKind::Bridge => {
            // Not given with the creation: only an MTU that was set later is kept by the bridge
            // when its ports come and go (BROPT_MTU_SET_BY_USER).
            link::set_at(socket, found.ifindex, vec![LinkAttribute::Mtu(mtu)])?;
            let alias = mark::alias(Purpose::Bridge, name.as_str());
            link::set_mark(socket, found.ifindex, alias)
        }
        // Not found although it exists: the name is somebody's alternative name.
        _ => Err(NetlinkError::NotOurs(name.to_string())),
    }
}

/// Enslaves a link to a bridge.
pub fn set_master(socket: &mut Socket, port: &IfName, bridge: &IfName) -> Result<(), NetlinkError> {
    let master = link::require(socket, bridge)?.ifindex;
    link::set(socket, port, LinkAttribute::Controller(master))
}

/// Sets a port's flags to [`CLOSED`].
pub fn close_port(socket: &mut Socket, port: &IfName) -> Result<(), NetlinkError> {
    let mut message = LinkMessage::default();
    message.header.index = link::require(socket, port)?.ifindex;
    message.attributes = vec![LinkAttribute::LinkInfo(vec![
        LinkInfo::PortKind(InfoPortKind::Bridge),
        LinkInfo::PortData(InfoPortData::BridgePort(CLOSED.to_vec())),
    ])];
    // Port data are only taken with RTM_NEWLINK (rtnl_changelink), not with RTM_SETLINK.
    socket.change(RouteNetlinkMessage::NewLink(message), 0)
}
