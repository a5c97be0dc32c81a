//! What a container sends. All of it is netd's: it is delivered, goes to the host for one of the
//! host's addresses, leaves through an uplink, is answered, or is dropped for a named reason.

use super::{
    Packet, Tables, arp, flow, nat, neighbour,
    onward::{self, Carried},
    published, rewrite,
    transport::{self, Transport},
    verdict::{Decision, Verdict},
    view::{self, Frame, Ip, ethertype, protocol},
};
use crate::{
    Addr, DropReason,
    abi::{
        endpoint::{Endpoint, EndpointKey, flags},
        flow::{Flow, FlowKey, flow_flags},
    },
    limits::RESOLVER_PORT,
};

/// Decides about a packet that came in by the host side `ifindex` of an endpoint.
pub fn decide<P: Packet, T: Tables>(packet: &P, ifindex: u32, tables: &mut T) -> Decision {
    let Some(source) = tables.interface(ifindex) else {
        return Decision::unknown(Verdict::Drop(DropReason::UnknownInterface));
    };
    Decision {
        verdict: judge(packet, &source, tables).unwrap_or_else(Verdict::Drop),
        network: source.network,
        endpoint: source.index,
    }
}

fn judge<P: Packet, T: Tables>(
    packet: &P,
    source: &Endpoint,
    tables: &mut T,
) -> Result<Verdict, DropReason> {
    let frame = view::frame(packet)?;
    if frame.source != source.mac {
        return Err(DropReason::SpoofedMac);
    }
    if frame.ethertype == ethertype::ARP {
        return arp::answer(packet, &frame, source, tables);
    }
    let ip = view::ip(packet, &frame)?;
    if let Some(verdict) = neighbour::answer(packet, &frame, &ip, source, tables)? {
        return Ok(verdict);
    }
    if ip.source.is_loopback() || ip.destination.is_loopback() {
        return Err(DropReason::LoopbackAddress);
    }
    if ip.destination.is_multicast() {
        return Err(DropReason::Multicast);
    }
    if source.flags & flags::IS_RESOLVER != 0 {
        return from_resolver(&frame, &ip, tables);
    }
    check_source(&ip, source, tables)?;
    if source.gateways.contains(&ip.destination) {
        if let Some(verdict) = to_resolver(packet, &frame, &ip, source, tables)? {
            return Ok(verdict);
        }
    } else if let Some(target) = neighbour_endpoint(&ip, source, tables) {
        return same_network(packet, &frame, &ip, source, &target, tables);
    }
    elsewhere(packet, &frame, &ip, source, tables)
}

/// The resolver may answer any endpoint, whatever address it answers from.
fn from_resolver<T: Tables>(frame: &Frame, ip: &Ip, tables: &mut T) -> Result<Verdict, DropReason> {
    let subnet = tables
        .subnet(&ip.destination)
        .ok_or(DropReason::NoNeighbor)?;
    let key = EndpointKey {
        network: subnet.network,
        address: ip.destination,
    };
    let target = tables.endpoint(&key).ok_or(DropReason::NoNeighbor)?;
    if target.flags & flags::UP == 0 {
        return Err(DropReason::EndpointDown);
    }
    Ok(Verdict::Peer {
        ifindex: target.ifindex,
        endpoint: target.index,
        rewrite: rewrite::ethernet(frame, target.mac, target.gateway_mac),
    })
}

/// The source address is one of the endpoint's: usually the first of its family, else any that
/// the table knows.
fn check_source<T: Tables>(ip: &Ip, source: &Endpoint, tables: &mut T) -> Result<(), DropReason> {
    let [v4, v6] = source.addresses;
    if ip.source == (if ip.is_v4 { v4 } else { v6 }) && !ip.source.is_none() {
        return Ok(());
    }
    let key = EndpointKey {
        network: source.network,
        address: ip.source,
    };
    match tables.endpoint(&key) {
        Some(owner) if owner.index == source.index => Ok(()),
        _ => Err(DropReason::SpoofedAddress),
    }
}

