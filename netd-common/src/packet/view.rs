//! What a packet is: one parse for both families, down to the transport header. Judges
//! only what no decision could carry; the rest is noted.
//!
//! The view stands in [`super::Work`], and what fills it is never inlined: so the verifier forgets
//! which path wrote a flag, instead of following every combination of them to the end.

use zerocopy::{FromBytes, FromZeros as _, Immutable, IntoBytes, KnownLayout};

use super::{Packet, extension, options, transport::Transport};
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
    /// SCTP.
    pub const SCTP: u8 = 132;
    /// The IPv6 extension header of hop-by-hop options (RFC 8200 section 4).
    pub const HOP_BY_HOP: u8 = 0;
    /// The one of routing.
    pub const ROUTING: u8 = 43;
    /// The one of fragments.
    pub const FRAGMENT: u8 = 44;
    /// The one of destination options.
    pub const DESTINATION: u8 = 60;
}

/// A packet's headers, as far as a decision has read them.
// Aligned, so that LLVM moves addresses as words: it knows no unaligned access for BPF.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes)]
pub struct View {
    /// The packet's beginning.
    pub frame: Frame,
    /// The IP header.
    pub ip: Ip,
    /// The transport header, where it was read and is one of those that flows are made of.
    pub transport: Transport,
}

/// The packet's beginning as it is: one read of the packet, and the IP header stands aligned.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Frame {
    /// Not of the packet.
    pub reserved: [u8; 2],
    /// Destination MAC.
    pub destination: [u8; 6],
    /// Source MAC.
    pub source: [u8; 6],
    /// [`ethertype`].
    pub ethertype: [u8; 2],
    /// What follows, as far as the packet has it; behind that, of a former one.
    pub header: [u8; 40],
}

impl Frame {
    /// Ethernet, IPv4 and TCP header, or Ethernet and IPv6 header.
    const MOST: usize = ETHERNET + 40;
    /// Ethernet, IPv4 and UDP header: what hardly a packet is shorter than.
    const MANY: usize = ETHERNET + 28;

    /// Whether this is for several: multicast or broadcast (IEEE 802.3's group bit).
    pub fn is_group(&self) -> bool {
        self.destination[0] & 1 != 0
    }

    /// The IPv4 header's words, and what follows.
    pub fn words(&self) -> &[[u8; 4]; 10] {
        // Always there: forty octets are ten words.
        const NONE: &[[u8; 4]; 10] = &[[0; 4]; 10];
        let (words, _) = self.header.as_chunks::<4>();
        words.first_chunk().unwrap_or(NONE)
    }

    /// Reads as much as there is, in one step for nearly all packets.
    fn read<P: Packet>(&mut self, packet: &P) -> Option<()> {
        let bytes = self.as_mut_bytes().get_mut(2..)?;
        let length = packet.length();
        if length >= Frame::MOST {
            return packet.read_into(0, bytes.first_chunk_mut::<{ Frame::MOST }>()?);
        }
        if length >= Frame::MANY {
            return packet.read_into(0, bytes.first_chunk_mut::<{ Frame::MANY }>()?);
        }
        packet.read_into(0, bytes.first_chunk_mut::<ETHERNET>()?)?;
        if length >= ETHERNET + 20 {
            packet.read_into(ETHERNET, self.header.first_chunk_mut::<20>()?)?;
        }
        Some(())
    }
}

impl Default for Frame {
    fn default() -> Frame {
        Frame::new_zeroed()
    }
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
    /// Offset of the transport header.
    pub transport: u16,
    /// [`protocol`], behind all extension headers.
    pub protocol: u8,
    /// TTL or hop limit.
    pub hops: u8,
    /// [`traits`].
    pub traits: u32,
    /// Of a fragment: its datagram's identification; IPv4's two octets come first.
    pub identification: [u8; 4],
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
    /// IPv4 that must not be fragmented.
    pub const DONT_FRAGMENT: u32 = 1 << 5;
    /// Larger than the way out takes, and to be fragmented by the host's stack.
    pub const OVERSIZE: u32 = 1 << 6;
}

impl Ip {
    /// IPv4 (else IPv6).
    pub fn is_v4(&self) -> bool {
        self.traits & traits::IS_V4 != 0
    }

