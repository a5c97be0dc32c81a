//! Permanent neighbours. Learned ones are the kernel's and are not looked at.

use std::net::IpAddr;

use nix::errno::Errno;
use rtnetlink::packet_route::{
    AddressFamily, RouteNetlinkMessage,
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState},
};

use super::{NetlinkError, Socket, error::Idempotent, link, route::family};
use crate::model::{IfName, Mac};

/// Adds or replaces a permanent neighbour.
pub async fn add(
    socket: &Socket,
    name: &IfName,
    address: IpAddr,
    mac: Mac,
) -> Result<(), NetlinkError> {
    let ifindex = link::require(socket, name).await?.ifindex;
    let neighbours = socket.handle().neighbours();
    let request = neighbours
        .add(ifindex, address)
        .state(NeighbourState::Permanent)
        .link_layer_address(&mac.0)
        .replace();
    socket.change(request.execute()).await
}

/// Removes a neighbour; one that is not there, or whose link is not, is success.
pub async fn remove(socket: &Socket, name: &IfName, address: IpAddr) -> Result<(), NetlinkError> {
    let Some(link) = link::find(socket, name).await? else {
        return Ok(());
    };
    let neighbours = socket.handle().neighbours();
    let request = neighbours.del(request(link.ifindex, address));
    let removed = socket.change(request.execute()).await;
    removed.or_fine(&[Errno::ENOENT, Errno::ENODEV])
}

/// The MAC of one permanent neighbour.
pub async fn find(
    socket: &Socket,
    ifindex: u32,
    address: IpAddr,
) -> Result<Option<Mac>, NetlinkError> {
    let message = RouteNetlinkMessage::GetNeighbour(request(ifindex, address));
    match socket.get(message).await {
        Ok(answer) => Ok(read(&answer).map(|(_, _, mac)| mac)),
        Err(error) if matches!(error.errno(), Some(Errno::ENOENT | Errno::ENODEV)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// All permanent neighbours of the namespace, with the link's index.
pub async fn list(socket: &Socket) -> Result<Vec<(u32, IpAddr, Mac)>, NetlinkError> {
    let mut found = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = NeighbourMessage::default();
        message.header.family = family;
        let message = RouteNetlinkMessage::GetNeighbour(message);
        let answer = socket.dump(message).await?;
        found.extend(answer.iter().filter_map(read));
    }
    Ok(found)
}

fn request(ifindex: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(address);
    message.header.ifindex = ifindex;
    message.attributes = vec![NeighbourAttribute::Destination(address.into())];
    message
}

fn read(message: &RouteNetlinkMessage) -> Option<(u32, IpAddr, Mac)> {
    let RouteNetlinkMessage::NewNeighbour(message) = message else {
        return None;
    };
    if message.header.state != NeighbourState::Permanent {
        return None;
    }
    let (mut address, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => {
                address = Some(IpAddr::V4(*v4));
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => {
                address = Some(IpAddr::V6(*v6));
            }
            NeighbourAttribute::LinkLayerAddress(bytes) => {
                mac = bytes.as_slice().try_into().ok().map(Mac);
            }
            _ => {}
        }
    }
    Some((message.header.ifindex, address?, mac?))
}