/// A question to the resolver at the own gateway, if it is one: over UDP the `dns` program goes
/// on, over TCP the agent's resolver.
fn to_resolver<P: Packet, T: Tables>(
    packet: &P,
    frame: &Frame,
    ip: &Ip,
    source: &Endpoint,
    tables: &mut T,
) -> Result<Option<Verdict>, DropReason> {
    if source.flags & flags::RESOLVER == 0 {
        return Ok(None);
    }
    let Some(transport) = transport::read(packet, ip)? else {
        return Ok(None);
    };
    if transport.destination_port != RESOLVER_PORT.to_be_bytes() {
        return Ok(None);
    }
    match ip.protocol {
        protocol::UDP => Ok(Some(Verdict::Dns)),
        protocol::TCP => {
            let config = tables.config();
            if config.resolver_ifindex == 0 {
                return Err(DropReason::EndpointDown);
            }
            Ok(Some(Verdict::Peer {
                ifindex: config.resolver_ifindex,
                endpoint: 0,
                rewrite: rewrite::ethernet(frame, config.resolver_mac, source.gateway_mac),
            }))
        }
        _ => Ok(None),
    }
}

fn neighbour_endpoint<T: Tables>(ip: &Ip, source: &Endpoint, tables: &mut T) -> Option<Endpoint> {
    tables.endpoint(&EndpointKey {
        network: source.network,
        address: ip.destination,
    })
}

/// To an endpoint of the same network: as a switch would, whatever the packet carries. An
/// endpoint that publishes ports may be replying to a neighbour that dialled the host's address.
fn same_network<P: Packet, T: Tables>(
    packet: &P,
    frame: &Frame,
    ip: &Ip,
    source: &Endpoint,
    target: &Endpoint,
    tables: &mut T,
) -> Result<Verdict, DropReason> {
    if source.flags & flags::PUBLISHES != 0
        && let Some(transport) = transport::read(packet, ip)?
        && let Some(verdict) = along_flow(frame, ip, &transport, source, tables)?
    {
        return Ok(verdict);
    }
    if source.flags & flags::ICC == 0 {
        return Err(DropReason::IccOff);
    }
    if target.flags & flags::UP == 0 {
        return Err(DropReason::EndpointDown);
    }
    Ok(Verdict::Peer {
        ifindex: target.ifindex,
        endpoint: target.index,
        rewrite: rewrite::ethernet(frame, target.mac, source.mac),
    })
}

/// Along the packet's flow, if it has one that holds.
fn along_flow<T: Tables>(
    frame: &Frame,
    ip: &Ip,
    transport: &Transport,
    source: &Endpoint,
    tables: &mut T,
) -> Result<Option<Verdict>, DropReason> {
    let key = transport.key(source.network, ip);
    let Some(flow) = flow::find(tables, &key, transport, ip.length)? else {
        return Ok(None);
    };
    if let Some(obstacle) = ip.obstacle {
        return Err(obstacle);
    }
    let packet = Carried {
        frame,
        ip,
        transport,
    };
    let verdict = onward::follow(tables, &packet, &flow, Some(source))?;
    if verdict.is_none() {
        flow::forget(tables, &key, &flow);
    }
    Ok(verdict)
}

/// Not to an endpoint of the own network: a flow, a published port, the host, or outside.
fn elsewhere<P: Packet, T: Tables>(
    packet: &P,
    frame: &Frame,
    ip: &Ip,
    source: &Endpoint,
    tables: &mut T,
) -> Result<Verdict, DropReason> {
    let transport = transport::read(packet, ip)?;
    if let Some(transport) = &transport {
        if let Some(verdict) = along_flow(frame, ip, transport, source, tables)? {
            return Ok(verdict);
        }
        if let Some(verdict) = to_published(frame, ip, transport, source, tables)? {
            return Ok(verdict);
        }
    }
    if tables.host_address(&ip.destination).is_some() {
        return Ok(Verdict::Host(rewrite::ethernet(
            frame,
            source.gateway_mac,
            source.mac,
        )));
    }
    if let Some(subnet) = tables.subnet(&ip.destination) {
        return Err(if subnet.network == source.network {
            DropReason::NoNeighbor
        } else {
            DropReason::Isolated
        });
    }
    if ip.destination.is_link_local_v6() {
        return Err(DropReason::NoNeighbor);
    }
    if source.flags & flags::INTERNAL != 0 {
        return Err(DropReason::Internal);
    }
    let transport = transport.ok_or(ip.obstacle.unwrap_or(DropReason::UnknownProtocol))?;
    if let Some(obstacle) = ip.obstacle {
        return Err(obstacle);
    }
    outside(frame, ip, &transport, source, tables)
}

