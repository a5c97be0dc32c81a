//! Links: what may pass between two endpoints of a network that keeps its endpoints apart. Looks at
//! each packet alone, as Docker's rules do: no flow is begun.

use super::{
    Packet, Tables, Work, icmp_error, transport,
    transport::{kind, tcp},
    view::traits,
};
use crate::abi::{
    flow::FlowKey,
    link::{LinkKey, OpenPorts, OpenRange, side},
};

/// Whether a link lets the packet pass from the source in `work` to the target there: to an exposed
/// port, from one, or as an ICMP error about either. Echo is neither.
// Not inlined: a rare case, whose paths would multiply those of the hook.
#[inline(never)]
pub fn open<P: Packet, T: Tables>(packet: &P, tables: &mut T, work: &mut Work) -> bool {
    if transport::read(packet, &mut work.view).is_err() {
        return false;
    }
    let (from, to) = (work.source.index, work.target.index);
    if icmp_error::quoted(packet, work.source.network, work) {
        // The quoted packet went the other way.
        return tables.link(&LinkKey { from: to, to: from }, &mut work.link)
            && passes(&work.link, &header_of(&work.key));
    }
    if !tables.link(&LinkKey { from, to }, &mut work.link) {
        return false;
    }
    let (ip, transport) = (&work.view.ip, &work.view.transport);
    // Nobody can make anything of a later fragment without the first one, which has ports.
    let later_fragment = ip.traits & traits::LATER_FRAGMENT != 0;
    if !later_fragment && (!transport.is_known() || transport.is_echo()) {
        return false;
    }
    let opening = transport.tcp_flags & (tcp::SYN | tcp::ACK) == tcp::SYN;
    let header = Header {
        protocol: ip.protocol,
        source: u16::from_be_bytes(transport.source_port),
        destination: u16::from_be_bytes(transport.destination_port),
        later_fragment,
        begins: matches!(transport.kind, kind::TCP | kind::SCTP) && opening,
    };
    passes(&work.link, &header)
}

/// What counts of a packet.
struct Header {
    protocol: u8,
    source: u16,
    destination: u16,
    /// It has no ports.
    later_fragment: bool,
    /// It asks for a connection, so it is no answer.
    begins: bool,
}

/// The quoted packet from `key`, which is its tuple reversed.
fn header_of(key: &FlowKey) -> Header {
    Header {
        protocol: key.protocol,
        source: u16::from_be_bytes(key.destination_port),
        destination: u16::from_be_bytes(key.source_port),
        later_fragment: false,
        begins: false,
    }
}

fn passes(open: &OpenPorts, header: &Header) -> bool {
    for range in &open.ranges {
        if range.protocol == 0 {
            return false;
        }
        if range.protocol == header.protocol && (header.later_fragment || holds(range, header)) {
            return true;
        }
    }
    false
}

fn holds(range: &OpenRange, header: &Header) -> bool {
    let answers = range.side == side::ANSWERS;
    let port = if answers {
        header.source
    } else {
        header.destination
    };
    range.first <= port && port <= range.last && !(answers && header.begins)
}
