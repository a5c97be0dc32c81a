//! An ICMP error about a flow: the packet that it quotes tells which one. The quoted packet is what
//! the flow's other half had made of it, so what it quotes is turned back as the answer to it
//! would be. No flow is begun, kept alive or ended by an error.

use zerocopy::FromBytes;

use super::is_error;
use crate::{
    Addr, DropReason,
    abi::{
        endpoint::{EndpointKey, flags},
        flow::{FlowKey, flow_flags},
    },
    limits::MAX_EXTENSION_HEADERS,
    packet::{
        Packet, Tables, Work, checksum, extension, onward, rewrite,
        tables::Seen,
        transport::kind,
        verdict::{Verdict, changes},
        view::{ETHERNET, protocol, traits},
    },
};

/// What is quoted, where it stands, and what it becomes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes)]
pub struct Quote {
    /// Where the packet came in: a network's index, 0 for outside.
    pub zone: u32,
    /// The number of the [`DropReason`] about which an error is to be made; 0 where the packet is
    /// an error about a flow.
    pub refusal: u32,
    /// Offset of the quoted IP header.
    pub header: u16,
    /// Offset of the quoted transport header.
    pub transport: u16,
    /// Offset of the quoted transport checksum; 0 where none was quoted or there was none.
    pub checksum: u16,
    /// The quoted IPv4 header checksum as it shall be.
    pub header_sum: [u8; 2],
    /// The quoted ports, or twice the echo identifier, as they shall be; network order.
    pub ports: [u8; 4],
    /// The quoted transport checksum as it shall be.
    pub transport_sum: [u8; 2],
    /// The quoted [`kind`].
    pub kind: u8,
    /// Zero.
    pub reserved: u8,
}

impl Quote {
    /// Whether the quoted packet is an echo.
    pub fn is_echo(&self) -> bool {
        self.kind >= kind::ECHO_REQUEST
    }
}

/// Whether a packet from `zone` is an ICMP error about a flow; then the flow's half for answers to
/// the quoted packet is in `work`.
#[inline(always)]
pub fn concerns_flow<P: Packet, T: Tables>(
    packet: &P,
    zone: u32,
    tables: &mut T,
    work: &mut Work,
) -> bool {
    is_icmp(work) && find(packet, zone, tables, work)
}

fn is_icmp(work: &Work) -> bool {
    let ip = &work.view.ip;
    let icmp = if ip.is_v4() {
        protocol::ICMP
    } else {
        protocol::ICMPV6
    };
    !work.view.transport.is_known() && ip.protocol == icmp
}

// Not inlined: a rare case, whose paths would multiply those of the hook.
#[inline(never)]
fn find<P: Packet, T: Tables>(packet: &P, zone: u32, tables: &mut T, work: &mut Work) -> bool {
    quoted(packet, zone, work)
        && (tables.flow(&work.key, &Seen::NOTHING, &mut work.flow)
            || tables.new_flow(&work.key, &Seen::NOTHING, &mut work.flow))
}

/// Whether a packet from `zone` is an ICMP error, for who sent the packet that it quotes; then the
/// key in `work` is the quoted tuple, reversed.
pub fn quoted<P: Packet>(packet: &P, zone: u32, work: &mut Work) -> bool {
    let ip = &work.view.ip;
    if !is_icmp(work) || ip.traits & traits::FRAGMENT != 0 {
        return false;
    }
    let Some([message]) = packet.read::<1>(ip.transport.into()) else {
        return false;
    };
    if !is_error(ip.is_v4(), message) {
        return false;
    }
    work.quote.zone = zone;
    work.quote.refusal = 0;
    work.key.zone = zone;
    if read(packet, work).is_none() {
        return false;
    }
    // It is for who sent the quoted packet (as the kernel's `nf_conntrack_inet_error` asks), and a
    // container speaks only of what was for itself.
    let (ip, key) = (&work.view.ip, &work.key);
    ip.destination == key.destination && (zone == 0 || ip.source == key.source)
}

