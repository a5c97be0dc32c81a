//! From what a packet is and what it shall be, the bytes that change and what the checksums need.

use super::{
    Work, checksum,
    transport::kind,
    verdict::changes,
    view::{ETHERNET, Ip},
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

/// One hop further: the TTL or hop limit is one less.
///
/// # Errors
/// [`DropReason::TtlExpired`] where it was the last.
pub fn next_hop(work: &mut Work) -> Result<(), DropReason> {
    let (ip, rewrite) = (&work.view.ip, &mut work.outcome.rewrite);
    if ip.hops <= 1 {
        return Err(DropReason::TtlExpired);
    }
    rewrite.changes |= changes::HOP;
    rewrite.hop = ip.hops - 1;
    if !ip.is_v4() {
        rewrite.hop_offset = ETHERNET as u16 + 7;
        return Ok(());
    }
    rewrite.hop_offset = ETHERNET as u16 + 8;
    let delta = checksum::delta(&[ip.hops, 0], &[rewrite.hop, 0]);
    rewrite.header_delta = checksum::add(rewrite.header_delta, delta);
    Ok(())
}

/// The tuple that the flow in `work` says.
pub fn translate(work: &mut Work) {
    let (ip, transport, flow) = (&work.view.ip, &work.view.transport, &work.flow);
    let rewrite = &mut work.outcome.rewrite;
    let old = ports(transport.source_port, transport.destination_port);
    let new = ports(flow.source_port, flow.destination_port);
    if flow.source == ip.source && flow.destination == ip.destination && old == new {
        return;
    }
    rewrite.changes |= changes::TRANSLATION;
    let translation = &mut rewrite.translation;
    translation.source = flow.source;
    translation.destination = flow.destination;
    translation.ports = new;
    translation.transport = ip.transport;
    translation.checksum = ip.transport + checksum_offset(transport.kind);
    let address_delta = address_delta(ip, flow);
    translation.address_delta = address_delta;
    translation.port_delta = checksum::delta(&old, &new);
    if transport.is_echo() {
        rewrite.changes |= changes::IS_ECHO;
        translation.port_delta = checksum::delta(&transport.source_port, &flow.source_port);
    }
    if transport.kind == kind::UDP {
        rewrite.changes |= changes::ZERO_IS_NONE;
    }
    if ip.is_v4() {
        rewrite.changes |= changes::IS_V4;
        rewrite.header_delta = checksum::add(rewrite.header_delta, address_delta);
        if transport.is_echo() {
            translation.address_delta = 0;
        }
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

/// The difference of the addresses. All sixteen octets count, also of IPv4: the constant prefix
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
