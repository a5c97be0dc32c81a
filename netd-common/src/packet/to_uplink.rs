//! What leaves through an uplink by the host's stack. Of what the stack forwarded for a container,
//! nothing gets out untranslated: neither a container's address nor a packet without a flow. The
//! host's own packets pass as they are; a flow that has the tuple of one gives way.

use super::{
    Packet, Tables, Work, flow,
    fragment::{self, Cut},
    nat, rewrite,
    tables::Seen,
    transport::{self, kind, tcp},
    verdict::Verdict,
    view::{self, ETHERNET, ethertype},
};
use crate::{
    Addr, DropReason,
    abi::{
        flow::{FlowKey, flow_flags},
        fragment::arrival,
    },
};

/// Decides about a packet on its way out of an uplink. `forwarded`: it came into the host by some
/// interface, rather than from the host itself.
pub fn decide<P: Packet, T: Tables>(
    packet: &P,
    forwarded: bool,
    tables: &mut T,
    work: &mut Work,
) -> Verdict {
    let left = work.left;
    work.begin();
    if forwarded && left != 0 && has_source(packet, &work.flow.source) {
        return Verdict::Pass;
    }
    // The VLAN's own link has seen it.
    if packet.is_tagged() {
        return Verdict::Pass;
    }
    if !forwarded {
        if is_of_a_flow(packet, tables, work) {
            give_way(tables, work);
        }
        return Verdict::Pass;
    }
    judge(packet, tables, work).unwrap_or_else(Verdict::Drop)
}

/// Whether a packet comes from this address. Of what `from_endpoint` has just sent out masqueraded, that
/// is all there is to ask: no container has such an address.
fn has_source<P: Packet>(packet: &P, address: &Addr) -> bool {
    // From the ethertype to the source address.
    const AT: usize = ETHERNET - 2;
    if address.is_v4() {
        let head = packet.read::<18>(AT);
        return head.is_some_and(|[e0, e1, .., a, b, c, d]| {
            [e0, e1] == ethertype::IPV4 && [a, b, c, d] == address.octets_v4()
        });
    }
    let head = packet.read::<26>(AT);
    head.is_some_and(|head| {
        let (ethertype, source) = (head.first_chunk(), head.last_chunk());
        ethertype == Some(&ethertype::IPV6) && source == Some(&address.0)
    })
}

/// Whether the answer to a packet of the host's own would be taken for that of a container's
/// masqueraded flow; then its half is in `work`. Most packets are not even looked up: the host's
/// sockets get ports of which no flow is made.
fn is_of_a_flow<P: Packet, T: Tables>(packet: &P, tables: &mut T, work: &mut Work) -> bool {
    if view::read(packet, &mut work.view).is_err()
        || transport::read(packet, &mut work.view).is_err()
    {
        return false;
    }
    let (ip, transport) = (&work.view.ip, &work.view.transport);
    let may_be = match transport.kind {
        // A host that refuses a connection has no socket for it.
        kind::TCP if transport.tcp_flags & tcp::RST != 0 => false,
        kind::TCP | kind::UDP => {
            let own = u16::from_be_bytes(transport.source_port);
            nat::in_ranges(&tables.config(), own)
        }
        kind::ECHO_REQUEST => true,
        _ => false,
    };
    if !may_be {
        return false;
    }
    work.key = FlowKey {
        zone: 0,
        source: ip.destination,
        destination: ip.source,
        source_port: transport.destination_port,
        destination_port: transport.source_port,
        protocol: ip.protocol,
        reserved: [0; 3],
    };
    (tables.flow(&work.key, &Seen::NOTHING, &mut work.flow)
        || tables.new_flow(&work.key, &Seen::NOTHING, &mut work.flow))
        && work.flow.flags & flow_flags::MASQUERADE != 0
}

/// Ends the flow in `work`. The container's next packet begins another one, with a port that the host
/// does not use.
fn give_way<T: Tables>(tables: &mut T, work: &mut Work) {
    work.outcome.network = work.flow.network;
    work.outcome.noted = DropReason::FlowYielded as u32;
    flow::forget(tables, work);
}

fn judge<P: Packet, T: Tables>(
    packet: &P,
    tables: &mut T,
    work: &mut Work,
) -> Result<Verdict, DropReason> {
    if view::read(packet, &mut work.view).is_err() {
        return Ok(Verdict::Pass);
    }
    let Some(subnet) = tables.subnet(&work.view.ip.source) else {
        return Ok(Verdict::Pass);
    };
    // A network's gateway: what answers from it, where it was dialled, is translated.
    if tables.host_address(&work.view.ip.source).is_some() {
        return Ok(Verdict::Pass);
    }
    work.outcome.network = subnet.network;
    if transport::read(packet, &mut work.view).is_err() {
        return Err(DropReason::Untranslated);
    }
    // The stack fragments in order.
    if fragment::attribute(arrival::LEAVING, tables, work) == Cut::Waits {
        return Err(DropReason::Fragment);
    }
    if !work.view.transport.is_known() {
        return Err(DropReason::Untranslated);
    }
    transport::key(&work.view, subnet.network, &mut work.key);
    if !flow::find(tables, work)?
        || work.flow.twin_zone != 0
        || work.flow.epoch != tables.config().epoch
    {
        return Err(DropReason::Untranslated);
    }
    rewrite::translate(work, work.view.ip.hops);
    Ok(Verdict::Host)
}
