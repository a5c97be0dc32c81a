//! Carries out rewrites on plain bytes, with the kernel's checksum arithmetic.

use netd_common::packet::{
    Rewrite,
    verdict::{Translation, changes},
    view::ETHERNET,
};

/// Changes `packet` as `rewrite` says.
pub fn apply(packet: &mut [u8], rewrite: &Rewrite) {
    if rewrite.changes & changes::ETHERNET != 0 {
        store(packet, 0, &rewrite.ethernet);
    }
    if rewrite.changes & changes::HOP != 0 {
        store(packet, rewrite.hop_offset.into(), &[rewrite.hop]);
    }
    if rewrite.header_delta != 0 {
        replace(packet, ETHERNET + 10, rewrite.header_delta, false);
    }
    if rewrite.changes & changes::TRANSLATION != 0 {
        translate(packet, rewrite.changes, &rewrite.translation);
    }
}

fn translate(packet: &mut [u8], kind: u32, translation: &Translation) {
    let checksum = translation.checksum.into();
    let zero_is_none = kind & changes::ZERO_IS_NONE != 0;
    for delta in [translation.address_delta, translation.port_delta] {
        if delta != 0 {
            replace(packet, checksum, delta, zero_is_none);
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

/// Stores `bytes` at `offset`; a packet that ends before is a fault of the decision.
pub fn store(packet: &mut [u8], offset: usize, bytes: &[u8]) {
    packet[offset..offset + bytes.len()].copy_from_slice(bytes);
}

/// `csum_replace_by_diff` of the kernel, with `BPF_F_MARK_MANGLED_0` where `zero_is_none`.
pub fn replace(packet: &mut [u8], offset: usize, delta: u32, zero_is_none: bool) {
    let field = u16::from_ne_bytes([packet[offset], packet[offset + 1]]);
    if zero_is_none && field == 0 {
        return;
    }
    let (sum, carry) = delta.overflowing_add(!u32::from(field));
    let sum = sum.wrapping_add(u32::from(carry));
    let once = (sum & 0xffff) + (sum >> 16);
    let mut new = !(((once & 0xffff) + (once >> 16)) as u16);
    if zero_is_none && new == 0 {
        new = 0xffff;
    }
    store(packet, offset, &new.to_ne_bytes());
}
