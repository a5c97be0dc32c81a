//! What arrives at an uplink. Replies to flows and packets to published ports are netd's; a
//! container's address is for dialling from outside only where its network says so; everything else
//! is left alone.

use super::{
    Packet, Tables, Work, direct,
    fragment::{self, Cut},
    icmp_error, nat, onward, published, transport,
    verdict::Verdict,
    view::{self, traits},
};
use crate::{DropReason, abi::fragment::arrival};

/// Decides about a packet that came in by the uplink `ifindex`.
pub fn decide<P: Packet, T: Tables>(
    packet: &P,
    ifindex: u32,
    tables: &mut T,
    work: &mut Work,
) -> Verdict {
    work.begin();
    judge(packet, ifindex, tables, work)
        .unwrap_or_else(|reason| icmp_error::refused(reason, 0, work))
}

fn judge<P: Packet, T: Tables>(
    packet: &P,
    ifindex: u32,
    tables: &mut T,
    work: &mut Work,
) -> Result<Verdict, DropReason> {
    // For a VLAN of this link, which is an uplink of its own.
    if packet.is_tagged() {
        return Ok(Verdict::Pass);
    }
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
    // What ends within its transport header belongs to nothing of netd's.
    let is_whole = transport::read(packet, &mut work.view).is_ok();
    work.awaited = 0;
    if is_whole
        && work.view.ip.traits & traits::FRAGMENT != 0
        && attribute(tables, work) == Cut::Waits
    {
        return Ok(Verdict::Fragment);
    }
    if is_whole && work.view.transport.is_known() {
        let mut verdict = onward::along_flow(tables, 0, work)?;
        if verdict.is_none() {
            verdict = to_published(tables, work)?;
        }
        match verdict {
            // Comes in once more, and then those that wait for it.
            Some(_) if work.awaited != 0 => return Ok(Verdict::Fragment),
            Some(verdict) => return Ok(verdict),
            None => {}
        }
    } else if icmp_error::concerns_flow(packet, 0, tables, work) {
        return Ok(Verdict::IcmpError);
    }
    if let Some(subnet) = tables.subnet(&work.view.ip.destination) {
        if direct::is_for_the_host(tables, &subnet, ifindex, work) {
            return Ok(Verdict::Pass);
        }
        work.outcome.network = subnet.network;
        direct::from_outside(tables, &subnet, ifindex, work)?;
        nat::open(tables, work)?;
        let verdict = onward::go(work)?;
        return Ok(if work.awaited != 0 {
            Verdict::Fragment
        } else {
            verdict
        });
    }
    Ok(Verdict::Pass)
}

/// A fragment for the host or a container: it may be netd's. The host's stack gets it in any case
/// where its first one is not known yet: it may be the host's as well.
// Not inlined: a rare case, whose paths would multiply those of the hook.
#[inline(never)]
fn attribute<T: Tables>(tables: &mut T, work: &mut Work) -> Cut {
    let destination = &work.view.ip.destination;
    work.passes = u32::from(tables.host_address(destination).is_some());
    if work.passes == 0 && tables.subnet(destination).is_none() {
        return Cut::Known;
    }
    let cut = fragment::attribute(arrival::OUTSIDE, tables, work);
    // In memory, and looked for at the end alone: a register would double what the verifier walks.
    work.awaited = u32::from(cut == Cut::Awaited);
    cut
}

/// To a published port, if it is one and a flow may begin. The container sees the client's own
/// address.
// Inlined though two programs call it, as is what begins flows from outside: what comes back from a call
// is walked on with once for each way to it.
#[inline(always)]
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
    if tables.subnet(&source).is_some() || tables.host_address(&source).is_some() {
        return Err(DropReason::SpoofedAddress);
    }
    published::target(tables, work)?;
    published::prepare(&source, work);
    nat::open(tables, work)?;
    onward::go(work).map(Some)
}
