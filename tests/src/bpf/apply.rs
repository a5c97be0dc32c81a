//! Carries out rewrites on plain bytes, with the kernel's checksum arithmetic.

use netd_common::packet::{
    Rewrite,
    verdict::{Header, changes},
    view::ETHERNET,
};

/// Changes `packet` as `rewrite` says.
pub fn apply(packet: &mut [u8], rewrite: &Rewrite) {
    if rewrite.changes & changes::ETHERNET != 0 {
        store(packet, 0, &rewrite.ethernet);
    }
    if rewrite.changes & changes::HEADER != 0 {
        translate(packet, rewrite).expect("a header has room for its pieces");
    }
}

fn translate(packet: &mut [u8], rewrite: &Rewrite) -> Option<()> {
    let kind = rewrite.changes;
    let has_transport = kind & changes::NO_TRANSPORT == 0;
    for delta in [rewrite.address_delta, rewrite.port_delta] {
        if delta != 0 && has_transport {
            let zero_is_none = kind & changes::ZERO_IS_NONE != 0;
            replace(packet, rewrite.checksum.into(), delta, zero_is_none);
        }
    }
    let header = &rewrite.header;
    let is_v4 = kind & changes::IS_V4 != 0;
    let is_echo = kind & changes::IS_ECHO != 0;
    let is_apart = kind & changes::APART != 0;
    if !is_echo && !is_apart && has_transport {
        if is_v4 {
            store(packet, Header::OFFSET_V4, header.v4()?);
        } else {
            store(packet, Header::OFFSET_V6, header.v6()?);
        }
        return Some(());
    }
    if is_v4 {
        store(packet, Header::OFFSET_V4, header.addresses_v4()?);
    } else {
        store(packet, Header::OFFSET_V6, header.addresses_v6()?);
    }
    let transport = match (is_apart, is_v4) {
        (true, _) => rewrite.transport.into(),
        (false, true) => ETHERNET + 20,
        (false, false) => ETHERNET + 40,
    };
    if has_transport && is_echo {
        store(packet, transport + 4, header.identifier(is_v4)?);
    } else if has_transport {
        store(packet, transport, header.ports(is_v4)?);
    }
    Some(())
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
