//! What a container sends. All of it is netd's: it is delivered, goes to the host for one of the
//! host's addresses, leaves through an uplink, is answered, or is dropped for a named reason.

use super::{
    Packet, Tables, Work, arp, dhcp, direct, dns,
    fragment::{self, Cut},
    group, icmp_error, links, nat, neighbour, onward, published, rewrite,
    transport::{self, kind},
    verdict::Verdict,
    view::{self, View, ethertype, protocol},
};
use crate::{
    Addr, DropReason,
    abi::{
        endpoint::{Endpoint, EndpointKey, flags},
        flow::{Flow, flow_flags},
    },
    limits::RESOLVER_PORT,
};

/// Decides about a packet that came in by the host side `ifindex` of an endpoint.
pub fn decide<P: Packet, T: Tables>(
    packet: &P,
    ifindex: u32,
    tables: &mut T,
    work: &mut Work,
) -> Verdict {
    work.begin();
    if !tables.interface(ifindex, &mut work.source) {
        return Verdict::Drop(DropReason::UnknownInterface);
    }
    work.outcome.network = work.source.network;
    work.outcome.endpoint = work.source.index;
    let zone = work.source.network;
    judge(packet, tables, work).unwrap_or_else(|reason| icmp_error::refused(reason, zone, work))
}

fn judge<P: Packet, T: Tables>(
    packet: &P,
    tables: &mut T,
    work: &mut Work,
) -> Result<Verdict, DropReason> {
    if packet.is_tagged() {
        return Err(DropReason::UnknownEthertype);
    }
    view::read_frame(packet, &mut work.view)?;
    if work.view.frame.source != work.source.mac {
        return Err(DropReason::SpoofedMac);
    }
    if work.view.frame.ethertype == ethertype::ARP {
        return arp::answer(packet, tables, work);
    }
    view::read_ip(packet, &mut work.view)?;
    if let Some(verdict) = neighbour::answer(packet, tables, work)? {
        return Ok(verdict);
    }
    let ip = &work.view.ip;
    if ip.source.is_loopback() || ip.destination.is_loopback() {
        return Err(DropReason::LoopbackAddress);
    }
    if work.source.flags & flags::SERVES_DHCP == 0 && dhcp::is_of_server(packet, &work.view) {
        return Err(DropReason::DhcpServer);
    }
    if work.view.frame.is_group()
        && let Some(verdict) = group::flood(tables, work)?
    {
        return Ok(verdict);
    }
    if work.source.flags & flags::IS_RESOLVER != 0 {
        return from_resolver(tables, work);
    }
    check_source(tables, work)?;
    let zone = work.source.network;
    if is_neighbour(tables, work) {
        if work.source.flags & flags::PUBLISHES != 0 {
            transport::read(packet, &mut work.view)?;
            if is_for_parking(tables, work) {
                return Ok(Verdict::Fragment);
            }
            if icmp_error::concerns_flow(packet, zone, tables, work) {
                return Ok(Verdict::IcmpError);
            }
        }
        return same_network(packet, tables, work);
    }
    transport::read(packet, &mut work.view)?;
    if is_for_parking(tables, work) {
        return Ok(Verdict::Fragment);
    }
    if icmp_error::concerns_flow(packet, zone, tables, work) {
        return Ok(Verdict::IcmpError);
    }
    elsewhere(tables, work)
}

/// Whether this is a fragment that waits for the first of its datagram, or that first one, for which
/// others wait.
fn is_for_parking<T: Tables>(tables: &mut T, work: &mut Work) -> bool {
    work.passes = 0;
    fragment::attribute(work.source.ifindex, tables, work) != Cut::Known
}

/// The resolver may answer any endpoint, whatever address it answers from.
fn from_resolver<T: Tables>(tables: &mut T, work: &mut Work) -> Result<Verdict, DropReason> {
    let address = work.view.ip.destination;
    let subnet = tables.subnet(&address).ok_or(DropReason::NoNeighbor)?;
    let key = EndpointKey {
        network: subnet.network,
        address,
    };
    if !tables.endpoint(&key, &mut work.target) {
        return Err(DropReason::NoNeighbor);
    }
    let source_mac = work.target.gateway_mac;
    deliver(source_mac, work)
}

