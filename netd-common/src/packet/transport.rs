//! The transport header, as far as a flow needs it: TCP, UDP, SCTP, ICMP echo of both families.

use zerocopy::FromBytes;

use super::{
    Packet,
    view::{ETHERNET, View, protocol, traits},
};
use crate::{DropReason, abi::flow::FlowKey};

/// TCP flags (RFC 9293) that flows record.
pub mod tcp {
    /// No more data from this side.
    pub const FIN: u8 = 1;
    /// Begin.
    pub const SYN: u8 = 2;
    /// Abort.
    pub const RST: u8 = 4;
    /// Acknowledgement.
    pub const ACK: u8 = 16;
}

/// Values of [`Transport::kind`].
pub mod kind {
    /// None that flows are made of, or not read: another protocol, a fragment but the first,
    /// behind an IPv6 extension header.
    pub const NONE: u8 = 0;
    /// TCP.
    pub const TCP: u8 = 1;
    /// UDP.
    pub const UDP: u8 = 2;
    /// SCTP. Its checksum covers the ports and is not of the kind that can be corrected, so they stay.
    pub const SCTP: u8 = 3;
    /// ICMP or ICMPv6 echo request.
    pub const ECHO_REQUEST: u8 = 4;
    /// ICMP or ICMPv6 echo reply.
    pub const ECHO_REPLY: u8 = 5;
}

/// What a flow knows a packet by, besides its addresses.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes)]
pub struct Transport {
    /// Source port or echo identifier, network order.
    pub source_port: [u8; 2],
    /// Destination port or echo identifier, network order.
    pub destination_port: [u8; 2],
    /// [`kind`].
    pub kind: u8,
    /// TCP flags out of [`tcp`]; of SCTP, those that its first chunk is like; 0 for other protocols.
    pub tcp_flags: u8,
    /// Zero.
    pub reserved: [u8; 2],
}

impl Transport {
    /// Whether flows are made of this.
    pub fn is_known(&self) -> bool {
        self.kind != kind::NONE
    }

    /// Whether this is an echo of either direction: it has one identifier and no ports.
    pub fn is_echo(&self) -> bool {
        self.kind >= kind::ECHO_REQUEST
    }

    /// Whether a packet like this may begin a flow: not a TCP abort, end or acceptance, nor an
    /// echo reply. An ACK may: connections outlive the flow table (as nf_conntrack's "loose").
    pub fn may_begin(&self) -> bool {
        match self.kind {
            kind::TCP | kind::SCTP => matches!(self.tcp_flags, tcp::SYN | tcp::ACK),
            kind::UDP | kind::ECHO_REQUEST => true,
            _ => false,
        }
    }
}

/// Makes `key` the packet's tuple, arriving from `zone` (a network's index, 0 for outside).
pub fn key(view: &View, zone: u32, key: &mut FlowKey) {
    key.zone = zone;
    key.source = view.ip.source;
    key.destination = view.ip.destination;
    key.source_port = view.transport.source_port;
    key.destination_port = view.transport.destination_port;
    key.protocol = view.ip.protocol;
    key.reserved = [0; 3];
}

/// Reads the transport header behind the IP header of `view`.
///
/// # Errors
/// [`DropReason::Truncated`] where the header is cut.
// Not inlined, so that its callers read the view from memory. (With the view in their registers
// and stack the verifier walked 21,300 instructions of `to_endpoint`, instead of 3,400.)
#[inline(never)]
pub fn read<P: Packet>(packet: &P, view: &mut View) -> Result<(), DropReason> {
    let (ip, transport) = (&view.ip, &mut view.transport);
    transport.kind = kind::NONE;
    if ip.traits & traits::LATER_FRAGMENT != 0 {
        return Ok(());
    }
    let echo = if ip.is_v4() {
        protocol::ICMP
    } else {
        protocol::ICMPV6
    };
    let needed = match ip.protocol {
        protocol::TCP => 20,
        // The common header and a chunk's.
        protocol::SCTP => 16,
        protocol::UDP => 8,
        other if other == echo => 8,
        _ => return Ok(()),
    };
    if u32::from(ip.transport) - ETHERNET as u32 + needed > ip.length {
        return Err(DropReason::Truncated);
    }
    let is_tcp = ip.protocol == protocol::TCP;
    let behind_v4 = ip.is_v4() && ip.transport == ETHERNET as u16 + 20;
    let (first, second, flags) = if behind_v4 {
        // Read already, since the declared length is there.
        let [_, _, _, _, _, first, second, _, [_, flags, ..], _] = view.frame.words();
        (*first, *second, *flags)
    } else {
        let offset = usize::from(ip.transport);
        let first = packet.read::<4>(offset).ok_or(DropReason::Truncated)?;
        let second = packet.read::<4>(offset + 4).ok_or(DropReason::Truncated)?;
        let mut flags = 0;
        if is_tcp {
            [flags] = packet.read::<1>(offset + 13).ok_or(DropReason::Truncated)?;
        }
        (first, second, flags)
    };
    let ([a, b, c, d], [i0, i1, ..]) = (first, second);
    transport.source_port = [a, b];
    transport.destination_port = [c, d];
    transport.tcp_flags = 0;
    match ip.protocol {
        protocol::TCP => {
            transport.tcp_flags = flags & (tcp::FIN | tcp::SYN | tcp::RST | tcp::ACK);
            transport.kind = kind::TCP;
        }
        protocol::UDP => transport.kind = kind::UDP,
        protocol::SCTP => {
            let offset = usize::from(ip.transport) + 12;
            let [chunk] = packet.read::<1>(offset).ok_or(DropReason::Truncated)?;
            transport.tcp_flags = like_tcp(chunk);
            transport.kind = kind::SCTP;
        }
        _ => {
            transport.source_port = [i0, i1];
            transport.destination_port = [i0, i1];
            transport.kind = echo_kind(ip.is_v4(), a);
        }
    }
    Ok(())
}

/// What a first chunk (RFC 9260 section 3.2) means to a flow, in TCP's terms: INIT, INIT ACK, ABORT,
/// the three of the shutdown, anything else.
fn like_tcp(chunk: u8) -> u8 {
    match chunk {
        1 => tcp::SYN,
        2 => tcp::SYN | tcp::ACK,
        6 => tcp::RST,
        7 | 8 | 14 => tcp::FIN,
        _ => tcp::ACK,
    }
}

/// Echo by ICMP type (RFC 792) or ICMPv6 type (RFC 4443 section 4).
fn echo_kind(is_v4: bool, message: u8) -> u8 {
    match (is_v4, message) {
        (true, 8) | (false, 128) => kind::ECHO_REQUEST,
        (true, 0) | (false, 129) => kind::ECHO_REPLY,
        _ => kind::NONE,
    }
}
