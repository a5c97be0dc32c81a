//! What arrives at an uplink. Replies to flows and packets to published ports are netd's; a
//! container's address is not for dialling from outside; everything else is left alone.

use super::{
    Packet, Tables, flow, from_endpoint,
    onward::{self, Carried},
    published,
    transport::{self, Transport},
    verdict::{Decision, Verdict},
    view::{self, Frame, Ip},
};
use crate::DropReason;

/// Decides about a packet that came in by an uplink.
pub fn decide<P: Packet, T: Tables>(packet: &P, tables: &mut T) -> Decision {
    let mut network = 0;
    let verdict = judge(packet, tables, &mut network).unwrap_or_else(Verdict::Drop);
    Decision {
        verdict,
        network,
        endpoint: 0,
    }
}

/// `network` becomes the one that the packet is about, where that is known.
fn judge<P: Packet, T: Tables>(
    packet: &P,
    tables: &mut T,
    network: &mut u32,
) -> Result<Verdict, DropReason> {
    let Ok(frame) = view::frame(packet) else {
        return Ok(Verdict::Pass);
    };
    let ip = match view::ip(packet, &frame) {
        Ok(ip) => ip,
        Err(DropReason::MappedAddress) => return Err(DropReason::MappedAddress),
        // The kernel counts its own malformed packets.
        Err(_) => return Ok(Verdict::Pass),
    };
    if ip.source.is_loopback() || ip.destination.is_loopback() {
        return Err(DropReason::LoopbackAddress);
    }
    if ip.destination.is_multicast() {
        return Ok(Verdict::Pass);
    }
    if let Ok(Some(transport)) = transport::read(packet, &ip) {
        if let Some(verdict) = along_flow(&frame, &ip, &transport, tables, network)? {
            return Ok(verdict);
        }
        if let Some(verdict) = to_published(&frame, &ip, &transport, tables, network)? {
            return Ok(verdict);
        }
    }
    if let Some(subnet) = tables.subnet(&ip.destination) {
        *network = subnet.network;
        return Err(DropReason::DirectRouting);
    }
    Ok(Verdict::Pass)
}

fn along_flow<T: Tables>(
    frame: &Frame,
    ip: &Ip,
    transport: &Transport,
    tables: &mut T,
    network: &mut u32,
) -> Result<Option<Verdict>, DropReason> {
    let key = transport.key(0, ip);
    let Some(flow) = flow::find(tables, &key, transport, ip.length)? else {
        return Ok(None);
    };
    *network = flow.network;
    if let Some(obstacle) = ip.obstacle {
        return Err(obstacle);
    }
    let packet = Carried {
        frame,
        ip,
        transport,
    };
    let verdict = onward::follow(tables, &packet, &flow, None)?;
    if verdict.is_none() {
        flow::forget(tables, &key, &flow);
    }
    Ok(verdict)
}

/// To a published port, if it is one and a flow may begin. The container sees the client's own
/// address.
fn to_published<T: Tables>(
    frame: &Frame,
    ip: &Ip,
    transport: &Transport,
    tables: &mut T,
    network: &mut u32,
) -> Result<Option<Verdict>, DropReason> {
    let Some(port) = published::find(tables, ip, transport) else {
        return Ok(None);
    };
    // Nobody outside has such an address; and what neither begins nor belongs to a flow gets
    // the answer of a host that does not know the connection.
    if ip.source.is_multicast() || ip.source.is_unspecified() || !transport.may_begin() {
        return Ok(None);
    }
    *network = port.network;
    if let Some(obstacle) = ip.obstacle {
        return Err(obstacle);
    }
    if tables.subnet(&ip.source).is_some() || tables.host_address(&ip.source).is_some() {
        return Err(DropReason::SpoofedAddress);
    }
    let target = published::target(tables, &port)?;
    let flow = published::flow(&port, &ip.source, transport);
    let key = transport.key(0, ip);
    let flow = from_endpoint::begin(tables, &key, flow, transport, ip)?;
    let packet = Carried {
        frame,
        ip,
        transport,
    };
    onward::into(&packet, &flow, &target).map(Some)
}