/// To the target in `work`: as a switch would, whatever the packet carries.
fn deliver(source_mac: [u8; 6], work: &mut Work) -> Result<Verdict, DropReason> {
    if work.target.flags & flags::UP == 0 {
        return Err(DropReason::EndpointDown);
    }
    rewrite::ethernet(work, work.target.mac, source_mac);
    work.aim_at_target();
    Ok(Verdict::Peer)
}

/// The source address is one of the endpoint's: usually the first of its family, else any that
/// the table knows.
pub(super) fn check_source<T: Tables>(tables: &mut T, work: &mut Work) -> Result<(), DropReason> {
    let address = work.view.ip.source;
    let first = of_family(&work.source.addresses, work.view.ip.is_v4());
    if address == first && !address.is_none() {
        return Ok(());
    }
    let key = EndpointKey {
        network: work.source.network,
        address,
    };
    if tables.endpoint(&key, &mut work.target) && work.target.index == work.source.index {
        return Ok(());
    }
    Err(DropReason::SpoofedAddress)
}

fn of_family([v4, v6]: &[Addr; 2], is_v4: bool) -> Addr {
    if is_v4 { *v4 } else { *v6 }
}

/// Whether the destination is an endpoint of the own network; then it is the target in `work`.
fn is_neighbour<T: Tables>(tables: &mut T, work: &mut Work) -> bool {
    let key = EndpointKey {
        network: work.source.network,
        address: work.view.ip.destination,
    };
    !work.source.has_gateway(&key.address) && tables.endpoint(&key, &mut work.target)
}

/// To an endpoint of the same network. One that publishes ports may be replying to a neighbour
/// that dialled the host's address.
fn same_network<P: Packet, T: Tables>(
    packet: &P,
    tables: &mut T,
    work: &mut Work,
) -> Result<Verdict, DropReason> {
    let zone = work.source.network;
    if work.view.transport.is_known() {
        let target = work.target.index;
        if let Some(verdict) = onward::along_flow(tables, zone, work)? {
            return Ok(verdict);
        }
        // A flow that no longer holds may have left another one there.
        if work.target.index != target && !is_neighbour(tables, work) {
            return Err(DropReason::NoNeighbor);
        }
    }
    if work.source.flags & flags::ICC == 0 {
        let linked = work.source.flags & work.target.flags & flags::LINKED != 0;
        if !linked || !links::open(packet, tables, work) {
            return Err(DropReason::IccOff);
        }
    }
    let mac = work.source.mac;
    deliver(mac, work)
}

/// Not to an endpoint of the own network: the resolver, a flow, a published port, the host, or
/// outside.
fn elsewhere<T: Tables>(tables: &mut T, work: &mut Work) -> Result<Verdict, DropReason> {
    let known = work.view.transport.is_known();
    if known {
        if is_question(&work.source, &work.view) {
            return to_resolver(tables, work);
        }
        if is_for_the_host(tables, work) {
            return Ok(to_host(work));
        }
        let zone = work.source.network;
        if let Some(verdict) = onward::along_flow(tables, zone, work)? {
            return Ok(verdict);
        }
    }
    if known && published::find(tables, work) {
        prepare_published(tables, work)?;
    } else if tables.host_address(&work.view.ip.destination).is_some() {
        return Ok(to_host(work));
    } else {
        prepare_outside(tables, work)?;
    }
    nat::open(tables, work)?;
    onward::go(work)
}

/// Whether this can be for nobody but a socket of the host, as what answers a connection that the host
/// made to a published port by loopback: to the own gateway and a port that is not published. What is
/// seen as coming from the gateway has other ports ([`nat::open`]), so no flow need be looked for.
fn is_for_the_host<T: Tables>(tables: &mut T, work: &mut Work) -> bool {
    let (address, transport) = (&work.view.ip.destination, &work.view.transport);
    let port = u16::from_be_bytes(transport.destination_port);
    matches!(transport.kind, kind::TCP | kind::UDP)
        && work.source.has_gateway(address)
        && !nat::in_ranges(&tables.config(), port)
        && !published::find(tables, work)
}

