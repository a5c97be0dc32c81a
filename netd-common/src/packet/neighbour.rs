//! IPv6 neighbour discovery (RFC 4861) of an endpoint: solicitations are answered for every
//! address of its network, everything else of the protocol stays with its sender.

use super::{
    Packet, Tables, Work, arp, checksum,
    verdict::{Answer, Verdict},
    view::{ethertype, protocol, traits},
};
use crate::{Addr, DropReason};

/// ICMPv6 types: router solicitation and advertisement, neighbour solicitation and advertisement,
/// redirect.
const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;

/// Ethernet (14) + IPv6 (40) + neighbour advertisement with target link-layer address (32).
const ADVERTISEMENT_OCTETS: u16 = 86;

/// ff02::1 and its MAC (RFC 2464 section 7).
const ALL_NODES: ([u8; 6], Addr) = (
    [0x33, 0x33, 0, 0, 0, 1],
    Addr([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
);

/// Flags of an advertisement (RFC 4861 section 4.4).
const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// Answers a packet if it is neighbour discovery; else the verdict is `None`.
///
/// # Errors
/// [`DropReason::RouterAdvertisement`]; [`DropReason::Neighbor`] for what is malformed, no
/// solicitation, or about the sender itself; [`DropReason::NoNeighbor`] where no endpoint has the
/// address.
pub fn answer<P: Packet, T: Tables>(
    packet: &P,
    tables: &mut T,
    work: &mut Work,
) -> Result<Option<Verdict>, DropReason> {
    let ip = &work.view.ip;
    let is_later = ip.traits & traits::LATER_FRAGMENT != 0;
    if ip.is_v4() || ip.protocol != protocol::ICMPV6 || is_later {
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
    // RFC 4861 section 7.1.1, RFC 6980 section 5.
    if ip.traits & traits::FRAGMENT != 0
        || ip.hops != 255
        || code != 0
        || target.is_multicast()
        || target.is_v4()
    {
        return Err(DropReason::Neighbor);
    }
    let (frame, ip) = (work.view.frame, work.view.ip);
    let mac = arp::mac_of(tables, &target, DropReason::Neighbor, work)?;
    let is_router = work.source.has_gateway(&target);
    let asker = (!ip.source.is_unspecified()).then_some((frame.source, ip.source));
    advertise(&mut work.answer, asker, &target, mac, is_router);
    Ok(Some(Verdict::Answer))
}

/// The advertisement for `target`, to who asked; to everybody on the link (which is the asker
/// alone) where the question came from nobody, to tell a newcomer that the address is taken.
fn advertise(
    answer: &mut Answer,
    asker: Option<([u8; 6], Addr)>,
    target: &Addr,
    mac: [u8; 6],
    is_router: bool,
) {
    let (destination_mac, Addr(destination)) = asker.unwrap_or(ALL_NODES);
    let mut flags = OVERRIDE;
    if is_router {
        flags |= ROUTER;
    }
    if asker.is_some() {
        flags |= SOLICITED;
    }
    // Option 2, one unit of eight octets: the target's link-layer address.
    let [m0, m1, m2, m3, m4, m5] = mac;
    answer.put(0, destination_mac);
    answer.put(6, mac);
    answer.put(12, ethertype::IPV6);
    answer.put(14, [0x60, 0, 0, 0, 0, 32, protocol::ICMPV6, 255]);
    answer.put(22, target.0);
    answer.put(38, destination);
    answer.put(54, [ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0]);
    answer.put(62, target.0);
    answer.put(78, [2, 1, m0, m1, m2, m3, m4, m5]);
    answer.len = ADVERTISEMENT_OCTETS;
    // Addresses and message are the end of the packet, in one piece; length and protocol complete
    // the pseudo header.
    if let Some(covered) = answer.chunk::<64>(22) {
        let pseudo = checksum::sum(&[0, 32, 0, protocol::ICMPV6]);
        let sum = checksum::add(pseudo, checksum::sum(covered));
        answer.put(56, checksum::finish(sum));
    }
}
