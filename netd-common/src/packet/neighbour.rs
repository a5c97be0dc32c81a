//! IPv6 neighbour discovery (RFC 4861) of an endpoint: solicitations are answered for every
//! address of its network, everything else of the protocol stays with its sender.

use super::{
    Packet, Tables, arp, checksum,
    verdict::{Answer, Verdict},
    view::{Frame, Ip, ethertype, protocol},
};
use crate::{Addr, DropReason, abi::endpoint::Endpoint};

/// ICMPv6 types: router solicitation and advertisement, neighbour solicitation and advertisement,
/// redirect.
const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;

/// Flags of an advertisement (RFC 4861 section 4.4).
const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// What becomes of a packet if it is neighbour discovery, else `None`.
///
/// # Errors
/// [`DropReason::RouterAdvertisement`]; [`DropReason::Neighbor`] for what is malformed, no
/// solicitation, or about the sender itself; [`DropReason::NoNeighbor`] where no endpoint has the
/// address.
pub fn answer<P: Packet, T: Tables>(
    packet: &P,
    frame: &Frame,
    ip: &Ip,
    source: &Endpoint,
    tables: &mut T,
) -> Result<Option<Verdict>, DropReason> {
    if ip.is_v4 || ip.protocol != protocol::ICMPV6 {
        return Ok(None);
    }
    let offset = usize::from(ip.transport);
    let [kind] = packet.read::<1>(offset).ok_or(DropReason::Truncated)?;
    match kind {
        SOLICITATION => {}
        ROUTER_ADVERTISEMENT => return Err(DropReason::RouterAdvertisement),
        ROUTER_SOLICITATION | ADVERTISEMENT | REDIRECT => return Err(DropReason::Neighbor),
        _ => return Ok(None),
    }
    let message = packet.read::<24>(offset).ok_or(DropReason::Truncated)?;
    let [_, code, ..] = message;
    let target = Addr(*message.last_chunk::<16>().ok_or(DropReason::Truncated)?);
    // RFC 4861 section 7.1.1.
    if ip.hops != 255 || code != 0 || target.is_multicast() || target.is_v4() {
        return Err(DropReason::Neighbor);
    }
    let mac = arp::mac_of(&target, source, tables, DropReason::Neighbor)?;
    let is_router = source.gateways.contains(&target);
    Ok(Some(advertise(frame, ip, &target, mac, is_router)))
}

/// The advertisement for `target`, to who asked; to everybody on the link (which is the asker
/// alone) where the question came from nobody, to tell a newcomer that the address is taken.
fn advertise(frame: &Frame, ip: &Ip, target: &Addr, mac: [u8; 6], is_router: bool) -> Verdict {
    let anonymous = ip.source.is_unspecified();
    let (destination, destination_mac) = if anonymous {
        let mut all_nodes = [0; 16];
        all_nodes[0] = 0xff;
        all_nodes[1] = 0x02;
        all_nodes[15] = 0x01;
        (all_nodes, [0x33, 0x33, 0, 0, 0, 1])
    } else {
        (ip.source.0, frame.source)
    };
    let mut flags = OVERRIDE;
    if is_router {
        flags |= ROUTER;
    }
    if !anonymous {
        flags |= SOLICITED;
    }
    let head = [ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0];
    // Option 2, one unit of eight octets: the target's link-layer address.
    let [m0, m1, m2, m3, m4, m5] = mac;
    let option = [2, 1, m0, m1, m2, m3, m4, m5];
    let pseudo = [0, 0, 0, 32, 0, 0, 0, protocol::ICMPV6];

    let mut sum = checksum::sum(&pseudo);
    sum = checksum::add(sum, checksum::sum(&destination));
    // The advertisement comes from the target, which it also carries.
    sum = checksum::add(sum, checksum::sum(&target.0));
    sum = checksum::add(sum, checksum::sum(&target.0));
    sum = checksum::add(sum, checksum::sum(&head));
    sum = checksum::add(sum, checksum::sum(&option));

    let mut answer = Answer {
        bytes: [0; Answer::MAX],
        len: Answer::MAX as u16,
    };
    answer.put(0, destination_mac);
    answer.put(6, mac);
    answer.put(12, ethertype::IPV6);
    answer.put(14, [0x60, 0, 0, 0, 0, 32, protocol::ICMPV6, 255]);
    answer.put(22, target.0);
    answer.put(38, destination);
    answer.put(54, head);
    answer.put(56, checksum::finish(sum));
    answer.put(62, target.0);
    answer.put(78, option);
    Verdict::Answer(answer)
}