/// To a port published at an address of the host, if it is one. The server sees the container's
/// own address; only where the publisher dials itself, the gateway's.
fn to_published<T: Tables>(
    frame: &Frame,
    ip: &Ip,
    transport: &Transport,
    source: &Endpoint,
    tables: &mut T,
) -> Result<Option<Verdict>, DropReason> {
    let Some(port) = published::find(tables, ip, transport) else {
        return Ok(None);
    };
    if let Some(obstacle) = ip.obstacle {
        return Err(obstacle);
    }
    if !transport.may_begin() {
        return Err(DropReason::NotInFlow);
    }
    let target = published::target(tables, &port)?;
    let seen_from = if target.index == source.index {
        gateway(ip, source)?
    } else {
        ip.source
    };
    let flow = published::flow(&port, &seen_from, transport);
    let key = transport.key(source.network, ip);
    let flow = begin(tables, &key, flow, transport, ip)?;
    let packet = Carried {
        frame,
        ip,
        transport,
    };
    onward::into(&packet, &flow, &target).map(Some)
}

fn gateway(ip: &Ip, source: &Endpoint) -> Result<Addr, DropReason> {
    let [v4, v6] = source.gateways;
    let gateway = if ip.is_v4 { v4 } else { v6 };
    if gateway.is_none() {
        return Err(DropReason::NoAddress);
    }
    Ok(gateway)
}

/// Out through an uplink: a new flow, masqueraded unless the network says otherwise.
fn outside<T: Tables>(
    frame: &Frame,
    ip: &Ip,
    transport: &Transport,
    source: &Endpoint,
    tables: &mut T,
) -> Result<Verdict, DropReason> {
    if !transport.may_begin() {
        return Err(DropReason::NotInFlow);
    }
    let exit = onward::exit(tables, source, ip)?;
    let mut flow = Flow {
        source: ip.source,
        destination: ip.destination,
        source_port: transport.source_port,
        destination_port: transport.destination_port,
        network: source.network,
        endpoint: source.index,
        generation: source.generation,
        flags: flow_flags::ORIGINAL,
        ..Flow::default()
    };
    if source.flags & flags::MASQUERADE != 0 {
        let [v4, v6] = exit.uplink.addresses;
        flow.source = if ip.is_v4 { v4 } else { v6 };
        flow.flags |= flow_flags::MASQUERADE;
        if flow.source.is_none() {
            return Err(DropReason::NoAddress);
        }
    }
    let key = transport.key(source.network, ip);
    let flow = begin(tables, &key, flow, transport, ip)?;
    let packet = Carried {
        frame,
        ip,
        transport,
    };
    onward::out(&packet, &flow, &exit)
}

/// Begins a flow with its first packet.
pub(super) fn begin<T: Tables>(
    tables: &mut T,
    key: &FlowKey,
    mut flow: Flow,
    transport: &Transport,
    ip: &Ip,
) -> Result<Flow, DropReason> {
    let now = tables.now();
    flow.epoch = tables.config().epoch;
    flow.tcp_flags = u32::from(transport.tcp_flags);
    flow.packets = 1;
    flow.bytes = u64::from(ip.length);
    flow.created = now;
    flow.last_seen = now;
    nat::open(tables, key, &flow, transport)
}
