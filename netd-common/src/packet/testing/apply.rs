//! A verdict carried out on plain bytes, as the kernel's helpers would.

use alloc::vec::Vec;

use crate::packet::{
    Rewrite, Verdict, Work, checksum,
    verdict::{Header, changes},
};

/// Makes `packet` what the verdict makes of it. What passes, is dropped or is a question stays.
pub fn apply(verdict: Verdict, work: &Work, packet: &mut Vec<u8>) {
    match verdict {
        Verdict::Pass
        | Verdict::Flood
        | Verdict::Dns
        | Verdict::IcmpError
        | Verdict::Fragment
        | Verdict::Kept
        | Verdict::Drop(_) => {}
        Verdict::Host | Verdict::Peer | Verdict::Neighbour => {
            rewrite(&work.outcome.rewrite, packet);
        }
        Verdict::Answer => {
            packet.clear();
            packet.extend_from_slice(&work.answer.bytes[..usize::from(work.answer.len)]);
        }
    }
}

/// Writes what an ICMP error about a flow quotes as it shall be: comes before [`apply`].
pub fn turn_back(work: &Work, packet: &mut [u8]) {
    let (quote, flow) = (&work.quote, &work.flow);
    let header = usize::from(quote.header);
    if work.view.ip.is_v4() {
        store(packet, header + 10, &quote.header_sum);
        store(packet, header + 12, &flow.destination.octets_v4());
        store(packet, header + 16, &flow.source.octets_v4());
    } else {
        store(packet, header + 8, &flow.destination.0);
        store(packet, header + 24, &flow.source.0);
    }
    if quote.checksum != 0 {
        store(packet, quote.checksum.into(), &quote.transport_sum);
    }
    let transport = usize::from(quote.transport);
    if quote.is_echo() {
        store(packet, transport + 4, &quote.ports[..2]);
    } else {
        store(packet, transport, &quote.ports);
    }
}

fn rewrite(rewrite: &Rewrite, packet: &mut [u8]) {
    if rewrite.changes & changes::ETHERNET != 0 {
        store(packet, 0, &rewrite.ethernet);
    }
    if rewrite.changes & changes::HEADER != 0 {
        translate(rewrite, packet);
    }
}

fn translate(rewrite: &Rewrite, packet: &mut [u8]) {
    let at = usize::from(rewrite.checksum);
    let zero_is_none = rewrite.changes & changes::ZERO_IS_NONE != 0;
    let has_transport = rewrite.changes & changes::NO_TRANSPORT == 0;
    if has_transport && !(zero_is_none && packet[at..at + 2] == [0, 0]) {
        update(packet, at, rewrite.address_delta);
        update(packet, at, rewrite.port_delta);
        if zero_is_none && packet[at..at + 2] == [0, 0] {
            store(packet, at, &[0xff, 0xff]);
        }
    }
    let is_v4 = rewrite.changes & changes::IS_V4 != 0;
    let header = &rewrite.header;
    let is_echo = rewrite.changes & changes::IS_ECHO != 0;
    let is_apart = rewrite.changes & changes::APART != 0;
    let piece = match (is_v4, is_echo || is_apart || !has_transport) {
        (true, false) => header.v4().map(<[u8; 16]>::as_slice),
        (true, true) => header.addresses_v4().map(<[u8; 12]>::as_slice),
        (false, false) => header.v6().map(<[u8; 37]>::as_slice),
        (false, true) => header.addresses_v6().map(<[u8; 33]>::as_slice),
    };
    let piece = piece.expect("it has room");
    let offset = if is_v4 {
        Header::OFFSET_V4
    } else {
        Header::OFFSET_V6
    };
    store(packet, offset, piece);
    let transport = if is_apart {
        usize::from(rewrite.transport)
    } else {
        offset + piece.len()
    };
    if has_transport && is_echo {
        let identifier = header.identifier(is_v4).expect("it has room");
        store(packet, transport + 4, identifier);
    } else if has_transport && is_apart {
        store(packet, transport, header.ports(is_v4).expect("it has room"));
    }
}

fn update(packet: &mut [u8], at: usize, delta: u32) {
    let field = checksum::replace([packet[at], packet[at + 1]], delta);
    store(packet, at, &field);
}

fn store(packet: &mut [u8], at: usize, bytes: &[u8]) {
    packet[at..at + bytes.len()].copy_from_slice(bytes);
}
