//! Where a flow leads: into a container or out through an uplink, with the rewrite it needs.

use super::{
    Tables, rewrite,
    tables::Route,
    transport::Transport,
    verdict::{Rewrite, Verdict},
    view::{Frame, Ip},
};
use crate::{
    Addr, DropReason,
    abi::{
        endpoint::{Endpoint, EndpointKey, flags},
        flow::{Flow, flow_flags},
        host::{Uplink, uplink_flags},
    },
};

/// A packet that belongs to a flow.
pub struct Carried<'a> {
    /// Its Ethernet header.
    pub frame: &'a Frame,
    /// Its IP header.
    pub ip: &'a Ip,
    /// Its transport header.
    pub transport: &'a Transport,
}

/// Carries a packet along its flow, from the endpoint `source` or, without one, from an uplink.
/// `None` where the flow no longer holds: its endpoint or the rules are others by now.
///
/// # Errors
/// Why the packet cannot go where the flow leads.
pub fn follow<T: Tables>(
    tables: &mut T,
    packet: &Carried<'_>,
    flow: &Flow,
    source: Option<&Endpoint>,
) -> Result<Option<Verdict>, DropReason> {
    if flow.epoch != tables.config().epoch {
        return Ok(None);
    }
    let to_endpoint = flow.flags & flow_flags::TO_ENDPOINT != 0;
    if !to_endpoint && !source.is_some_and(|source| is_party(source, flow)) {
        return Ok(None);
    }
    if flow.twin_zone == 0 {
        return match source {
            Some(source) => {
                let exit = exit(tables, source, packet.ip)?;
                out(packet, flow, &exit).map(Some)
            }
            None => Ok(None),
        };
    }
    let key = EndpointKey {
        network: flow.twin_zone,
        address: flow.destination,
    };
    match tables.endpoint(&key) {
        Some(target) if to_endpoint && !is_party(&target, flow) => Ok(None),
        Some(target) if target.flags & flags::UP == 0 => Err(DropReason::EndpointDown),
        Some(target) => into(packet, flow, &target).map(Some),
        None if to_endpoint => Ok(None),
        None => Err(DropReason::StaleEndpoint),
    }
}

/// Whether this is the endpoint inside that the flow began with.
fn is_party(endpoint: &Endpoint, flow: &Flow) -> bool {
    endpoint.index == flow.endpoint && endpoint.generation == flow.generation
}

/// Into the container, one hop further, from its gateway.
///
/// # Errors
/// [`DropReason::TtlExpired`].
pub fn into(packet: &Carried<'_>, flow: &Flow, target: &Endpoint) -> Result<Verdict, DropReason> {
    let mut rewrite = rewrite::ethernet(packet.frame, target.mac, target.gateway_mac);
    rewrite::next_hop(&mut rewrite, packet.ip)?;
    rewrite::translate(&mut rewrite, packet.ip, packet.transport, flow);
    Ok(Verdict::Peer {
        ifindex: target.ifindex,
        endpoint: target.index,
        rewrite,
    })
}

/// Out through an uplink, one hop further; the kernel writes the Ethernet header.
///
/// # Errors
/// [`DropReason::TtlExpired`].
pub fn out(packet: &Carried<'_>, flow: &Flow, exit: &Exit) -> Result<Verdict, DropReason> {
    let mut rewrite = Rewrite::default();
    rewrite::next_hop(&mut rewrite, packet.ip)?;
    rewrite::translate(&mut rewrite, packet.ip, packet.transport, flow);
    Ok(Verdict::Neighbour {
        ifindex: exit.ifindex,
        next_hop: exit.next_hop,
        rewrite,
    })
}

/// Where a packet leaves the host.
pub struct Exit {
    /// The uplink.
    pub ifindex: u32,
    /// The next hop's address.
    pub next_hop: Addr,
    /// What the agent says of the uplink.
    pub uplink: Uplink,
}

/// The host's way to the packet's destination.
///
/// # Errors
/// [`DropReason::Prohibited`], [`DropReason::NoRoute`]; [`DropReason::NotUplink`], also for
/// uplinks without Ethernet headers, which are not carried; [`DropReason::TooBig`].
pub fn exit<T: Tables>(tables: &mut T, source: &Endpoint, ip: &Ip) -> Result<Exit, DropReason> {
    let (ifindex, next_hop) =
        match tables.route(source.bridge, &ip.source, &ip.destination, ip.protocol) {
            Route::Via { ifindex, next_hop } => (ifindex, next_hop),
            Route::Prohibited => return Err(DropReason::Prohibited),
            Route::None => return Err(DropReason::NoRoute),
        };
    let uplink = tables.uplink(ifindex).ok_or(DropReason::NotUplink)?;
    if uplink.flags & uplink_flags::L3 != 0 {
        return Err(DropReason::NotUplink);
    }
    if tables.too_big(ifindex) {
        return Err(DropReason::TooBig);
    }
    Ok(Exit {
        ifindex,
        next_hop,
        uplink,
    })
}