fn to_host(work: &mut Work) -> Verdict {
    rewrite::ethernet(work, work.source.gateway_mac, work.source.mac);
    Verdict::Host
}

/// Whether this is a question to the resolver: to its port at the own gateway.
fn is_question(source: &Endpoint, view: &View) -> bool {
    source.flags & flags::RESOLVER != 0
        && view.transport.destination_port == RESOLVER_PORT.to_be_bytes()
        && matches!(view.ip.protocol, protocol::UDP | protocol::TCP)
        && source.has_gateway(&view.ip.destination)
}

/// Over UDP the `dns` program goes on, over TCP the agent's resolver.
fn to_resolver<T: Tables>(tables: &mut T, work: &mut Work) -> Result<Verdict, DropReason> {
    if work.view.ip.protocol == protocol::UDP {
        return Ok(Verdict::Dns);
    }
    dns::onward::to_resolver(tables, work)
}

/// A flow to the published port in `work`. The server sees the container's own address; only where
/// the publisher dials itself, the gateway's.
// Not inlined: what it builds would stay on the caller's stack, and before Linux 6.8 frames count in
// steps of 32 octets, 512 in all.
#[inline(never)]
fn prepare_published<T: Tables>(tables: &mut T, work: &mut Work) -> Result<(), DropReason> {
    if !work.view.transport.may_begin() {
        return Err(DropReason::NotInFlow);
    }
    published::target(tables, work)?;
    let mut seen_from = work.view.ip.source;
    if work.target.index == work.source.index {
        seen_from = of_family(&work.source.gateways, work.view.ip.is_v4());
        if seen_from.is_none() {
            return Err(DropReason::NoAddress);
        }
    }
    published::prepare(&seen_from, work);
    Ok(())
}

/// A flow out through an uplink, if the packet may leave: masqueraded unless the network says
/// otherwise; or into another network that lets it in.
// Not inlined: what it builds would stay on the caller's stack, and before Linux 6.8 frames count in
// steps of 32 octets, 512 in all.
#[inline(never)]
fn prepare_outside<T: Tables>(tables: &mut T, work: &mut Work) -> Result<(), DropReason> {
    let destination = &work.view.ip.destination;
    // In a frame for one alone: what is for a group was judged as such.
    if destination.is_multicast() {
        return Err(DropReason::Multicast);
    }
    if let Some(subnet) = tables.subnet(destination) {
        if subnet.network == work.source.network {
            return Err(DropReason::NoNeighbor);
        }
        return direct::between(tables, &subnet, work);
    }
    if destination.is_link_local_v6() {
        return Err(DropReason::NoNeighbor);
    }
    if work.source.flags & flags::INTERNAL != 0 {
        return Err(DropReason::Internal);
    }
    if fragment::is_unattributed(work) {
        return Err(DropReason::Fragment);
    }
    if !work.view.transport.is_known() {
        return Err(DropReason::UnknownProtocol);
    }
    if !work.view.transport.may_begin() {
        return Err(DropReason::NotInFlow);
    }
    onward::exit(tables, work, false)?;
    let (ip, transport) = (&work.view.ip, &work.view.transport);
    work.flow = Flow {
        source: ip.source,
        destination: ip.destination,
        source_port: transport.source_port,
        destination_port: transport.destination_port,
        network: work.source.network,
        endpoint: work.source.index,
        generation: work.source.generation,
        flags: flow_flags::ORIGINAL,
        ..Flow::default()
    };
    let routed = flags::of_family(flags::ROUTED, work.view.ip.is_v4());
    if work.source.flags & (flags::MASQUERADE | routed) == flags::MASQUERADE {
        nat::masquerade(tables, work)?;
    }
    Ok(())
}