/// Reads the quoted headers: the key is the quoted tuple, reversed.
fn read<P: Packet>(packet: &P, work: &mut Work) -> Option<()> {
    let header = work.view.ip.transport + 8;
    work.quote.header = header;
    if work.view.ip.is_v4() {
        read_v4(packet, header, work)?;
    } else {
        read_v6(packet, header, work)?;
    }
    let (ip, quote, key) = (&work.view.ip, &mut work.quote, &mut work.key);
    let transport = u32::from(quote.transport);
    let end = ETHERNET as u32 + ip.length;
    // RFC 792 and RFC 4443: at least eight octets.
    if transport + 8 > end {
        return None;
    }
    let [a, b, c, d, i0, i1, ..] = packet.read::<8>(quote.transport.into())?;
    key.destination_port = [a, b];
    key.source_port = [c, d];
    let checksum = match key.protocol {
        protocol::TCP => {
            quote.kind = kind::TCP;
            16
        }
        protocol::UDP => {
            quote.kind = kind::UDP;
            6
        }
        protocol::SCTP => {
            // Its checksum covers no addresses, and its ports stay.
            quote.kind = kind::SCTP;
            quote.checksum = 0;
            return Some(());
        }
        _ => {
            quote.kind = match (ip.is_v4(), a) {
                (true, 8) | (false, 128) => kind::ECHO_REQUEST,
                (true, 0) | (false, 129) => kind::ECHO_REPLY,
                _ => return None,
            };
            key.destination_port = [i0, i1];
            key.source_port = [i0, i1];
            2
        }
    };
    quote.checksum = if transport + checksum + 2 <= end {
        quote.transport + checksum as u16
    } else {
        0
    };
    Some(())
}

fn read_v4<P: Packet>(packet: &P, header: u16, work: &mut Work) -> Option<()> {
    let quoted = packet.read::<20>(header.into())?;
    let [version, _, _, _, _, _, f0, f1, _, inner, _, _, ..] = quoted;
    let [.., s0, s1, s2, s3, d0, d1, d2, d3] = quoted;
    let words = u16::from(version & 0x0f);
    let is_later_fragment = u16::from_be_bytes([f0, f1]) & 0x1fff != 0;
    if version >> 4 != 4 || words < 5 || is_later_fragment {
        return None;
    }
    if !matches!(
        inner,
        protocol::TCP | protocol::UDP | protocol::SCTP | protocol::ICMP
    ) {
        return None;
    }
    tuple(
        inner,
        Addr::v4([s0, s1, s2, s3]),
        Addr::v4([d0, d1, d2, d3]),
        &mut work.key,
    );
    work.quote.transport = header + words * 4;
    Some(())
}

fn read_v6<P: Packet>(packet: &P, header: u16, work: &mut Work) -> Option<()> {
    let at = usize::from(header);
    let [version, _, _, _, _, _, inner, _] = packet.read::<8>(at)?;
    // Read to where they stay, reversed: before Linux 6.8 frames count in steps of 32 octets, 512 in
    // all, and this one is the third of its chain.
    let key = &mut work.key;
    packet.read_into(at + 8, &mut key.destination.0)?;
    packet.read_into(at + 24, &mut key.source.0)?;
    if version >> 4 != 6 || key.source.is_v4() || key.destination.is_v4() {
        return None;
    }
    key.protocol = inner;
    key.reserved = [0; 3];
    work.quote.transport = header + 40;
    if extension::is_one(inner) {
        skip_extensions(packet, work)?;
    }
    matches!(
        work.key.protocol,
        protocol::TCP | protocol::UDP | protocol::SCTP | protocol::ICMPV6
    )
    .then_some(())
}

/// Extension headers that are quoted: the key's protocol and the offset of the quoted transport are
/// then those behind them. `None` where there are too many, and for a later fragment, which has no
/// ports.
// Not inlined: a rare case, whose paths would multiply those of the hooks.
#[inline(never)]
fn skip_extensions<P: Packet>(packet: &P, work: &mut Work) -> Option<()> {
    let (quote, key) = (&mut work.quote, &mut work.key);
    let mut count = 0;
    while count < MAX_EXTENSION_HEADERS {
        let kind = key.protocol;
        if !extension::is_one(kind) {
            return Some(());
        }
        let [next, length, offset_high, offset_low] = packet.read::<4>(quote.transport.into())?;
        let mut octets = 8;
        if kind != protocol::FRAGMENT {
            octets += u16::from(length) * 8;
        } else if u16::from_be_bytes([offset_high, offset_low]) & 0xfff8 != 0 {
            return None;
        }
        key.protocol = next;
        quote.transport += octets;
        count += 1;
    }
    None
}

/// The key of answers to a packet from `source` to `destination`.
fn tuple(inner: u8, source: Addr, destination: Addr, key: &mut FlowKey) {
    key.source = destination;
    key.destination = source;
    key.protocol = inner;
    key.reserved = [0; 3];
}

/// The error goes where the flow in `work` leads, one hop further.
pub(super) fn translate<P: Packet, T: Tables>(
    packet: &P,
    tables: &mut T,
    work: &mut Work,
) -> Result<Verdict, DropReason> {
    if work.quote.zone == 0 {
        work.outcome.network = work.flow.network;
    }
    if work.flow.epoch != tables.config().epoch {
        return Err(DropReason::StaleEndpoint);
    }
    let hops = rewrite::next_hop(&work.view.ip)?;
    let verdict = aim(tables, work)?;
    turn_back(packet, work).ok_or(DropReason::Truncated)?;
    outer(packet, hops, work).ok_or(DropReason::Truncated)?;
    Ok(verdict)
}

