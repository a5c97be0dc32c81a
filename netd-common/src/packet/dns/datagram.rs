//! The datagram around a question, and how it becomes the answer's: addresses and ports change
//! places, lengths and checksums follow. Computes bytes and differences; the adapter stores them.

use super::message::HEADER;
use crate::{
    limits::MAX_DNS_MESSAGE,
    packet::{
        Packet, checksum,
        view::{ETHERNET, View, protocol},
    },
};

/// Octets of an IPv4 header without options.
const IPV4: usize = 20;
/// Octets of an IPv6 header.
const IPV6: usize = 40;
/// Octets of a UDP header.
const UDP: usize = 8;

/// Where a question's message lies. Only plain headers: others are the agent's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// IPv4 (else IPv6).
    pub is_v4: bool,
    /// Octets of the message: at least a header, at most [`MAX_DNS_MESSAGE`].
    pub message_len: usize,
}

/// Changes to the UDP header that turn a question into its answer. Checksums are differences, so
/// that those that the sender's offload has left unfinished stay so, and stay right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Octets of the packet, from the Ethernet header on.
    pub len: u32,
    /// Source and destination port and length, at [`Datagram::transport`].
    pub transport: [u8; 6],
    /// For the UDP checksum, without the pseudo header flag: message and UDP length.
    pub content_delta: u32,
    /// For the UDP checksum, with the pseudo header flag: the UDP length there.
    pub pseudo_delta: u32,
}

impl Datagram {
    /// Offset of the checksum in the UDP header.
    pub const UDP_CHECKSUM: usize = 6;

    /// Finds the message in a packet whose IP header was read. `None`: not a plain UDP datagram,
    /// or one with a longer message.
    pub fn of(view: &View, packet: &impl Packet) -> Option<Datagram> {
        let ip = &view.ip;
        if ip.protocol != protocol::UDP || !ip.is_plain() {
            return None;
        }
        let is_v4 = ip.is_v4();
        let transport = transport(is_v4);
        let udp_len = usize::from(u16::from_be_bytes(packet.read(transport + 4)?));
        let message_len = udp_len.checked_sub(UDP)?;
        let is_whole = transport + udp_len <= ETHERNET + ip.length as usize;
        let is_plain = (HEADER..=MAX_DNS_MESSAGE).contains(&message_len);
        (is_whole && is_plain).then_some(Datagram { is_v4, message_len })
    }

    /// Offset of the UDP header.
    pub fn transport(&self) -> usize {
        transport(self.is_v4)
    }

    /// Offset of the message.
    pub fn message(&self) -> usize {
        transport(self.is_v4) + UDP
    }

    /// The changes for an answer of `answer_len` octets. `message_delta` is the one's complement
    /// difference between the messages, as `bpf_csum_diff` gives it.
    pub fn turn(
        &self,
        packet: &impl Packet,
        answer_len: usize,
        message_delta: u32,
    ) -> Option<Turn> {
        let transport = self.transport();
        let [a, b, c, d, old_high, old_low] = packet.read::<6>(transport)?;
        let udp_len = UDP + answer_len;
        let [new_high, new_low] = (udp_len as u16).to_be_bytes();
        let length_delta = checksum::delta(&[old_high, old_low], &[new_high, new_low]);
        Some(Turn {
            len: (transport + udp_len) as u32,
            transport: [c, d, a, b, new_high, new_low],
            content_delta: checksum::add(message_delta, length_delta),
            pseudo_delta: length_delta,
        })
    }
}

/// The answer's IPv4 header for the question's: addresses change places, length and header
/// checksum follow. (Not one enum for both families: LLVM fills the unused octets of the smaller
/// one with whatever register is at hand, and the verifier refuses where that is a pointer.)
pub fn turned_v4(header: [u8; IPV4], answer_len: usize) -> [u8; IPV4] {
    let [
        v,
        t,
        old_high,
        old_low,
        i,
        j,
        f,
        g,
        ttl,
        protocol,
        sum_high,
        sum_low,
        addresses @ ..,
    ] = header;
    let [s1, s2, s3, s4, d1, d2, d3, d4] = addresses;
    let [high, low] = ((IPV4 + UDP + answer_len) as u16).to_be_bytes();
    let delta = checksum::delta(&[old_high, old_low], &[high, low]);
    let [sum_high, sum_low] = checksum::replace([sum_high, sum_low], delta);
    [
        v, t, high, low, i, j, f, g, ttl, protocol, sum_high, sum_low, d1, d2, d3, d4, s1, s2, s3,
        s4,
    ]
}

/// The answer's IPv6 header for the question's.
pub fn turned_v6(header: [u8; IPV6], answer_len: usize) -> [u8; IPV6] {
    let mut turned = header;
    let (fixed, addresses) = turned.split_at_mut(8);
    let (source, destination) = addresses.split_at_mut(16);
    source.swap_with_slice(destination);
    if let Some(length) = fixed.get_mut(4..6) {
        length.copy_from_slice(&((UDP + answer_len) as u16).to_be_bytes());
    }
    turned
}

const fn transport(is_v4: bool) -> usize {
    ETHERNET + if is_v4 { IPV4 } else { IPV6 }
}

#[cfg(test)]
mod tests {
    use super::{Datagram, turned_v4, turned_v6};
    use crate::packet::{
        Packet,
        checksum::{add, finish, replace},
        view::{self, ETHERNET, View},
    };

    const MAC: [u8; 6] = [2, 0x42, 0, 0, 0, 7];
    const GATEWAY_MAC: [u8; 6] = [2, 0x42, 0, 0, 0, 1];

