//! Numbers by which one network namespace knows others. The kernel gives one with the first veth
//! pair that reaches from here to there; events from there carry it.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use rtnetlink::packet_route::{
    RouteNetlinkMessage,
    nsid::{NsidAttribute, NsidMessage},
};

use super::{NetlinkError, Socket};

/// The number of a namespace as the socket's namespace knows it; `None` before the first veth pair.
pub async fn find(socket: &Socket, namespace: BorrowedFd<'_>) -> Result<Option<i32>, NetlinkError> {
    let mut message = NsidMessage::default();
    let fd = u32::try_from(namespace.as_raw_fd()).unwrap_or(u32::MAX);
    message.attributes = vec![NsidAttribute::Fd(fd)];
    match socket.get(RouteNetlinkMessage::GetNsId(message)).await {
        Ok(RouteNetlinkMessage::NewNsId(answer)) => Ok(answer
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                NsidAttribute::Id(id) => Some(*id),
                _ => None,
            })
            .filter(|id| *id >= 0)),
        Ok(other) => Err(NetlinkError::Answer(format!("{other:?}"))),
        Err(error) if error.errno() == Some(Errno::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}
