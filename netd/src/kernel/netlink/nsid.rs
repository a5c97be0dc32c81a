//! Numbers by which one network namespace knows others. The kernel gives one with the first veth
//! pair that reaches from here to there, or when it is asked to; events from there carry it.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use rtnetlink::packet_route::{
    RouteNetlinkMessage,
    nsid::{NsidAttribute, NsidMessage},
};

use super::{NetlinkError, Socket, error::Idempotent};

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

/// The number of a namespace; the kernel is asked to give it one where it has none.
pub async fn find_or_give(socket: &Socket, namespace: BorrowedFd<'_>) -> Result<i32, NetlinkError> {
    /// NETNSA_NSID_NOT_ASSIGNED: the kernel chooses.
    const ANY: i32 = -1;
    if let Some(number) = find(socket, namespace).await? {
        return Ok(number);
    }
    let mut message = NsidMessage::default();
    let fd = u32::try_from(namespace.as_raw_fd()).unwrap_or(u32::MAX);
    message.attributes = vec![NsidAttribute::Fd(fd), NsidAttribute::Id(ANY)];
    let given = socket.set(RouteNetlinkMessage::NewNsId(message)).await;
    // Somebody else asked at the same time.
    given.or_fine(&[Errno::EEXIST])?;
    let number = find(socket, namespace).await?;
    number.ok_or_else(|| NetlinkError::Answer("the namespace got no number".to_owned()))
}
