//! From what a packet is and what it shall be, the bytes that change and what the checksums need.

use super::{
    Work, checksum,
    transport::kind,
    verdict::changes,
    view::{Ip, traits},
};
use crate::{Addr, DropReason, abi::flow::Flow};

/// New MACs, where they are not there already.
pub fn ethernet(work: &mut Work, destination: [u8; 6], source: [u8; 6]) {
    let (frame, rewrite) = (&work.view.frame, &mut work.outcome.rewrite);
    if frame.destination == destination && frame.source == source {
        return;
    }
    let ([d0, d1, d2, d3, d4, d5], [s0, s1, s2, s3, s4, s5]) = (destination, source);
    rewrite.ethernet = [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5];
    rewrite.changes |= changes::ETHERNET;
}

/// The TTL or hop limit one hop further.
///
/// # Errors
/// [`DropReason::TtlExpired`] where it was the last.
pub fn next_hop(ip: &Ip) -> Result<u8, DropReason> {
    if ip.hops <= 1 {
        return Err(DropReason::TtlExpired);
    }
    Ok(ip.hops - 1)
}

/// The tuple that the flow in `work` says, with the TTL or hop limit `hops`.
pub fn translate(work: &mut Work, hops: u8) {
    let (view, flow) = (&work.view, &work.flow);
    let (ip, transport) = (&view.ip, &view.transport);
    let rewrite = &mut work.outcome.rewrite;
    let old = ports(transport.source_port, transport.destination_port);
    let new = ports(flow.source_port, flow.destination_port);
    let address_delta = address_delta(ip, flow);
    rewrite.changes |= changes::HEADER;
    if ip.traits & (traits::FRAGMENT | traits::OPTIONS | traits::EXTENSION) != 0 {
        rewrite.changes |= changes::APART;
        rewrite.transport = ip.transport;
    }
    if ip.traits & traits::LATER_FRAGMENT != 0 {
        rewrite.changes |= changes::NO_TRANSPORT;
    }
    rewrite.checksum = ip.transport + checksum_offset(transport.kind);
    rewrite.address_delta = address_delta;
    if transport.is_echo() {
        rewrite.changes |= changes::IS_ECHO;
        rewrite.port_delta = checksum::delta(&transport.source_port, &flow.source_port);
    } else if transport.kind == kind::SCTP {
        // Ports stay, and the checksum covers no addresses (RFC 9260 section 6.8).
        rewrite.address_delta = 0;
    } else {
        rewrite.port_delta = checksum::delta(&old, &new);
    }
    if transport.kind == kind::UDP {
        rewrite.changes |= changes::ZERO_IS_NONE;
    }
    if ip.is_v4() {
        rewrite.changes |= changes::IS_V4;
        if transport.is_echo() {
            rewrite.address_delta = 0;
        }
        let [_, protocol, sum @ ..] = view.frame.words()[2];
        let hop_delta = checksum::delta(&[ip.hops, 0], &[hops, 0]);
        let [s0, s1] = checksum::replace(sum, checksum::add(hop_delta, address_delta));
        let (source, destination) = (flow.source.octets_v4(), flow.destination.octets_v4());
        rewrite
            .header
            .put_v4([hops, protocol, s0, s1], source, destination, new);
    } else {
        rewrite
            .header
            .put_v6(hops, &flow.source, &flow.destination, new);
    }
}

/// Where the checksum is in the transport header (RFC 9293, 768, 792, 4443).
fn checksum_offset(transport: u8) -> u16 {
    match transport {
        kind::TCP => 16,
        kind::UDP => 6,
        _ => 2,
    }
}

fn ports(source: [u8; 2], destination: [u8; 2]) -> [u8; 4] {
    let ([s0, s1], [d0, d1]) = (source, destination);
    [s0, s1, d0, d1]
}

/// The difference of the addresses, 0 where they are the same. All sixteen octets count, also of IPv4: the constant prefix
/// cancels.
fn address_delta(ip: &Ip, flow: &Flow) -> u32 {
    let mut delta = 0;
    if flow.source != ip.source {
        delta = checksum::add(delta, one_delta(&ip.source, &flow.source));
    }
    if flow.destination != ip.destination {
        delta = checksum::add(delta, one_delta(&ip.destination, &flow.destination));
    }
    delta
}

fn one_delta(old: &Addr, new: &Addr) -> u32 {
    checksum::delta(&old.0, &new.0)
}