    /// Whether this is a whole packet whose transport header follows the fixed IP header at once.
    pub fn is_plain(&self) -> bool {
        self.traits & (traits::FRAGMENT | traits::OPTIONS | traits::EXTENSION) == 0
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

/// Reads the Ethernet header and the beginning of what follows.
///
/// # Errors
/// [`DropReason::Truncated`] where there is none.
pub fn read_frame<P: Packet>(packet: &P, view: &mut View) -> Result<(), DropReason> {
    view.frame.read(packet).ok_or(DropReason::Truncated)
}

/// Reads the IP header of a frame whose ethertype is one of IP.
///
/// # Errors
/// [`DropReason::UnknownEthertype`]; [`DropReason::Truncated`] where lengths contradict each
/// other or the packet; [`DropReason::MappedAddress`] where IPv6 carries a v4-mapped address: it
/// would alias IPv4; [`DropReason::IpOptions`], [`DropReason::ExtensionHeader`].
// Not inlined, so that its callers read the view from memory. (With the view in their registers
// and stack the verifier walked 21,300 instructions of `to_endpoint`, instead of 3,400.)
#[inline(never)]
pub fn read_ip<P: Packet>(packet: &P, view: &mut View) -> Result<(), DropReason> {
    let read = match view.frame.ethertype {
        ethertype::IPV4 => v4(packet, view.frame.words(), &mut view.ip),
        ethertype::IPV6 => v6(packet, &view.frame.header, &mut view.ip),
        _ => return Err(DropReason::UnknownEthertype),
    };
    read.ok_or(DropReason::Truncated)?;
    let ip = &view.ip;
    if !ip.is_v4() && (ip.source.is_v4() || ip.destination.is_v4()) {
        return Err(DropReason::MappedAddress);
    }
    if ip.traits & traits::OPTIONS != 0 {
        return options::judge(packet, ip);
    }
    if ip.traits & traits::EXTENSION != 0 {
        return extension::skip(packet, &mut view.ip);
    }
    Ok(())
}

/// IPv4 (RFC 791), `None` where it is malformed.
fn v4<P: Packet>(packet: &P, header: &[[u8; 4]; 10], ip: &mut Ip) -> Option<()> {
    let [first, second, third, source, destination, ..] = header;
    let ([version, _, length @ ..], [id0, id1, fragment @ ..]) = (*first, *second);
    let [hops, protocol, _, _] = *third;
    let words = u32::from(version & 0x0f);
    let total = u32::from(u16::from_be_bytes(length));
    let present = packet.length().checked_sub(ETHERNET)? as u32;
    if present < 20 {
        return None;
    }
    ip.length = declared_length(present, total, total == 0)?;
    if version >> 4 != 4 || words < 5 || ip.length < words * 4 {
        return None;
    }
    ip.source.set_v4(source);
    ip.destination.set_v4(destination);
    ip.protocol = protocol;
    ip.hops = hops;
    ip.transport = ETHERNET as u16 + words as u16 * 4;
    ip.traits = traits::IS_V4;
    let fragment = u16::from_be_bytes(fragment);
    if fragment & 0x4000 != 0 {
        ip.traits |= traits::DONT_FRAGMENT;
    }
    if fragment & 0x3fff != 0 {
        ip.traits |= traits::FRAGMENT;
        ip.identification = [id0, id1, 0, 0];
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
fn v6<P: Packet>(packet: &P, header: &[u8; 40], ip: &mut Ip) -> Option<()> {
    let (fields, addresses) = header.split_first_chunk::<8>()?;
    let [version, _, _, _, l0, l1, protocol, hops] = *fields;
    let payload = u32::from(u16::from_be_bytes([l0, l1]));
    let present = packet.length().checked_sub(ETHERNET)? as u32;
    if present < 40 {
        return None;
    }
    ip.length = declared_length(present, payload + 40, payload == 0)?;
    if version >> 4 != 6 {
        return None;
    }
    ip.source.0 = *addresses.first_chunk()?;
    ip.destination.0 = *addresses.last_chunk()?;
    ip.protocol = protocol;
    ip.hops = hops;
    ip.transport = ETHERNET as u16 + 40;
    ip.traits = 0;
    if extension::is_one(protocol) {
        ip.traits = traits::EXTENSION;
    }
    Some(())
}

/// The length a header declares, if the packet has it. Super-packets of more than 65,535 octets
/// (BIG TCP) declare none: then it is the packet's.
fn declared_length(present: u32, declared: u32, undeclared: bool) -> Option<u32> {
    if undeclared && present > 0xffff {
        return Some(present);
    }
    (declared <= present).then_some(declared)
}
