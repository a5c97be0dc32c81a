//! Errors that netd makes: time exceeded, fragmentation needed, packet too big. The host's stack
//! would have, had the packet gone through it.

use super::is_error;
use crate::{
    Addr, DropReason,
    packet::{
        Packet, Tables, Work, checksum,
        verdict::{Answer, Verdict},
        view::{ETHERNET, ethertype, protocol, traits},
    },
};

/// Octets that are quoted of a packet at most. RFC 792 asks for eight behind the IP header; this
/// has room for every header that clients look at, and a program may well copy it.
const QUOTED: usize = 128;
/// The TTL or hop limit of an error, as the kernel's.
const HOPS: u8 = 64;
/// Internetwork control (RFC 1812 section 4.3.2.5), as the kernel's.
const PRECEDENCE: u8 = 0xc0;
/// What every IPv6 link carries (RFC 8200 section 5).
const MIN_MTU_V6: u32 = 1280;
/// Don't fragment, in the first octet of flags and offset.
const DONT_FRAGMENT: u8 = 0x40;

/// Type and code, and the second word of the header.
type Head = ([u8; 2], [u8; 4]);

/// The answer to a packet that is not carried for `reason`.
///
/// # Errors
/// The reason itself where nobody is to be told: RFC 1122 section 3.2.2, RFC 4443 section 2.4.
pub(super) fn compose<P: Packet, T: Tables>(
    packet: &P,
    reason: DropReason,
    tables: &mut T,
    work: &mut Work,
) -> Result<Verdict, DropReason> {
    if !may_be_answered(packet, work) {
        return Err(reason);
    }
    let from = sender(work);
    if from.is_none() {
        return Err(reason);
    }
    let head = head(packet, reason, tables, work).ok_or(reason)?;
    let (frame, ip) = (&work.view.frame, &work.view.ip);
    let own_mac = if work.quote.zone == 0 {
        frame.destination
    } else {
        work.source.gateway_mac
    };
    work.answer.put(0, frame.source);
    work.answer.put(6, own_mac);
    let length = (ip.length as usize).min(QUOTED) & !3;
    if ip.is_v4() {
        write_v4(packet, length, head, [&from, &ip.source], &mut work.answer);
    } else {
        write_v6(packet, length, head, [&from, &ip.source], &mut work.answer);
    }
    Ok(Verdict::Answer)
}

/// Whether errors are made about such a packet: of one sender, to one receiver, and no error
/// itself; of IPv4 no later fragment.
fn may_be_answered<P: Packet>(packet: &P, work: &Work) -> bool {
    let (frame, ip) = (&work.view.frame, &work.view.ip);
    let [first, ..] = frame.destination;
    let later_fragment_v4 = ip.is_v4() && ip.traits & traits::LATER_FRAGMENT != 0;
    if first & 1 != 0
        || later_fragment_v4
        || ip.source.is_multicast()
        || ip.source.is_unspecified()
        || ip.source.is_loopback()
    {
        return false;
    }
    let icmp = if ip.is_v4() {
        protocol::ICMP
    } else {
        protocol::ICMPV6
    };
    if ip.protocol != icmp {
        return true;
    }
    match packet.read::<1>(ip.transport.into()) {
        Some([message]) => !is_error(ip.is_v4(), message),
        None => false,
    }
}

/// Who says it: the network's gateway; outside, the host's address that the packet was for.
fn sender(work: &Work) -> Addr {
    let is_v4 = work.view.ip.is_v4();
    let [v4, v6] = if work.quote.zone != 0 {
        work.source.gateways
    } else if work.flow.destination != work.view.ip.destination {
        [work.view.ip.destination; 2]
    } else {
        work.target.gateways
    };
    if is_v4 { v4 } else { v6 }
}

