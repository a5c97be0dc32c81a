//! Frames with right checksums, of both families.

use alloc::{vec, vec::Vec};

use crate::{
    Addr,
    packet::view::{ETHERNET, ethertype, protocol},
};

/// What is behind the IP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// TCP with these ports and flags, no data.
    Tcp(u16, u16, u8),
    /// UDP with these ports and data.
    Udp(u16, u16, Vec<u8>),
    /// UDP without a checksum.
    UdpUnchecked(u16, u16, Vec<u8>),
    /// An echo request with identifier and sequence number.
    EchoRequest(u16, u16),
    /// An echo reply with identifier and sequence number.
    EchoReply(u16, u16),
    /// ICMP or ICMPv6 of this type, code 0, and what follows the checksum.
    Icmp(u8, Vec<u8>),
    /// Any other protocol.
    Other(u8, Vec<u8>),
}

/// An Ethernet frame with an IP packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Destination MAC.
    pub to: [u8; 6],
    /// Source MAC.
    pub from: [u8; 6],
    /// Source address; its family is the packet's.
    pub source: Addr,
    /// Destination address.
    pub destination: Addr,
    /// TTL or hop limit.
    pub hops: u8,
    /// What is behind the IP header.
    pub payload: Payload,
}

impl Frame {
    /// The bytes, with right checksums.
    pub fn bytes(&self) -> Vec<u8> {
        let is_v4 = self.source.is_v4();
        let (protocol, mut payload, checksum) = self.payload(is_v4);
        if let Some(at) = checksum {
            let pseudo = pseudo(&self.source, &self.destination, protocol, payload.len());
            let covered: &[u8] = if protocol == protocol::ICMP {
                &[]
            } else {
                &pseudo
            };
            let mut sum = !fold(add(covered) + add(&payload));
            if sum == 0 && protocol == protocol::UDP {
                sum = 0xffff;
            }
            payload[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        }
        let mut bytes = [&self.to[..], &self.from].concat();
        if is_v4 {
            bytes.extend(ethertype::IPV4);
            bytes.extend(self.header_v4(protocol, payload.len()));
        } else {
            bytes.extend(ethertype::IPV6);
            bytes.extend([0x60, 0, 0, 0]);
            bytes.extend((payload.len() as u16).to_be_bytes());
            bytes.extend([protocol, self.hops]);
            bytes.extend(self.source.0);
            bytes.extend(self.destination.0);
        }
        bytes.extend(payload);
        bytes
    }

    fn header_v4(&self, protocol: u8, payload: usize) -> Vec<u8> {
        let mut header = vec![0x45, 0];
        header.extend((20 + payload as u16).to_be_bytes());
        header.extend([0x12, 0x34, 0x40, 0, self.hops, protocol, 0, 0]);
        header.extend(self.source.octets_v4());
        header.extend(self.destination.octets_v4());
        let sum = !fold(add(&header));
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        header
    }

    /// Protocol, bytes, and where the checksum goes.
    fn payload(&self, is_v4: bool) -> (u8, Vec<u8>, Option<usize>) {
        let ports = |source: u16, destination: u16| {
            [source.to_be_bytes(), destination.to_be_bytes()].concat()
        };
        let udp = |source, destination, data: &[u8]| {
            let length = (8 + data.len() as u16).to_be_bytes();
            [&ports(source, destination)[..], &length, &[0, 0], data].concat()
        };
        let icmp = |kind: u8, rest: &[u8]| [&[kind, 0, 0, 0], rest].concat();
        let icmp_protocol = if is_v4 {
            protocol::ICMP
        } else {
            protocol::ICMPV6
        };
        let (request, reply) = if is_v4 { (8, 0) } else { (128, 129) };
        match &self.payload {
            Payload::Tcp(source, destination, flags) => {
                let mut bytes = ports(*source, *destination);
                bytes.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, *flags, 0xff, 0xff, 0, 0, 0, 0]);
                (protocol::TCP, bytes, Some(16))
            }
            Payload::Udp(source, destination, data) => {
                (protocol::UDP, udp(*source, *destination, data), Some(6))
            }
            Payload::UdpUnchecked(source, destination, data) => {
                (protocol::UDP, udp(*source, *destination, data), None)
            }
            Payload::EchoRequest(identifier, sequence) => {
                let bytes = icmp(request, &ports(*identifier, *sequence));
                (icmp_protocol, bytes, Some(2))
            }
            Payload::EchoReply(identifier, sequence) => {
                let bytes = icmp(reply, &ports(*identifier, *sequence));
                (icmp_protocol, bytes, Some(2))
            }
            Payload::Icmp(kind, rest) => (icmp_protocol, icmp(*kind, rest), Some(2)),
            Payload::Other(protocol, bytes) => (*protocol, bytes.clone(), None),
        }
    }
}

/// Source and destination port of a packet without IP options.
pub fn ports(packet: &[u8]) -> [u16; 2] {
    let at = if packet[12..14] == ethertype::IPV4 {
        ETHERNET + 20
    } else {
        ETHERNET + 40
    };
    let port = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    [port(at), port(at + 2)]
}

/// Whether IPv4 header and transport checksum of a TCP, UDP or ICMP packet are right; a UDP
/// checksum of 0 is, in IPv4.
pub fn sums_are_right(packet: &[u8]) -> bool {
    let is_v4 = packet[12..14] == ethertype::IPV4;
    let (protocol, source, destination, payload) = if is_v4 {
        let header = &packet[ETHERNET..ETHERNET + 20];
        if fold(add(header)) != 0xffff {
            return false;
        }
        let address = |at: usize| Addr::v4([0, 1, 2, 3].map(|i| packet[ETHERNET + at + i]));
        (
            header[9],
            address(12),
            address(16),
            &packet[ETHERNET + 20..],
        )
    } else {
        let address = |at: usize| Addr(core::array::from_fn(|i| packet[ETHERNET + at + i]));
        let protocol = packet[ETHERNET + 6];
        (protocol, address(8), address(24), &packet[ETHERNET + 40..])
    };
    if protocol == protocol::UDP && payload[6..8] == [0, 0] {
        return is_v4;
    }
    let mut sum = add(payload);
    if protocol != protocol::ICMP {
        sum += add(&pseudo(&source, &destination, protocol, payload.len()));
    }
    fold(sum) == 0xffff
}

/// The pseudo header; that of IPv4 sums up to the same with its addresses in sixteen octets,
/// except for the prefix.
fn pseudo(source: &Addr, destination: &Addr, protocol: u8, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for address in [source, destination] {
        if address.is_v4() {
            bytes.extend(address.octets_v4());
        } else {
            bytes.extend(address.0);
        }
    }
    bytes.extend((length as u32).to_be_bytes());
    bytes.extend([0, 0, 0, protocol]);
    bytes
}

/// The sum of big-endian words, an odd octet padded: written apart from the code under test.
fn add(bytes: &[u8]) -> u64 {
    bytes
        .chunks(2)
        .map(|pair| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0)))
        .sum()
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
