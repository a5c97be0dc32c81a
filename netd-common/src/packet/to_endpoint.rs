//! What the host's stack sends to a container. The host itself may; so may the bridge, what another
//! endpoint of the network sends to a group; what is forwarded from elsewhere may only where a flow says
//! so, so that a foreign ip_forward=1 opens nothing.

use super::{
    Packet, Tables, Work, flow,
    fragment::{self, Cut},
    group, rewrite, transport,
    verdict::Verdict,
    view,
};
use crate::{
    DropReason,
    abi::{flow::flow_flags, fragment::arrival},
};

/// Decides about a packet on its way to the host side `ifindex` of an endpoint. `ingress`: the
/// interface that it came into the host by, 0 where it is from the host itself.
pub fn decide<P: Packet, T: Tables>(
    packet: &P,
    ifindex: u32,
    ingress: u32,
    tables: &mut T,
    work: &mut Work,
) -> Verdict {
    work.begin();
    if !tables.interface(ifindex, &mut work.target) {
        return Verdict::Drop(DropReason::UnknownInterface);
    }
    work.outcome.network = work.target.network;
    work.outcome.endpoint = work.target.index;
    judge(packet, ingress, tables, work).unwrap_or_else(Verdict::Drop)
}

fn judge<P: Packet, T: Tables>(
    packet: &P,
    ingress: u32,
    tables: &mut T,
    work: &mut Work,
) -> Result<Verdict, DropReason> {
    view::read(packet, &mut work.view).map_err(|reason| match reason {
        // ARP among them: neighbours are permanent entries, nobody need ask.
        DropReason::UnknownEthertype => DropReason::HostTraffic,
        other => other,
    })?;
    if ingress == 0 {
        return Ok(Verdict::Host);
    }
    if work.view.frame.is_group() {
        return group::receive(ingress, tables, work);
    }
    if work.view.ip.destination.is_multicast() {
        return Err(DropReason::HostTraffic);
    }
    transport::read(packet, &mut work.view)?;
    if fragment::attribute(arrival::ENTERING, tables, work) == Cut::Waits {
        return Err(DropReason::Fragment);
    }
    from_elsewhere(tables, work)
}

/// What the host's stack forwards: only along a flow from outside towards this very endpoint.
fn from_elsewhere<T: Tables>(tables: &mut T, work: &mut Work) -> Result<Verdict, DropReason> {
    transport::key(&work.view, 0, &mut work.key);
    if !work.view.transport.is_known() || !flow::find(tables, work)? {
        return Err(DropReason::DirectRouting);
    }
    let (flow, target) = (&work.flow, &work.target);
    if flow.flags & flow_flags::TO_ENDPOINT == 0 || flow.twin_zone != target.network {
        return Err(DropReason::DirectRouting);
    }
    if flow.endpoint != target.index
        || flow.generation != target.generation
        || flow.epoch != tables.config().epoch
    {
        return Err(DropReason::StaleEndpoint);
    }
    rewrite::translate(work, work.view.ip.hops);
    Ok(Verdict::Host)
}