/// What is said. Path MTU discovery is not limited in number, as the kernel does not limit it.
fn head<P: Packet, T: Tables>(
    packet: &P,
    reason: DropReason,
    tables: &mut T,
    work: &Work,
) -> Option<Head> {
    let is_v4 = work.view.ip.is_v4();
    if reason != DropReason::TooBig {
        let time_exceeded = if is_v4 { 11 } else { 3 };
        return tables
            .may_complain()
            .then_some(([time_exceeded, 0], [0; 4]));
    }
    let mtu = tables.mtu(work.outcome.ifindex);
    if !is_v4 {
        return Some(([2, 0], mtu.max(MIN_MTU_V6).to_be_bytes()));
    }
    // Without the flag it would have to be fragmented, which is not a program's to do.
    let [fragment] = packet.read::<1>(ETHERNET + 6)?;
    let [_, _, m0, m1] = mtu.min(0xffff).to_be_bytes();
    (fragment & DONT_FRAGMENT != 0).then_some(([3, 4], [0, 0, m0, m1]))
}

fn write_v4<P: Packet>(
    packet: &P,
    length: usize,
    ([kind, code], rest): Head,
    [from, to]: [&Addr; 2],
    answer: &mut Answer,
) {
    const MESSAGE: usize = ETHERNET + 20;
    const QUOTE: usize = MESSAGE + 8;
    let [l0, l1] = (20 + 8 + length as u16).to_be_bytes();
    answer.put(12, ethertype::IPV4);
    answer.put(ETHERNET, [0x45, PRECEDENCE, l0, l1, 0, 0, DONT_FRAGMENT, 0]);
    answer.put(ETHERNET + 8, [HOPS, protocol::ICMP, 0, 0]);
    answer.put(ETHERNET + 12, from.octets_v4());
    answer.put(ETHERNET + 16, to.octets_v4());
    if let Some(header) = answer.chunk::<20>(ETHERNET) {
        let sum = checksum::finish(checksum::sum(header));
        answer.put(ETHERNET + 10, sum);
    }
    answer.put(MESSAGE, [kind, code, 0, 0]);
    answer.put(MESSAGE + 4, rest);
    quote::<P, QUOTE>(packet, length, answer);
    if let Some(message) = answer.chunk::<{ 8 + QUOTED }>(MESSAGE) {
        let sum = checksum::finish(checksum::sum(message));
        answer.put(MESSAGE + 2, sum);
    }
    answer.len = (QUOTE + length) as u16;
}

fn write_v6<P: Packet>(
    packet: &P,
    length: usize,
    ([kind, code], rest): Head,
    [from, to]: [&Addr; 2],
    answer: &mut Answer,
) {
    const MESSAGE: usize = ETHERNET + 40;
    const QUOTE: usize = MESSAGE + 8;
    let [l0, l1] = (8 + length as u16).to_be_bytes();
    answer.put(12, ethertype::IPV6);
    answer.put(ETHERNET, [0x60, 0, 0, 0, l0, l1, protocol::ICMPV6, HOPS]);
    answer.put(ETHERNET + 8, from.0);
    answer.put(ETHERNET + 24, to.0);
    answer.put(MESSAGE, [kind, code, 0, 0]);
    answer.put(MESSAGE + 4, rest);
    quote::<P, QUOTE>(packet, length, answer);
    // The addresses stand right before the message; length and protocol complete the pseudo
    // header.
    if let Some(covered) = answer.chunk::<{ 32 + 8 + QUOTED }>(ETHERNET + 8) {
        let pseudo = checksum::sum(&[l0, l1, 0, protocol::ICMPV6]);
        let sum = checksum::add(pseudo, checksum::sum(covered));
        answer.put(MESSAGE + 2, checksum::finish(sum));
    }
    answer.len = (QUOTE + length) as u16;
}

/// Copies `length` octets from the IP header on to `AT`, and zeros up to [`QUOTED`], so that a sum
/// may cover them all.
fn quote<P: Packet, const AT: usize>(packet: &P, length: usize, answer: &mut Answer) {
    let mut at = 0;
    while at < QUOTED {
        let word = if at < length {
            packet.read::<4>(ETHERNET + at).unwrap_or_default()
        } else {
            [0; 4]
        };
        answer.put(AT + at, word);
        at += 4;
    }
}
