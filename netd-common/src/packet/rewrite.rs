//! From what a packet is and what it shall be, the bytes that change and what the checksums need.

use super::{
    checksum,
    transport::Transport,
    verdict::{Hop, Rewrite, Translation},
    view::{ETHERNET, Frame, Ip},
};
use crate::{Addr, DropReason, abi::flow::Flow};

/// The Ethernet header alone: what stays inside one network.
pub fn ethernet(frame: &Frame, destination: [u8; 6], source: [u8; 6]) -> Rewrite {
    Rewrite {
        ethernet: (frame.destination != destination || frame.source != source)
            .then_some((destination, source)),
        ..Rewrite::default()
    }
}

/// One hop further: the TTL or hop limit is one less.
///
/// # Errors
/// [`DropReason::TtlExpired`] where it was the last.
pub fn next_hop(rewrite: &mut Rewrite, ip: &Ip) -> Result<(), DropReason> {
    if ip.hops <= 1 {
        return Err(DropReason::TtlExpired);
    }
    let value = ip.hops - 1;
    let offset = if ip.is_v4 { 8 } else { 7 };
    rewrite.hop = Some(Hop {
        offset: (ETHERNET + offset) as u16,
        value,
    });
    if ip.is_v4 {
        let delta = checksum::delta(&[ip.hops, ip.protocol], &[value, ip.protocol]);
        rewrite.header_delta = checksum::add(rewrite.header_delta, delta);
    }
    Ok(())
}

/// The tuple that the flow says.
pub fn translate(rewrite: &mut Rewrite, ip: &Ip, transport: &Transport, flow: &Flow) {
    let source = (flow.source != ip.source).then_some(flow.source);
    let destination = (flow.destination != ip.destination).then_some(flow.destination);
    let old = ports(transport.source_port, transport.destination_port);
    let new = ports(flow.source_port, flow.destination_port);
    if source.is_none() && destination.is_none() && old == new {
        return;
    }
    let address_delta = checksum::add(
        address_delta(ip.is_v4, &ip.source, &flow.source),
        address_delta(ip.is_v4, &ip.destination, &flow.destination),
    );
    let echo = transport.is_echo();
    rewrite.translation = Some(Translation {
        is_v4: ip.is_v4,
        transport: ip.transport,
        protocol: ip.protocol,
        source,
        destination,
        ports: (!echo && old != new).then_some(new),
        identifier: (echo && old != new).then_some(flow.source_port),
        address_delta,
        port_delta: if old == new {
            0
        } else if echo {
            checksum::delta(&transport.source_port, &flow.source_port)
        } else {
            checksum::delta(&old, &new)
        },
    });
    if ip.is_v4 {
        rewrite.header_delta = checksum::add(rewrite.header_delta, address_delta);
    }
}

fn ports(source: [u8; 2], destination: [u8; 2]) -> [u8; 4] {
    let ([s0, s1], [d0, d1]) = (source, destination);
    [s0, s1, d0, d1]
}

fn address_delta(is_v4: bool, old: &Addr, new: &Addr) -> u32 {
    if old == new {
        0
    } else if is_v4 {
        checksum::delta(&old.octets_v4(), &new.octets_v4())
    } else {
        checksum::delta(&old.0, &new.0)
    }
}
