//! Packets with what may stand between the IP header and the transport's.

use alloc::vec::Vec;

use super::pieces::sum;
use crate::packet::view::ETHERNET;

/// Octets from the packet's beginning to its IPv6 header's end.
const BEHIND_V6: usize = ETHERNET + 40;

/// The packet with `options` behind its IPv4 header, which had none: a multiple of four octets.
pub fn with_options(packet: &[u8], options: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let length = u16::from_be_bytes([packet[16], packet[17]]) + options.len() as u16;
    packet[ETHERNET] = 0x45 + (options.len() / 4) as u8;
    packet[16..18].copy_from_slice(&length.to_be_bytes());
    packet.splice(34..34, options.iter().copied());
    correct_header_sum(&mut packet);
    packet
}

/// Makes the sum of an IPv4 header right, with options or without.
pub fn correct_header_sum(packet: &mut [u8]) {
    let end = ETHERNET + usize::from(packet[ETHERNET] & 15) * 4;
    packet[24..26].fill(0);
    let sum = !sum(&packet[ETHERNET..end]);
    packet[24..26].copy_from_slice(&sum.to_be_bytes());
}

/// The packet with an extension header of this kind right behind its IPv6 header; the first octet of
/// `header` becomes the number of what follows.
pub fn with_extension(packet: &[u8], kind: u8, header: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let length = u16::from_be_bytes([packet[18], packet[19]]) + header.len() as u16;
    packet[18..20].copy_from_slice(&length.to_be_bytes());
    packet.splice(BEHIND_V6..BEHIND_V6, header.iter().copied());
    packet[BEHIND_V6] = core::mem::replace(&mut packet[20], kind);
    packet
}
