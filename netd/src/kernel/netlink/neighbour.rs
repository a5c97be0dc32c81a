//! Permanent neighbours. Learned ones are the kernel's and are not looked at.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState},
};
use nix::errno::Errno;

use super::{NetlinkError, Socket, error::Idempotent, link, route::family};
use crate::model::{IfName, Mac};

/// Adds or replaces a permanent neighbour.
pub fn add(
    socket: &mut Socket,
    name: &IfName,
    address: IpAddr,
    mac: Mac,
) -> Result<(), NetlinkError> {
    let mut message = request(link::require(socket, name)?.ifindex, address);
    message.header.state = NeighbourState::Permanent;
    message
        .attributes
        .push(NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()));
    socket.change(
        RouteNetlinkMessage::NewNeighbour(message),
        NLM_F_CREATE | NLM_F_REPLACE,
    )
}

/// Removes a neighbour; one that is not there, or whose link is not, is success.
pub fn remove(socket: &mut Socket, name: &IfName, address: IpAddr) -> Result<(), NetlinkError> {
    let Some(link) = link::find(socket, name)? else {
        return Ok(());
    };
    let message = RouteNetlinkMessage::DelNeighbour(request(link.ifindex, address));
    socket
        .change(message, 0)
        .or_fine(&[Errno::ENOENT, Errno::ENODEV])
}

/// The MAC of one permanent neighbour.
pub fn find(
    socket: &mut Socket,
    ifindex: u32,
    address: IpAddr,
) -> Result<Option<Mac>, NetlinkError> {
    match socket.get(RouteNetlinkMessage::GetNeighbour(request(ifindex, address))) {
        Ok(answer) => Ok(read(&answer).map(|(_, _, mac)| mac)),
        Err(error) if matches!(error.errno(), Some(Errno::ENOENT | Errno::ENODEV)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// All permanent neighbours of the namespace, with the link's index.
pub fn list(socket: &mut Socket) -> Result<Vec<(u32, IpAddr, Mac)>, NetlinkError> {
    let mut found = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = NeighbourMessage::default();
        message.header.family = family;
        let answer = socket.dump(RouteNetlinkMessage::GetNeighbour(message))?;
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
