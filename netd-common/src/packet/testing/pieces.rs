//! Packets in fragments, and whole again.

use alloc::vec::Vec;

use crate::packet::view::{ETHERNET, ethertype, protocol};

/// Orders of three fragments.
pub const ORDERS: [[usize; 3]; 6] = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
];

/// An IP packet without options or extension headers, cut into fragments of `size` octets, a multiple
/// of eight: in order.
pub fn cut(packet: &[u8], size: usize, identification: u16) -> Vec<Vec<u8>> {
    let is_v4 = packet[12..14] == ethertype::IPV4;
    let (head, data) = packet.split_at(ETHERNET + if is_v4 { 20 } else { 40 });
    let last = data.len().saturating_sub(1) / size;
    data.chunks(size)
        .enumerate()
        .map(|(number, piece)| {
            let offset = (number * size) as u16;
            let more = number != last;
            if is_v4 {
                v4(head, piece, offset, more, identification)
            } else {
                v6(head, piece, offset, more, identification)
            }
        })
        .collect()
}

fn v4(head: &[u8], piece: &[u8], offset: u16, more: bool, identification: u16) -> Vec<u8> {
    let mut packet = head.to_vec();
    let field = (offset / 8) | if more { 0x2000 } else { 0 };
    packet[16..18].copy_from_slice(&(20 + piece.len() as u16).to_be_bytes());
    packet[18..20].copy_from_slice(&identification.to_be_bytes());
    packet[20..22].copy_from_slice(&field.to_be_bytes());
    packet[24..26].fill(0);
    let sum = !sum(&packet[ETHERNET..]);
    packet[24..26].copy_from_slice(&sum.to_be_bytes());
    packet.extend_from_slice(piece);
    packet
}

fn v6(head: &[u8], piece: &[u8], offset: u16, more: bool, identification: u16) -> Vec<u8> {
    let mut packet = head.to_vec();
    let next = core::mem::replace(&mut packet[20], protocol::FRAGMENT);
    packet[18..20].copy_from_slice(&(8 + piece.len() as u16).to_be_bytes());
    packet.extend([next, 0]);
    packet.extend((offset | u16::from(more)).to_be_bytes());
    packet.extend(u32::from(identification).to_be_bytes());
    packet.extend_from_slice(piece);
    packet
}

/// The packet whose fragments, in order, these are.
pub fn whole(pieces: &[Vec<u8>]) -> Vec<u8> {
    let first = &pieces[0];
    let is_v4 = first[12..14] == ethertype::IPV4;
    let head = ETHERNET + if is_v4 { 20 } else { 48 };
    let data: Vec<u8> = pieces
        .iter()
        .flat_map(|piece| piece[head..].iter().copied())
        .collect();
    let mut packet = first[..head].to_vec();
    if is_v4 {
        packet[16..18].copy_from_slice(&(20 + data.len() as u16).to_be_bytes());
        packet[20..22].fill(0);
        packet[24..26].fill(0);
        let sum = !sum(&packet[ETHERNET..]);
        packet[24..26].copy_from_slice(&sum.to_be_bytes());
    } else {
        packet[20] = packet[ETHERNET + 40];
        packet.truncate(ETHERNET + 40);
        packet[18..20].copy_from_slice(&(data.len() as u16).to_be_bytes());
    }
    packet.extend(data);
    packet
}

/// One's complement sum of an IPv4 header.
pub(super) fn sum(header: &[u8]) -> u16 {
    let mut sum: u32 = header
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