    /// One's complement sum of bytes in memory order, as `bpf_csum_diff` takes it.
    fn sum(bytes: &[u8]) -> u32 {
        bytes.chunks(2).fold(0, |sum, pair| {
            let word = [pair[0], pair.get(1).copied().unwrap_or(0)];
            add(sum, u32::from(u16::from_ne_bytes(word)))
        })
    }

    fn udp_checksum(packet: &[u8], is_v4: bool) -> [u8; 2] {
        let (transport, addresses) = if is_v4 { (34, 26..34) } else { (54, 22..54) };
        let mut datagram = packet[transport..].to_vec();
        datagram[6..8].fill(0);
        let mut all = add(sum(&packet[addresses]), sum(&datagram));
        all = add(all, sum(&[0, 17]));
        all = add(all, sum(&(datagram.len() as u16).to_be_bytes()));
        finish(all)
    }

    fn packet(is_v4: bool, message: &[u8]) -> Vec<u8> {
        let udp_len = (8 + message.len()) as u16;
        let mut bytes = [GATEWAY_MAC, MAC].concat();
        if is_v4 {
            bytes.extend([0x08, 0x00, 0x45, 0]);
            bytes.extend((20 + udp_len).to_be_bytes());
            bytes.extend([
                0x12, 0x34, 0x40, 0, 64, 17, 0, 0, 172, 18, 0, 2, 172, 18, 0, 1,
            ]);
            let checksum = finish(sum(&bytes[14..34]));
            bytes[24..26].copy_from_slice(&checksum);
        } else {
            bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            bytes.extend(udp_len.to_be_bytes());
            bytes.extend([17, 64]);
            bytes.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
            bytes.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        }
        bytes.extend([0xa1, 0xb2, 0x27, 0x45]);
        bytes.extend(udp_len.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(message);
        let checksum = udp_checksum(&bytes, is_v4);
        let at = bytes.len() - message.len() - 2;
        bytes[at..at + 2].copy_from_slice(&checksum);
        bytes
    }

    fn parse(packet: &[u8]) -> Option<Datagram> {
        let mut headers = View::default();
        view::read(&packet, &mut headers).ok()?;
        Datagram::of(&headers, &packet)
    }

    /// The differences lead to what a full sum over the answer gives.
    #[test]
    fn the_turned_packet_is_the_answer_with_right_checksums() {
        for is_v4 in [true, false] {
            for (question, answer) in [(20, 36), (21, 300), (64, 41), (511, 12), (30, 30)] {
                let question: Vec<u8> = (0..question).map(|i| (i * 7) as u8).collect();
                let answer: Vec<u8> = (0..answer).map(|i| (i * 13 + 5) as u8).collect();
                let packet = packet(is_v4, &question);
                let view = packet.as_slice();
                let datagram = parse(view).expect("plain");
                assert_eq!(
                    (datagram.is_v4, datagram.message_len),
                    (is_v4, question.len())
                );
                let delta = add(!sum(&question), sum(&answer));
                let turn = datagram
                    .turn(&view, answer.len(), delta)
                    .expect("headers are there");

                let transport = datagram.transport();
                let mut turned = packet[..datagram.message()].to_vec();
                if is_v4 {
                    let header = turned_v4(view.read(14).expect("there"), answer.len());
                    turned[14..34].copy_from_slice(&header);
                } else {
                    let header = turned_v6(view.read(14).expect("there"), answer.len());
                    turned[14..54].copy_from_slice(&header);
                }
                turned[transport..transport + 6].copy_from_slice(&turn.transport);
                turned.extend(&answer);
                assert_eq!(turned.len(), turn.len as usize);
                let at = transport + Datagram::UDP_CHECKSUM;
                let new = replace([packet[at], packet[at + 1]], turn.content_delta);
                let new = replace(new, turn.pseudo_delta);
                assert_eq!(new, udp_checksum(&turned, is_v4));

                assert_eq!(turned[transport..transport + 4], [0x27, 0x45, 0xa1, 0xb2]);
                if is_v4 {
                    assert_eq!(finish(sum(&turned[14..34])), [0, 0]);
                    assert_eq!(turned[26..34], [172, 18, 0, 1, 172, 18, 0, 2]);
                    let total = u16::from_be_bytes([turned[16], turned[17]]);
                    assert_eq!(usize::from(total), turned.len() - ETHERNET);
                } else {
                    assert_eq!((turned[37], turned[53]), (1, 2));
                }
            }
        }
    }

    #[test]
    fn other_packets_are_the_agents() {
        for is_v4 in [true, false] {
            let good = packet(is_v4, &[0; 20]);
            for len in 0..good.len() {
                assert_eq!(parse(&good[..len]), None, "{len}");
            }
            let protocol = if is_v4 { 23 } else { 20 };
            for (at, octet) in [(12, 0x81), (protocol, 6)] {
                let mut bad = good.clone();
                bad[at] = octet;
                assert_eq!(parse(&bad), None, "{at}");
            }
            let short = if is_v4 { 39 } else { 59 };
            let mut bad = good.clone();
            bad[short] = 8 + 11;
            assert_eq!(parse(&bad), None);
            assert_eq!(parse(&packet(is_v4, &[0; 513])), None);
        }
        for (at, octet) in [(14, 0x46), (20, 0x20), (21, 1)] {
            let mut bad = packet(true, &[0; 20]);
            bad[at] = octet;
            assert_eq!(parse(&bad), None, "{at}");
        }
    }
}
