//! Bridges and their ports.

use nix::errno::Errno;
use rtnetlink::{
    LinkBridge, LinkBridgePort, LinkMessageBuilder, LinkUnspec,
    packet_route::link::{BridgeStpState, InfoBridgePort},
};

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
pub async fn create(
    socket: &Socket,
    name: &IfName,
    mac: Mac,
    mtu: u32,
) -> Result<(), NetlinkError> {
    // Not `LinkBridge::new`, which sets it up.
    let message = LinkMessageBuilder::<LinkBridge>::new(name.as_str())
        .address(mac.0.to_vec())
        .link_group(mark::HALF_MADE)
        .stp_state(BridgeStpState::Disabled)
        .mcast_snooping(false)
        // Without VLANs there is no copy of each static entry in VLAN 1.
        .vlan_default_pvid(0)
        .build();
    let request = socket.handle().link().add(message);
    let made = socket.change(request.execute()).await;
    made.or_fine(&[Errno::EEXIST])?;
    match link::find(socket, name).await? {
        Some(found) if found.ours && found.kind == LinkKind::Bridge => {
            // Not given with the creation: only an MTU that was set later is kept by the bridge
            // when its ports come and go (BROPT_MTU_SET_BY_USER).
            link::set_at(socket, LinkUnspec::new_with_index(found.ifindex).mtu(mtu)).await?;
            let alias = mark::alias(Purpose::Bridge, name.as_str());
            link::set_mark(socket, found.ifindex, alias).await
        }
        // Not found although it exists: the name is somebody's alternative name.
        _ => Err(NetlinkError::NotOurs(name.to_string())),
    }
}

/// Enslaves a link to a bridge.
pub async fn set_master(
    socket: &Socket,
    port: &IfName,
    bridge: &IfName,
) -> Result<(), NetlinkError> {
    let master = link::require(socket, bridge).await?.ifindex;
    let port = link::require(socket, port).await?.ifindex;
    link::set_at(socket, LinkUnspec::new_with_index(port).controller(master)).await
}

/// Sets a port's flags to [`CLOSED`].
pub async fn close_port(socket: &Socket, port: &IfName) -> Result<(), NetlinkError> {
    let port = LinkBridgePort::new(link::require(socket, port).await?.ifindex);
    let port = CLOSED
        .into_iter()
        .fold(port, LinkMessageBuilder::<LinkBridgePort>::append_info_data);
    let request = socket.handle().link().set_port(port.build());
    socket.change(request.execute()).await
}
