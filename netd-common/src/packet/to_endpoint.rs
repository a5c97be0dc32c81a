//! What the host's stack sends to a container. The host itself may; what it forwards from
//! elsewhere may only where a flow says so, so that a foreign ip_forward=1 opens nothing.

use super::{
    Packet, Tables, flow, rewrite, transport,
    verdict::{Decision, Rewrite, Verdict},
    view::{self},
};
use crate::{
    DropReason,
    abi::{endpoint::Endpoint, flow::flow_flags},
};

/// Decides about a packet on its way to the host side `ifindex` of an endpoint. `forwarded`: it
/// came into the host by some interface, rather than from the host itself.
pub fn decide<P: Packet, T: Tables>(
    packet: &P,
    ifindex: u32,
    forwarded: bool,
    tables: &mut T,
) -> Decision {
    let Some(target) = tables.interface(ifindex) else {
        return Decision::unknown(Verdict::Drop(DropReason::UnknownInterface));
    };
    Decision {
        verdict: judge(packet, &target, forwarded, tables).unwrap_or_else(Verdict::Drop),
        network: target.network,
        endpoint: target.index,
    }
}

fn judge<P: Packet, T: Tables>(
    packet: &P,
    target: &Endpoint,
    forwarded: bool,
    tables: &mut T,
) -> Result<Verdict, DropReason> {
    let frame = view::frame(packet)?;
    let ip = view::ip(packet, &frame).map_err(|reason| match reason {
        // ARP among them: neighbours are permanent entries, nobody need ask.
        DropReason::UnknownEthertype => DropReason::HostTraffic,
        other => other,
    })?;
    if ip.destination.is_multicast() {
        return Err(DropReason::HostTraffic);
    }
    if !forwarded {
        return Ok(Verdict::Host(Rewrite::default()));
    }
    let Ok(Some(transport)) = transport::read(packet, &ip) else {
        return Err(DropReason::DirectRouting);
    };
    let key = transport.key(0, &ip);
    let flow = flow::find(tables, &key, &transport, ip.length)?.ok_or(DropReason::DirectRouting)?;
    if let Some(obstacle) = ip.obstacle {
        return Err(obstacle);
    }
    if flow.flags & flow_flags::TO_ENDPOINT == 0 || flow.twin_zone != target.network {
        return Err(DropReason::DirectRouting);
    }
    if flow.endpoint != target.index
        || flow.generation != target.generation
        || flow.epoch != tables.config().epoch
    {
        return Err(DropReason::StaleEndpoint);
    }
    let mut rewrite = Rewrite::default();
    rewrite::translate(&mut rewrite, &ip, &transport, &flow);
    Ok(Verdict::Host(rewrite))
}
