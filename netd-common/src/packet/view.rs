//! What a packet is: one parse for both families, down to where the transport header begins.
//! Judges nothing: what cannot be attributed to a flow is noted, and a decision says what then.

use super::Packet;
use crate::{Addr, DropReason};

/// Octets of an Ethernet header: where the IP header begins.
pub const ETHERNET: usize = 14;

/// Ethertypes, network order.
pub mod ethertype {
    /// IPv4.
    pub const IPV4: [u8; 2] = [0x08, 0x00];
    /// ARP (RFC 826).
    pub const ARP: [u8; 2] = [0x08, 0x06];
    /// IPv6.
    pub const IPV6: [u8; 2] = [0x86, 0xdd];
}

/// IP protocol numbers.
pub mod protocol {
    /// ICMP, of IPv4 only.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMPv6, of IPv6 only.
    pub const ICMPV6: u8 = 58;
    /// IPv6 extension headers (RFC 8200 section 4, RFC 4302): hop-by-hop options, routing,
    /// authentication, destination options.
    pub const EXTENSIONS: [u8; 4] = [0, 43, 51, 60];
    /// The IPv6 fragment header.
    pub const FRAGMENT: u8 = 44;
}

/// The Ethernet header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Destination MAC.
    pub destination: [u8; 6],
    /// Source MAC.
    pub source: [u8; 6],
    /// [`ethertype`].
    pub ethertype: [u8; 2],
}

/// An IP header of either family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ip {
    /// IPv4 (else IPv6).
    pub is_v4: bool,
    /// Source address.
    pub source: Addr,
    /// Destination address.
    pub destination: Addr,
    /// [`protocol`]; of IPv6, the first next-header.
    pub protocol: u8,
    /// TTL or hop limit.
    pub hops: u8,
    /// Offset of the transport header; of IPv6, of what follows the fixed header.
    pub transport: u16,
    /// Octets from the IP header on, as the header says.
    pub length: u32,
    /// Why the packet cannot be attributed to a flow, if so.
    pub obstacle: Option<DropReason>,
    /// A fragment but the first: there is no transport header.
    pub later_fragment: bool,
}

/// Reads the Ethernet header; [`DropReason::Truncated`] where there is none.
pub fn frame<P: Packet>(packet: &P) -> Result<Frame, DropReason> {
    let header = packet.read::<ETHERNET>(0).ok_or(DropReason::Truncated)?;
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, e0, e1] = header;
    Ok(Frame {
        destination: [d0, d1, d2, d3, d4, d5],
        source: [s0, s1, s2, s3, s4, s5],
        ethertype: [e0, e1],
    })
}

/// Reads the IP header of a frame whose ethertype is one of IP.
///
/// # Errors
/// [`DropReason::Truncated`] where lengths contradict each other or the packet,
/// [`DropReason::MappedAddress`] where IPv6 carries a v4-mapped address: it would alias IPv4.
pub fn ip<P: Packet>(packet: &P, frame: &Frame) -> Result<Ip, DropReason> {
    let ip = match frame.ethertype {
        ethertype::IPV4 => v4(packet),
        ethertype::IPV6 => v6(packet),
        _ => return Err(DropReason::UnknownEthertype),
    };
    ip.ok_or(DropReason::Truncated).and_then(|ip| {
        if !ip.is_v4 && (ip.source.is_v4() || ip.destination.is_v4()) {
            return Err(DropReason::MappedAddress);
        }
        Ok(ip)
    })
}

/// IPv4 (RFC 791), `None` where it is malformed.
fn v4<P: Packet>(packet: &P) -> Option<Ip> {
    let header = packet.read::<20>(ETHERNET)?;
    let [version, _, l0, l1, _, _, f0, f1, hops, protocol, _, _, ..] = header;
    let [.., s0, s1, s2, s3, d0, d1, d2, d3] = header;
    let words = u32::from(version & 0x0f);
    let total = u32::from(u16::from_be_bytes([l0, l1]));
    let length = declared_length(packet, total, total == 0)?;
    if version >> 4 != 4 || words < 5 || length < words * 4 {
        return None;
    }
    let fragment = u16::from_be_bytes([f0, f1]) & 0x3fff;
    Some(Ip {
        is_v4: true,
        source: Addr::v4([s0, s1, s2, s3]),
        destination: Addr::v4([d0, d1, d2, d3]),
        protocol,
        hops,
        transport: ETHERNET as u16 + words as u16 * 4,
        length,
        obstacle: if fragment != 0 {
            Some(DropReason::Fragment)
        } else if words > 5 {
            Some(DropReason::IpOptions)
        } else {
            None
        },
        later_fragment: fragment & 0x1fff != 0,
    })
}

/// IPv6 (RFC 8200), `None` where it is malformed.
fn v6<P: Packet>(packet: &P) -> Option<Ip> {
    let fixed = packet.read::<8>(ETHERNET)?;
    let [version, _, _, _, l0, l1, protocol, hops] = fixed;
    let payload = u32::from(u16::from_be_bytes([l0, l1]));
    let length = declared_length(packet, payload + 40, payload == 0)?;
    if version >> 4 != 6 {
        return None;
    }
    Some(Ip {
        is_v4: false,
        source: Addr::v6(packet.read::<16>(ETHERNET + 8)?),
        destination: Addr::v6(packet.read::<16>(ETHERNET + 24)?),
        protocol,
        hops,
        transport: ETHERNET as u16 + 40,
        length,
        obstacle: if protocol == protocol::FRAGMENT {
            Some(DropReason::Fragment)
        } else if protocol::EXTENSIONS.contains(&protocol) {
            Some(DropReason::ExtensionHeader)
        } else {
            None
        },
        later_fragment: false,
    })
}

/// The length a header declares, if the packet has it. Super-packets of more than 65,535 octets
/// (BIG TCP) declare none: then it is the packet's.
fn declared_length<P: Packet>(packet: &P, declared: u32, undeclared: bool) -> Option<u32> {
    let present = packet.length().checked_sub(ETHERNET)? as u32;
    if undeclared && present > 0xffff {
        return Some(present);
    }
    (declared <= present).then_some(declared)
}
