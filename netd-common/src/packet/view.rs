//! What a packet is: one parse for both families, down to the transport header. Judges nothing:
//! what cannot be attributed to a flow is noted, and a decision says what then.
//!
//! The view stands in [`super::Work`], and what fills it is never inlined: so the verifier forgets
//! which path wrote a flag, instead of following every combination of them to the end.

use zerocopy::FromBytes;

use super::{Packet, transport::Transport};
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

/// A packet's headers, as far as a decision has read them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes)]
pub struct View {
    /// The Ethernet header.
    pub frame: Frame,
    /// The IP header.
    pub ip: Ip,
    /// The transport header, where it was read and is one of those that flows are made of.
    pub transport: Transport,
}

/// The Ethernet header.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes)]
pub struct Frame {
    /// Destination MAC.
    pub destination: [u8; 6],
    /// Source MAC.
    pub source: [u8; 6],
    /// [`ethertype`].
    pub ethertype: [u8; 2],
    /// Zero.
    pub reserved: [u8; 2],
}

/// An IP header of either family.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes)]
pub struct Ip {
    /// Source address.
    pub source: Addr,
    /// Destination address.
    pub destination: Addr,
    /// Octets from the IP header on, as the header says.
    pub length: u32,
    /// Offset of the transport header; of IPv6, of what follows the fixed header.
    pub transport: u16,
    /// [`protocol`]; of IPv6, the first next-header.
    pub protocol: u8,
    /// TTL or hop limit.
    pub hops: u8,
    /// [`traits`].
    pub traits: u32,
}

/// Bits of [`Ip::traits`].
pub mod traits {
    /// IPv4 (else IPv6).
    pub const IS_V4: u32 = 1;
    /// A fragment.
    pub const FRAGMENT: u32 = 1 << 1;
    /// A fragment but the first: there is no transport header.
    pub const LATER_FRAGMENT: u32 = 1 << 2;
    /// IPv4 with options.
    pub const OPTIONS: u32 = 1 << 3;
    /// IPv6 with an extension header.
    pub const EXTENSION: u32 = 1 << 4;
}

impl Ip {
    /// IPv4 (else IPv6).
    pub fn is_v4(&self) -> bool {
        self.traits & traits::IS_V4 != 0
    }

    /// That the packet can be attributed to a flow.
    ///
    /// # Errors
    /// Why not.
    pub fn unobstructed(&self) -> Result<(), DropReason> {
        if self.traits & traits::FRAGMENT != 0 {
            Err(DropReason::Fragment)
        } else if self.traits & traits::OPTIONS != 0 {
            Err(DropReason::IpOptions)
        } else if self.traits & traits::EXTENSION != 0 {
            Err(DropReason::ExtensionHeader)
        } else {
            Ok(())
        }
    }
}

/// Reads Ethernet and IP header of a packet.
///
/// # Errors
/// Those of [`read_frame`] and [`read_ip`].
pub fn read<P: Packet>(packet: &P, view: &mut View) -> Result<(), DropReason> {
    read_frame(packet, view)?;
    read_ip(packet, view)
}

/// Reads the Ethernet header.
///
/// # Errors
/// [`DropReason::Truncated`] where there is none.
pub fn read_frame<P: Packet>(packet: &P, view: &mut View) -> Result<(), DropReason> {
    let header = packet.read::<ETHERNET>(0).ok_or(DropReason::Truncated)?;
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, e0, e1] = header;
    view.frame.destination = [d0, d1, d2, d3, d4, d5];
    view.frame.source = [s0, s1, s2, s3, s4, s5];
    view.frame.ethertype = [e0, e1];
    Ok(())
}

/// Reads the IP header of a frame whose ethertype is one of IP.
///
/// # Errors
/// [`DropReason::UnknownEthertype`]; [`DropReason::Truncated`] where lengths contradict each
/// other or the packet; [`DropReason::MappedAddress`] where IPv6 carries a v4-mapped address: it
/// would alias IPv4.
// Not inlined, so that its callers read the view from memory. (With the view in their registers
// and stack the verifier walked 21,300 instructions of `to_endpoint`, instead of 3,400.)
#[inline(never)]
pub fn read_ip<P: Packet>(packet: &P, view: &mut View) -> Result<(), DropReason> {
    let read = match view.frame.ethertype {
        ethertype::IPV4 => v4(packet, &mut view.ip),
        ethertype::IPV6 => v6(packet, &mut view.ip),
        _ => return Err(DropReason::UnknownEthertype),
    };
    read.ok_or(DropReason::Truncated)?;
    let ip = &view.ip;
    if !ip.is_v4() && (ip.source.is_v4() || ip.destination.is_v4()) {
        return Err(DropReason::MappedAddress);
    }
    Ok(())
}

/// IPv4 (RFC 791), `None` where it is malformed.
fn v4<P: Packet>(packet: &P, ip: &mut Ip) -> Option<()> {
    let header = packet.read::<20>(ETHERNET)?;
    let [version, _, l0, l1, _, _, f0, f1, hops, protocol, _, _, ..] = header;
    let [.., s0, s1, s2, s3, d0, d1, d2, d3] = header;
    let words = u32::from(version & 0x0f);
    let total = u32::from(u16::from_be_bytes([l0, l1]));
    ip.length = declared_length(packet, total, total == 0)?;
    if version >> 4 != 4 || words < 5 || ip.length < words * 4 {
        return None;
    }
    ip.source = Addr::v4([s0, s1, s2, s3]);
    ip.destination = Addr::v4([d0, d1, d2, d3]);
    ip.protocol = protocol;
    ip.hops = hops;
    ip.transport = ETHERNET as u16 + words as u16 * 4;
    ip.traits = traits::IS_V4;
    let fragment = u16::from_be_bytes([f0, f1]) & 0x3fff;
    if fragment != 0 {
        ip.traits |= traits::FRAGMENT;
    }
    if fragment & 0x1fff != 0 {
        ip.traits |= traits::LATER_FRAGMENT;
    }
    if words > 5 {
        ip.traits |= traits::OPTIONS;
    }
    Some(())
}

/// IPv6 (RFC 8200), `None` where it is malformed.
fn v6<P: Packet>(packet: &P, ip: &mut Ip) -> Option<()> {
    let fixed = packet.read::<8>(ETHERNET)?;
    let [version, _, _, _, l0, l1, protocol, hops] = fixed;
    let payload = u32::from(u16::from_be_bytes([l0, l1]));
    ip.length = declared_length(packet, payload + 40, payload == 0)?;
    if version >> 4 != 6 {
        return None;
    }
    ip.source = Addr::v6(packet.read::<16>(ETHERNET + 8)?);
    ip.destination = Addr::v6(packet.read::<16>(ETHERNET + 24)?);
    ip.protocol = protocol;
    ip.hops = hops;
    ip.transport = ETHERNET as u16 + 40;
    ip.traits = 0;
    if protocol == protocol::FRAGMENT {
        ip.traits = traits::FRAGMENT;
    } else if protocol::EXTENSIONS.contains(&protocol) {
        ip.traits = traits::EXTENSION;
    }
    Some(())
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