/// To the endpoint or out through the uplink, as the flow's own packets.
fn aim<T: Tables>(tables: &mut T, work: &mut Work) -> Result<Verdict, DropReason> {
    let flow = &work.flow;
    let to_endpoint = flow.flags & flow_flags::TO_ENDPOINT != 0;
    let from_party = work.quote.zone != 0 && onward::is_party(&work.source, flow);
    if !to_endpoint && !from_party {
        return Err(DropReason::StaleEndpoint);
    }
    if flow.twin_zone == 0 {
        onward::exit(tables, work, true)?;
        return Ok(Verdict::Neighbour);
    }
    let key = EndpointKey {
        network: flow.twin_zone,
        address: flow.destination,
    };
    if !tables.endpoint(&key, &mut work.target)
        || (to_endpoint && !onward::is_party(&work.target, &work.flow))
    {
        return Err(DropReason::StaleEndpoint);
    }
    if work.target.flags & flags::UP == 0 {
        return Err(DropReason::EndpointDown);
    }
    rewrite::ethernet(work, work.target.mac, work.target.gateway_mac);
    work.aim_at_target();
    Ok(Verdict::Peer)
}

/// What is quoted becomes what its sender had sent. What the checksum of the error needs for that
/// is then the rewrite's port difference.
fn turn_back<P: Packet>(packet: &P, work: &mut Work) -> Option<()> {
    let (is_v4, key, flow) = (work.view.ip.is_v4(), &work.key, &work.flow);
    let quote = &mut work.quote;
    let addresses = checksum::add(
        checksum::delta(&key.destination.0, &flow.destination.0),
        checksum::delta(&key.source.0, &flow.source.0),
    );
    let mut ports = checksum::delta(&key.destination_port, &flow.destination_port);
    if !quote.is_echo() {
        let more = checksum::delta(&key.source_port, &flow.source_port);
        ports = checksum::add(ports, more);
    }
    let ([d0, d1], [s0, s1]) = (flow.destination_port, flow.source_port);
    quote.ports = [d0, d1, s0, s1];
    let mut all = checksum::add(addresses, ports);
    if is_v4 {
        let old = packet.read::<2>(usize::from(quote.header) + 10)?;
        quote.header_sum = checksum::replace(old, addresses);
        all = checksum::add(all, checksum::delta(&old, &quote.header_sum));
    }
    if quote.checksum != 0 {
        let old = packet.read::<2>(quote.checksum.into())?;
        if quote.kind == kind::UDP && old == [0, 0] {
            quote.checksum = 0;
        } else {
            // That of ICMP covers no addresses, that of ICMPv6 does.
            let covered = if is_v4 && quote.is_echo() {
                ports
            } else {
                checksum::add(addresses, ports)
            };
            quote.transport_sum = checksum::replace(old, covered);
            if quote.kind == kind::UDP && quote.transport_sum == [0, 0] {
                quote.transport_sum = [0xff, 0xff];
            }
            all = checksum::add(all, checksum::delta(&old, &quote.transport_sum));
        }
    }
    work.outcome.rewrite.port_delta = all;
    Some(())
}

/// The addresses of the error itself. It is from the far end where it quotes a packet to that, else
/// from a router on the way, whose address stays.
fn outer<P: Packet>(packet: &P, hops: u8, work: &mut Work) -> Option<()> {
    let (ip, key, flow) = (&work.view.ip, &work.key, &work.flow);
    let source = if ip.source == key.source {
        flow.source
    } else {
        ip.source
    };
    // Where an echo has its identifier, an error has octets that stay.
    let [a, b] = packet.read::<2>(usize::from(ip.transport) + 4)?;
    let delta = checksum::add(
        checksum::delta(&ip.source.0, &source.0),
        checksum::delta(&ip.destination.0, &flow.destination.0),
    );
    let rewrite = &mut work.outcome.rewrite;
    rewrite.changes |= changes::HEADER | changes::IS_ECHO | changes::APART;
    rewrite.transport = ip.transport;
    rewrite.checksum = ip.transport + 2;
    if !ip.is_v4() {
        rewrite.address_delta = delta;
        rewrite
            .header
            .put_v6(hops, &source, &flow.destination, [a, b, a, b]);
        return Some(());
    }
    rewrite.changes |= changes::IS_V4;
    rewrite.address_delta = 0;
    let sum = packet.read::<2>(ETHERNET + 10)?;
    let hop_delta = checksum::delta(&[ip.hops, 0], &[hops, 0]);
    let [s0, s1] = checksum::replace(sum, checksum::add(hop_delta, delta));
    rewrite.header.put_v4(
        [hops, ip.protocol, s0, s1],
        source.octets_v4(),
        flow.destination.octets_v4(),
        [a, b, a, b],
    );
    Some(())
}
