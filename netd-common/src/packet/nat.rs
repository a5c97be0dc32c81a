//! Beginning a flow: choosing its source port and reserving its tuples. The insert of the far
//! side's half is the reservation: nobody else can have that key.

use super::{
    Tables, Work, flow, published,
    tables::{InsertError, Seen},
    transport::kind,
};
use crate::{
    Addr, DropReason,
    abi::{
        endpoint::flags,
        flow::{Flow, FlowKey, flow_flags},
        host::Config,
    },
    limits::MAX_PORT_TRIES,
};

/// Begins the flow in `work`, complete but for its source port, with its first packet. In the end
/// `work` has the half that holds: another packet of the same tuple may have been faster.
///
/// Where the source becomes the host's (an uplink's address, a network's gateway) the port must be one
/// that the host's own sockets never pick, and none has; elsewhere the packet's own port is tried first. Echo
/// identifiers have a space of their own: any will do. The port of SCTP stays: where it is taken there is
/// no flow.
///
/// # Errors
/// [`DropReason::PortsExhausted`] after [`MAX_PORT_TRIES`], [`DropReason::SctpPort`],
/// [`DropReason::FlowTableFull`].
// Not inlined: its 250 octets of stack would stay with the caller to the end.
#[inline(never)]
pub fn open<T: Tables>(tables: &mut T, work: &mut Work) -> Result<(), DropReason> {
    let config = tables.config();
    let now = tables.now();
    work.flow.epoch = config.epoch;
    work.flow.tcp_flags = u16::from(work.view.transport.tcp_flags);
    work.flow.packets = 1;
    work.flow.bytes = u64::from(work.view.ip.length);
    work.flow.created = now;
    work.flow.last_seen = now;

    match choose(tables, &config, work)? {
        Reservation::Found => heal(tables, work),
        _ => begin(tables, work),
    }
}

/// Gives the flow in `work` the source address that it has outside: the network's own; what the host
/// itself would send from by the route that [`super::onward::exit`] found, where the kernel tells; else
/// the uplink's.
///
/// # Errors
/// [`DropReason::NoAddress`] where there is none.
pub fn masquerade<T: Tables>(tables: &mut T, work: &mut Work) -> Result<(), DropReason> {
    let preferred = if has_own_address(work) {
        let subnet = tables.subnet(&work.view.ip.source);
        subnet.map_or(Addr::NONE, |subnet| subnet.egress)
    } else {
        tables.preferred_source(work.source.bridge, &work.view)
    };
    work.flow.source = if preferred.is_unspecified() || preferred.is_link_local_v6() {
        *of_uplink(work)
    } else {
        preferred
    };
    work.flow.uplink = work.outcome.ifindex;
    work.flow.flags |= flow_flags::MASQUERADE;
    if work.flow.source.is_none() {
        return Err(DropReason::NoAddress);
    }
    Ok(())
}

/// Whether the masqueraded flow in `work` may go on by the uplink there: it is the one that the flow
/// was begun through, and the host still has the address. An address that was given to the network is
/// the administrator's affair.
pub fn still_fits<T: Tables>(tables: &mut T, work: &Work) -> bool {
    let source = &work.flow.source;
    if has_own_address(work) {
        return true;
    }
    work.flow.uplink == work.outcome.ifindex
        && (source == of_uplink(work) || tables.host_address(source).is_some())
}

fn has_own_address(work: &Work) -> bool {
    work.source.flags & flags::of_family(flags::EGRESS, work.view.ip.is_v4()) != 0
}

fn of_uplink(work: &Work) -> &Addr {
    let [v4, v6] = &work.uplink.addresses;
    if work.view.ip.is_v4() { v4 } else { v6 }
}

