//! The transport header, as far as a flow needs it: TCP, UDP, ICMP echo of both families.

use super::{
    Packet,
    view::{ETHERNET, Ip, protocol},
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

/// Which of the transports it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP or ICMPv6 echo request.
    EchoRequest,
    /// ICMP or ICMPv6 echo reply.
    EchoReply,
}

/// What a flow knows a packet by, besides its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    /// Which transport.
    pub kind: Kind,
    /// Source port or echo identifier, network order.
    pub source_port: [u8; 2],
    /// Destination port or echo identifier, network order.
    pub destination_port: [u8; 2],
    /// TCP flags out of [`tcp`], 0 for other protocols.
    pub tcp_flags: u8,
}

impl Transport {
    /// Whether this is an echo of either direction: it has one identifier and no ports.
    pub fn is_echo(&self) -> bool {
        matches!(self.kind, Kind::EchoRequest | Kind::EchoReply)
    }

    /// Whether a packet like this may begin a flow: not a TCP abort, end or acceptance, nor an
    /// echo reply. An ACK may: connections outlive the flow table (as nf_conntrack's "loose").
    pub fn may_begin(&self) -> bool {
        match self.kind {
            Kind::Tcp => matches!(self.tcp_flags, tcp::SYN | tcp::ACK),
            Kind::Udp | Kind::EchoRequest => true,
            Kind::EchoReply => false,
        }
    }

    /// The packet's tuple as a key, arriving from `zone` (a network's index, 0 for outside).
    pub fn key(&self, zone: u32, ip: &Ip) -> FlowKey {
        FlowKey {
            zone,
            source: ip.source,
            destination: ip.destination,
            source_port: self.source_port,
            destination_port: self.destination_port,
            protocol: ip.protocol,
            reserved: [0; 3],
        }
    }
}

/// Reads the transport header. `None` where the packet has none that flows are made of: another
/// protocol, a fragment but the first, behind an IPv6 extension header.
///
/// # Errors
/// [`DropReason::Truncated`] where the header is cut.
pub fn read<P: Packet>(packet: &P, ip: &Ip) -> Result<Option<Transport>, DropReason> {
    if ip.later_fragment {
        return Ok(None);
    }
    let echo = if ip.is_v4 {
        protocol::ICMP
    } else {
        protocol::ICMPV6
    };
    let needed = match ip.protocol {
        protocol::TCP => 20,
        protocol::UDP => 8,
        other if other == echo => 8,
        _ => return Ok(None),
    };
    if u32::from(ip.transport) - ETHERNET as u32 + needed > ip.length {
        return Err(DropReason::Truncated);
    }
    let offset = usize::from(ip.transport);
    let [a, b, c, d, i0, i1, ..] = packet.read::<8>(offset).ok_or(DropReason::Truncated)?;
    let (kind, source_port, destination_port, tcp_flags) = match ip.protocol {
        protocol::TCP => {
            let [flags] = packet.read::<1>(offset + 13).ok_or(DropReason::Truncated)?;
            let recorded = tcp::FIN | tcp::SYN | tcp::RST | tcp::ACK;
            (Kind::Tcp, [a, b], [c, d], flags & recorded)
        }
        protocol::UDP => (Kind::Udp, [a, b], [c, d], 0),
        _ => match echo_kind(ip.is_v4, a) {
            Some(kind) => (kind, [i0, i1], [i0, i1], 0),
            None => return Ok(None),
        },
    };
    Ok(Some(Transport {
        kind,
        source_port,
        destination_port,
        tcp_flags,
    }))
}

/// Echo by ICMP type (RFC 792) or ICMPv6 type (RFC 4443 section 4).
fn echo_kind(is_v4: bool, kind: u8) -> Option<Kind> {
    match (is_v4, kind) {
        (true, 8) | (false, 128) => Some(Kind::EchoRequest),
        (true, 0) | (false, 129) => Some(Kind::EchoReply),
        _ => None,
    }
}
