//! Frames with right checksums, of both families.

use alloc::vec::Vec;

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
        let (protocol, payload) = self.payload();
        let mut bytes = [&self.to[..], &self.from].concat();
        if self.source.is_v4() {
            bytes.extend(ethertype::IPV4);
            bytes.extend([0x45, 0]);
            bytes.extend((20 + payload.len() as u16).to_be_bytes());
            bytes.extend([0x12, 0x34, 0x40, 0, self.hops, protocol, 0, 0]);
            bytes.extend(self.source.octets_v4());
            bytes.extend(self.destination.octets_v4());
        } else {
            bytes.extend(ethertype::IPV6);
            bytes.extend([0x60, 0, 0, 0]);
            bytes.extend((payload.len() as u16).to_be_bytes());
            bytes.extend([protocol, self.hops]);
            bytes.extend(self.source.0);
            bytes.extend(self.destination.0);
        }
        bytes.extend(payload);
        correct_sums(&mut bytes);
        bytes
    }

    /// Protocol and bytes; a UDP checksum of 0 will stay.
    fn payload(&self) -> (u8, Vec<u8>) {
        let words = |a: u16, b: u16| [a.to_be_bytes(), b.to_be_bytes()].concat();
        let udp = |source, destination, checksum: u8, data: &[u8]| {
            let length = (8 + data.len() as u16).to_be_bytes();
            let bytes = [
                &words(source, destination)[..],
                &length,
                &[checksum; 2],
                data,
            ];
            (protocol::UDP, bytes.concat())
        };
        let (icmp, request, reply) = if self.source.is_v4() {
            (protocol::ICMP, 8, 0)
        } else {
            (protocol::ICMPV6, 128, 129)
        };
        let icmp = |kind: u8, rest: &[u8]| (icmp, [&[kind, 0, 0, 0], rest].concat());
        match &self.payload {
            Payload::Tcp(source, destination, flags) => {
                let mut bytes = words(*source, *destination);
                bytes.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, *flags, 0xff, 0xff, 0, 0, 0, 0]);
                (protocol::TCP, bytes)
            }
            Payload::Udp(source, destination, data) => udp(*source, *destination, 0xff, data),
            Payload::UdpUnchecked(source, destination, data) => udp(*source, *destination, 0, data),
            Payload::EchoRequest(identifier, sequence) => {
                icmp(request, &words(*identifier, *sequence))
            }
            Payload::EchoReply(identifier, sequence) => icmp(reply, &words(*identifier, *sequence)),
            Payload::Icmp(kind, rest) => icmp(*kind, rest),
            Payload::Other(protocol, bytes) => (*protocol, bytes.clone()),
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

/// Makes IPv4 header and transport checksum right; a UDP checksum of 0 stays.
pub fn correct_sums(packet: &mut [u8]) {
    let parts = Parts::of(packet);
    if parts.payload == ETHERNET + 20 {
        packet[ETHERNET + 10..ETHERNET + 12].fill(0);
        let sum = !fold(add(&packet[ETHERNET..ETHERNET + 20]));
        packet[ETHERNET + 10..ETHERNET + 12].copy_from_slice(&sum.to_be_bytes());
    }
    let at = parts.payload
        + match parts.protocol {
            protocol::TCP => 16,
            protocol::UDP => 6,
            protocol::ICMP | protocol::ICMPV6 => 2,
            _ => return,
        };
    if packet.len() < at + 2 || (parts.protocol == protocol::UDP && packet[at..at + 2] == [0; 2]) {
        return;
    }
    packet[at..at + 2].fill(0);
    let mut sum = !fold(parts.sum(packet));
    if sum == 0 && parts.protocol == protocol::UDP {
        sum = 0xffff;
    }
    packet[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// Whether IPv4 header and transport checksum of a TCP, UDP or ICMP packet are right; a UDP
/// checksum of 0 is, in IPv4.
pub fn sums_are_right(packet: &[u8]) -> bool {
    let parts = Parts::of(packet);
    let is_v4 = parts.payload == ETHERNET + 20;
    if is_v4 && fold(add(&packet[ETHERNET..ETHERNET + 20])) != 0xffff {
        return false;
    }
    let payload = &packet[parts.payload..];
    if parts.protocol == protocol::UDP && payload[6..8] == [0, 0] {
        return is_v4;
    }
    fold(parts.sum(packet)) == 0xffff
}

/// What a checksum needs to know of a packet.
struct Parts {
    protocol: u8,
    payload: usize,
    pseudo: Vec<u8>,
}

impl Parts {
    fn of(packet: &[u8]) -> Parts {
        let (protocol, addresses, payload) = if packet[12..14] == ethertype::IPV4 {
            (packet[ETHERNET + 9], ETHERNET + 12, ETHERNET + 20)
        } else {
            (packet[ETHERNET + 6], ETHERNET + 8, ETHERNET + 40)
        };
        let mut pseudo = Vec::new();
        if protocol != protocol::ICMP {
            pseudo.extend(&packet[addresses..payload]);
            pseudo.extend(((packet.len() - payload) as u32).to_be_bytes());
            pseudo.extend([0, 0, 0, protocol]);
        }
        Parts {
            protocol,
            payload,
            pseudo,
        }
    }

    fn sum(&self, packet: &[u8]) -> u64 {
        add(&self.pseudo) + add(&packet[self.payload..])
    }
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
