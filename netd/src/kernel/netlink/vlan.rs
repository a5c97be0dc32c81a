//! VLAN interfaces of the host, for macvlan networks to stand on.

use nix::errno::Errno;
use rtnetlink::LinkVlan;

use super::{
    NetlinkError, Socket,
    error::Idempotent,
    link,
    mark::{self, Purpose},
};
use crate::{model::IfName, plan::observed::LinkKind};

/// Makes a VLAN interface, down. One that is there with that number is success: if somebody else made
/// it, it stays theirs.
pub async fn create(
    socket: &Socket,
    name: &IfName,
    base: &IfName,
    id: u16,
) -> Result<(), NetlinkError> {
    let base = link::require(socket, base).await?.ifindex;
    let message = LinkVlan::new(name.as_str(), base, id)
        .link_group(mark::HALF_MADE)
        .build();
    let request = socket.handle().link().add(message);
    let made = socket.change(request.execute()).await;
    made.or_fine(&[Errno::EEXIST])?;
    match link::find(socket, name).await? {
        Some(found) if found.kind == LinkKind::Vlan(id) && found.ours => {
            let alias = mark::alias(Purpose::Parent, name.as_str());
            link::set_mark(socket, found.ifindex, alias).await
        }
        Some(found) if found.kind == LinkKind::Vlan(id) => Ok(()),
        _ => Err(NetlinkError::NotOurs(name.to_string())),
    }
}
