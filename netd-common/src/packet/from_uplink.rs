//! What arrives at an uplink. Replies to flows and packets to published ports are netd's; a
//! container's address is not for dialling from outside; everything else is left alone.

use super::{
    Packet, Tables, Work, icmp_error, nat, onward, published, transport, verdict::Verdict, view,
};
use crate::DropReason;

/// Decides about a packet that came in by an uplink.
pub fn decide<P: Packet, T: Tables>(packet: &P, tables: &mut T, work: &mut Work) -> Verdict {
    work.begin();
    judge(packet, tables, work).unwrap_or_else(|reason| icmp_error::refused(reason, 0, work))
}

fn judge<P: Packet, T: Tables>(
    packet: &P,
    tables: &mut T,
    work: &mut Work,
) -> Result<Verdict, DropReason> {
    match view::read(packet, &mut work.view) {
        Ok(()) => {}
        Err(DropReason::MappedAddress) => return Err(DropReason::MappedAddress),
        // Not IP, or malformed: the kernel counts its own.
        Err(_) => return Ok(Verdict::Pass),
    }
    let ip = &work.view.ip;
    if ip.source.is_loopback() || ip.destination.is_loopback() {
        return Err(DropReason::LoopbackAddress);
    }
    if ip.destination.is_multicast() {
        return Ok(Verdict::Pass);
    }
    // What is cut belongs to nothing of netd's.
    if transport::read(packet, &mut work.view).is_ok() && work.view.transport.is_known() {
        if let Some(verdict) = onward::along_flow(tables, 0, work)? {
            return Ok(verdict);
        }
        if let Some(verdict) = to_published(tables, work)? {
            return Ok(verdict);
        }
    } else if icmp_error::concerns_flow(packet, 0, tables, work) {
        return Ok(Verdict::IcmpError);
    }
    if let Some(subnet) = tables.subnet(&work.view.ip.destination) {
        work.outcome.network = subnet.network;
        return Err(DropReason::DirectRouting);
    }
    Ok(Verdict::Pass)
}

/// To a published port, if it is one and a flow may begin. The container sees the client's own
/// address.
fn to_published<T: Tables>(tables: &mut T, work: &mut Work) -> Result<Option<Verdict>, DropReason> {
    if !published::find(tables, work) {
        return Ok(None);
    }
    let source = work.view.ip.source;
    // Nobody outside has such an address; and what neither begins nor belongs to a flow gets
    // the answer of a host that does not know the connection.
    if source.is_multicast() || source.is_unspecified() || !work.view.transport.may_begin() {
        return Ok(None);
    }
    work.outcome.network = work.port.network;
    work.view.ip.unobstructed()?;
    if tables.subnet(&source).is_some() || tables.host_address(&source).is_some() {
        return Err(DropReason::SpoofedAddress);
    }
    published::target(tables, work)?;
    published::prepare(&source, work);
    nat::open(tables, work)?;
    onward::go(work).map(Some)
}
