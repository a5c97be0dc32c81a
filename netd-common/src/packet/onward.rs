//! Where a flow leads: into a container or out through an uplink, with the rewrite it needs.

use super::{
    Tables, Work, flow, nat, rewrite, tables::Route, transport, verdict::Verdict, view::traits,
};
use crate::{
    DropReason,
    abi::{
        endpoint::{Endpoint, EndpointKey, flags},
        flow::{Flow, flow_flags},
        host::uplink_flags,
    },
};

/// Flags of a half whose packets leave masqueraded.
const LEAVING: u16 = flow_flags::ORIGINAL | flow_flags::MASQUERADE;

/// Carries a packet from `zone` along its flow, if it has one that holds. Outside (zone 0) comes
/// in by an uplink; else the source in `work` is who sends.
///
/// # Errors
/// Why the packet cannot go where the flow leads.
pub fn along_flow<T: Tables>(
    tables: &mut T,
    zone: u32,
    work: &mut Work,
) -> Result<Option<Verdict>, DropReason> {
    transport::key(&work.view, zone, &mut work.key);
    if !flow::find(tables, work)? {
        return Ok(None);
    }
    if zone == 0 {
        work.outcome.network = work.flow.network;
    }
    let verdict = follow(tables, zone, work)?;
    if verdict.is_none() {
        flow::forget(tables, work);
    }
    Ok(verdict)
}

/// `None` where the flow no longer holds: its endpoint or the rules are others by now.
fn follow<T: Tables>(
    tables: &mut T,
    zone: u32,
    work: &mut Work,
) -> Result<Option<Verdict>, DropReason> {
    let flow = &work.flow;
    if flow.epoch != tables.config().epoch {
        return Ok(None);
    }
    let to_endpoint = flow.flags & flow_flags::TO_ENDPOINT != 0;
    let from_party = zone != 0 && is_party(&work.source, flow);
    if !to_endpoint && !from_party {
        return Ok(None);
    }
    if flow.twin_zone == 0 {
        let masquerades = flow.flags & LEAVING == LEAVING;
        exit(tables, work, true)?;
        if masquerades && !nat::still_fits(tables, work) {
            return Ok(None);
        }
        return go(work).map(Some);
    }
    let key = EndpointKey {
        network: flow.twin_zone,
        address: flow.destination,
    };
    if !tables.endpoint(&key, &mut work.target) {
        return if to_endpoint {
            Ok(None)
        } else {
            Err(DropReason::StaleEndpoint)
        };
    }
    if to_endpoint && !is_party(&work.target, &work.flow) {
        return Ok(None);
    }
    if work.target.flags & flags::UP == 0 {
        return Err(DropReason::EndpointDown);
    }
    go(work).map(Some)
}

/// Whether this is the endpoint inside that the flow began with.
pub(super) fn is_party(endpoint: &Endpoint, flow: &Flow) -> bool {
    endpoint.index == flow.endpoint && endpoint.generation == flow.generation
}

/// Where the flow in `work` leads, one hop further: into the target, from its gateway, or out
/// through the uplink that [`exit`] found, for which the kernel writes the Ethernet header; to the
/// host's stack where it is too big for that.
///
/// # Errors
/// [`DropReason::TtlExpired`].
pub fn go(work: &mut Work) -> Result<Verdict, DropReason> {
    let hops = rewrite::next_hop(&work.view.ip)?;
    let leaves = work.flow.twin_zone == 0;
    if leaves && work.view.ip.traits & traits::OVERSIZE != 0 {
        // The stack fragments it, and counts the hop; `to_uplink` translates what comes of it.
        rewrite::ethernet(work, work.source.gateway_mac, work.source.mac);
        return Ok(Verdict::Host);
    }
    rewrite::translate(work, hops);
    if leaves {
        work.left = u32::from(work.flow.flags & LEAVING == LEAVING);
        return Ok(Verdict::Neighbour);
    }
    rewrite::ethernet(work, work.target.mac, work.target.gateway_mac);
    work.aim_at_target();
    Ok(Verdict::Peer)
}

/// The host's way from the source in `work` to the packet's destination: interface and next hop
/// in the outcome, the uplink beside it. `in_flow`: its flow is in `work`. What answers a published
/// port goes where the host's own answers from the dialled address go, everything else where the
/// container's packets go.
///
/// # Errors
/// [`DropReason::Prohibited`], [`DropReason::NoRoute`], [`DropReason::NotUplink`];
/// [`DropReason::TooBig`], but for IPv4 that may be fragmented.
// Inlined: behind a call, with all the ways back from it, `icmp` costs 6.1's verifier seven times as much.
#[inline(always)]
pub fn exit<T: Tables>(tables: &mut T, work: &mut Work, in_flow: bool) -> Result<(), DropReason> {
    let answers = in_flow && work.flow.flags & flow_flags::PUBLISHED != 0;
    let source = if answers {
        &work.flow.source
    } else {
        &work.view.ip.source
    };
    let route = tables.route(work.source.bridge, source, &work.view);
    let ifindex = match route {
        Route::Via {
            ifindex,
            next_hop,
            resolved,
        } => {
            work.outcome.ifindex = ifindex;
            work.outcome.unresolved = u32::from(!resolved);
            work.outcome.next_hop = next_hop;
            ifindex
        }
        Route::Prohibited => return Err(DropReason::Prohibited),
        Route::None => return Err(DropReason::NoRoute),
    };
    if !tables.uplink(ifindex, &mut work.uplink) {
        return Err(DropReason::NotUplink);
    }
    let too_big = if work.uplink.flags & uplink_flags::L3 == 0 {
        tables.too_big(ifindex)
    } else {
        tables.too_big_headerless(ifindex, work.view.ip.length)
    };
    if too_big {
        let ip = &mut work.view.ip;
        if ip.traits & (traits::IS_V4 | traits::DONT_FRAGMENT) != traits::IS_V4 {
            return Err(DropReason::TooBig);
        }
        ip.traits |= traits::OVERSIZE;
    }
    Ok(())
}
