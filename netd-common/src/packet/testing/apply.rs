//! A verdict carried out on plain bytes, as the kernel's helpers would.

use alloc::vec::Vec;

use crate::packet::{
    Rewrite, Verdict, Work, checksum,
    verdict::{Translation, changes},
    view::ETHERNET,
};

/// Makes `packet` what the verdict makes of it. What passes, is dropped or is a question stays.
pub fn apply(verdict: Verdict, work: &Work, packet: &mut Vec<u8>) {
    match verdict {
        Verdict::Pass | Verdict::Dns | Verdict::Drop(_) => {}
        Verdict::Host | Verdict::Peer | Verdict::Neighbour => {
            rewrite(&work.outcome.rewrite, packet);
        }
        Verdict::Answer => {
            packet.clear();
            packet.extend_from_slice(&work.answer.bytes[..usize::from(work.answer.len)]);
        }
    }
}

fn rewrite(rewrite: &Rewrite, packet: &mut [u8]) {
    if rewrite.changes & changes::ETHERNET != 0 {
        store(packet, 0, &rewrite.ethernet);
    }
    if rewrite.changes & changes::HOP != 0 {
        store(packet, rewrite.hop_offset.into(), &[rewrite.hop]);
    }
    if rewrite.header_delta != 0 {
        update(packet, ETHERNET + 10, rewrite.header_delta);
    }
    if rewrite.changes & changes::TRANSLATION != 0 {
        translate(rewrite.changes, &rewrite.translation, packet);
    }
}

fn translate(kind: u32, translation: &Translation, packet: &mut [u8]) {
    let at = usize::from(translation.checksum);
    let zero_is_none = kind & changes::ZERO_IS_NONE != 0;
    if !(zero_is_none && packet[at..at + 2] == [0, 0]) {
        update(packet, at, translation.address_delta);
        update(packet, at, translation.port_delta);
        if zero_is_none && packet[at..at + 2] == [0, 0] {
            store(packet, at, &[0xff, 0xff]);
        }
    }
    if kind & changes::IS_V4 != 0 {
        store(packet, ETHERNET + 12, &translation.source.octets_v4());
        store(packet, ETHERNET + 16, &translation.destination.octets_v4());
    } else {
        store(packet, ETHERNET + 8, &translation.source.0);
        store(packet, ETHERNET + 24, &translation.destination.0);
    }
    let transport = usize::from(translation.transport);
    if kind & changes::IS_ECHO != 0 {
        store(packet, transport + 4, &translation.ports[..2]);
    } else {
        store(packet, transport, &translation.ports);
    }
}

fn update(packet: &mut [u8], at: usize, delta: u32) {
    let field = checksum::replace([packet[at], packet[at + 1]], delta);
    store(packet, at, &field);
}

fn store(packet: &mut [u8], at: usize, bytes: &[u8]) {
    packet[at..at + bytes.len()].copy_from_slice(bytes);
}
