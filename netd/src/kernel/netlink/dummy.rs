//! Dummy links of the host, for macvlan networks that lead nowhere.

use nix::errno::Errno;
use rtnetlink::LinkDummy;

use super::{
    NetlinkError, Socket,
    error::Idempotent,
    link,
    mark::{self, Purpose},
};
use crate::{model::IfName, plan::observed::LinkKind};

/// Makes a dummy link, down. One of that name with netd's mark is success.
pub async fn create(socket: &Socket, name: &IfName, mtu: Option<u32>) -> Result<(), NetlinkError> {
    let mut message = LinkDummy::new(name.as_str()).link_group(mark::HALF_MADE);
    if let Some(mtu) = mtu {
        message = message.mtu(mtu);
    }
    let request = socket.handle().link().add(message.build());
    let made = socket.change(request.execute()).await;
    made.or_fine(&[Errno::EEXIST])?;
    match link::find(socket, name).await? {
        Some(found) if found.ours && found.kind == LinkKind::Dummy => {
            let alias = mark::alias(Purpose::Parent, name.as_str());
            link::set_mark(socket, found.ifindex, alias).await
        }
        _ => Err(NetlinkError::NotOurs(name.to_string())),
    }
}