/// Tries source ports until one is free, and reserves it.
fn choose<T: Tables>(
    tables: &mut T,
    config: &Config,
    work: &mut Work,
) -> Result<Reservation, DropReason> {
    let echo = work.view.transport.is_echo();
    let translated = work.flow.source != work.view.ip.source && !echo;
    let own = u16::from_be_bytes(work.view.transport.source_port);
    let fixed = work.view.transport.kind == kind::SCTP;
    let keep = !translated || fixed || in_ranges(config, own);
    let mut attempt = 0;
    while attempt < MAX_PORT_TRIES {
        let port = if attempt == 0 && keep {
            own
        } else if echo {
            tables.random() as u16
        } else {
            let count = count(config);
            let nth = if attempt == 0 {
                home(count, &work.view.ip.source, own)
            } else {
                share(count, tables.random())
            };
            nth_port(config, nth).ok_or(DropReason::PortsExhausted)?
        };
        if attempt != 0 && fixed {
            return Err(DropReason::SctpPort);
        }
        attempt += 1;
        work.flow.source_port = port.to_be_bytes();
        if echo {
            work.flow.destination_port = work.flow.source_port;
        }
        flow::make_twin_key(&work.key, &work.flow, &mut work.twin_key);
        // The kernel tells of TCP and UDP sockets alone.
        let is_used = !fixed && translated && tables.host_uses(&work.twin_key);
        if is_used || translated && is_published(tables, work) {
            continue;
        }
        match reserve(tables, work)? {
            Reservation::Taken => {}
            reservation => return Ok(reservation),
        }
    }
    Err(DropReason::PortsExhausted)
}

/// What became of the far side's key.
enum Reservation {
    /// It is ours.
    Made,
    /// It is this very conversation's already; `work` has its half as the twin.
    Found,
    /// Another conversation has it.
    Taken,
}

/// Tries to get the far side's key for the flow in `work`, which is there as the twin's.
fn reserve<T: Tables>(tables: &mut T, work: &mut Work) -> Result<Reservation, DropReason> {
    if !tables.flow(&work.twin_key, &Seen::NOTHING, &mut work.twin) {
        flow::make_twin(&work.key, &work.flow, &mut work.twin);
        match tables.insert_new_flow(&work.twin_key, &work.twin) {
            Ok(()) => return Ok(Reservation::Made),
            Err(InsertError::Full) => return Err(DropReason::FlowTableFull),
            Err(InsertError::Exists) => {}
        }
        if !tables.new_flow(&work.twin_key, &Seen::NOTHING, &mut work.twin) {
            return Ok(Reservation::Taken);
        }
    }
    if !is_twin(&work.twin, &work.key) {
        return Ok(Reservation::Taken);
    }
    if is_current(&work.twin, &work.flow) {
        return Ok(Reservation::Found);
    }
    // Of a former life of the endpoint, or decided under former rules.
    if tables.remove_flow(&work.twin_key) {
        tables.count_established(work.twin.endpoint, -1);
    }
    tables.remove_new_flow(&work.twin_key);
    flow::make_twin(&work.key, &work.flow, &mut work.twin);
    match tables.insert_new_flow(&work.twin_key, &work.twin) {
        Ok(()) => Ok(Reservation::Made),
        Err(InsertError::Exists) => Ok(Reservation::Taken),
        Err(InsertError::Full) => Err(DropReason::FlowTableFull),
    }
}

/// Whether a half leads back to where packets with `key` come from, and answers for whom they
/// dial.
fn is_twin(half: &Flow, key: &FlowKey) -> bool {
    half.twin_zone == key.zone
        && half.destination_port == key.source_port
        && half.source_port == key.destination_port
        && half.destination == key.source
        && half.source == key.destination
}

/// Whether the other half of `half` has this key.
fn leads_to(half: &Flow, twin_key: &FlowKey) -> bool {
    half.twin_zone == twin_key.zone
        && half.destination_port == twin_key.source_port
        && half.source_port == twin_key.destination_port
        && half.destination == twin_key.source
        && half.source == twin_key.destination
}

fn is_current(half: &Flow, flow: &Flow) -> bool {
    half.endpoint == flow.endpoint && half.generation == flow.generation && half.epoch == flow.epoch
}

/// Inserts the packet's own half after the reservation. Where a second first packet was faster,
/// its entry holds and the reservation is given back.
fn begin<T: Tables>(tables: &mut T, work: &mut Work) -> Result<(), DropReason> {
    match tables.insert_new_flow(&work.key, &work.flow) {
        Ok(()) => return Ok(()),
        Err(InsertError::Exists) => {}
        Err(InsertError::Full) => {
            tables.remove_new_flow(&work.twin_key);
            return Err(DropReason::FlowTableFull);
        }
    }
    if tables.new_flow(&work.key, &Seen::NOTHING, &mut work.flow)
        && !leads_to(&work.flow, &work.twin_key)
    {
        tables.remove_new_flow(&work.twin_key);
    }
    Ok(())
}

/// The packet's own half was lost and the far side's is there: made again where that one is.
fn heal<T: Tables>(tables: &mut T, work: &mut Work) -> Result<(), DropReason> {
    let inserted = if work.twin.flags & flow_flags::ESTABLISHED != 0 {
        work.flow.flags |= flow_flags::ESTABLISHED;
        let inserted = tables.insert_flow(&work.key, &work.flow);
        if inserted.is_ok() {
            tables.count_established(work.flow.endpoint, 1);
        }
        inserted
    } else {
        tables.insert_new_flow(&work.key, &work.flow)
    };
    match inserted {
        Ok(()) | Err(InsertError::Exists) => Ok(()),
        Err(InsertError::Full) => Err(DropReason::FlowTableFull),
    }
}

/// Whether the port is published where the flow's source is: outside it means the container.
// Not inlined: the keys that it looks up would take stack of every try.
#[inline(never)]
fn is_published<T: Tables>(tables: &mut T, work: &mut Work) -> bool {
    let (protocol, source) = (work.key.protocol, work.flow.source);
    let (number, port) = (work.flow.source_port, &mut work.port);
    tables.port(protocol, &source, number, port)
        || tables.port(protocol, &published::wildcard(source.is_v4()), number, port)
}

/// Whether flows are masqueraded with this port.
pub(super) fn in_ranges(config: &Config, port: u16) -> bool {
    let [[low_a, high_a], [low_b, high_b]] = config.ports;
    (low_a <= port && port <= high_a) || (low_b <= port && port <= high_b)
}

/// How many ports the ranges have.
fn count(config: &Config) -> u32 {
    let [[low_a, high_a], [low_b, high_b]] = config.ports;
    size(low_a, high_a) + size(low_b, high_b)
}

fn size(low: u16, high: u16) -> u32 {
    (u32::from(high) + 1).saturating_sub(u32::from(low))
}

/// The `nth` port of the ranges, counted from 0.
fn nth_port(config: &Config, nth: u32) -> Option<u16> {
    let [[low_a, high_a], [low_b, high_b]] = config.ports;
    let first = size(low_a, high_a);
    let (low, nth, size) = if nth < first {
        (low_a, nth, first)
    } else {
        (low_b, nth - first, size(low_b, high_b))
    };
    (nth < size).then_some((u32::from(low) + nth) as u16)
}

/// One of `count`, each as likely: multiply and shift, since a remainder favours the low.
fn share(count: u32, chance: u32) -> u32 {
    ((u64::from(chance) * u64::from(count)) >> 32) as u32
}

/// Which of `count` ports a socket tries first: it depends on the socket alone, and its neighbours have
/// the neighbouring ones.
///
/// So a UDP socket keeps its port towards everybody where it can (RFC 4787 REQ-1). A TCP connection
/// that begins again has the port that it had: a far end that remembers the former one (TIME_WAIT) lets
/// it in only with a later timestamp (RFC 6191), and Linux counts timestamps for each pair of ports. And
/// as long as there are as many ports as the sockets of a container choose from, no two of them meet.
// Not inlined: what it computes would stay on the stack of a chain that has none left.
#[inline(never)]
fn home(count: u32, address: &Addr, own: u16) -> u32 {
    let mut nth = u32::from(own) + share(count, scatter(address, 0));
    // A remainder, without a division: two steps are enough for ranges of 32,768 ports and more.
    for _ in 0..2 {
        if nth >= count {
            nth -= count;
        }
    }
    if nth >= count {
        return share(count, scatter(address, own));
    }
    nth
}

/// An address and a port, scattered over 32 bits (the finaliser of MurmurHash3).
fn scatter(address: &Addr, port: u16) -> u32 {
    let mut hash = u32::from(port);
    let (words, _) = address.0.as_chunks::<4>();
    for word in words {
        hash ^= u32::from_ne_bytes(*word);
        hash ^= hash >> 16;
        hash = hash.wrapping_mul(0x85eb_ca6b);
        hash ^= hash >> 13;
        hash = hash.wrapping_mul(0xc2b2_ae35);
        hash ^= hash >> 16;
    }
    hash
}
