//! Beginning a flow: choosing its source port and reserving its tuples. The insert of the far
//! side's half is the reservation: nobody else can have that key.

use super::{
    Tables, flow,
    tables::{InsertError, Seen},
    transport::{Kind, Transport},
};
use crate::{
    Addr, DropReason,
    abi::{
        flow::{Flow, FlowKey, flow_flags},
        host::Config,
    },
    limits::MAX_PORT_TRIES,
};

/// Begins a flow: `first` is the half of the packet at hand, with the source port it has.
/// Returns the half that holds now: another packet of the same tuple may have been faster.
///
/// Where the source becomes the host's ([`flow_flags::MASQUERADE`]) the port must be one that
/// the host's own sockets never pick; elsewhere the packet's own port is tried first. Echo
/// identifiers have a space of their own: any will do.
///
/// # Errors
/// [`DropReason::PortsExhausted`] after [`MAX_PORT_TRIES`], [`DropReason::FlowTableFull`].
pub fn open<T: Tables>(
    tables: &mut T,
    key: &FlowKey,
    first: &Flow,
    transport: &Transport,
) -> Result<Flow, DropReason> {
    let config = tables.config();
    let masquerade = first.flags & flow_flags::MASQUERADE != 0;
    let own = u16::from_be_bytes(transport.source_port);
    let keep = !masquerade || transport.is_echo() || in_ranges(&config, own);
    let mut flow = *first;
    let mut attempt = 0;
    while attempt < MAX_PORT_TRIES {
        let port = if attempt == 0 && keep {
            own
        } else if transport.is_echo() {
            tables.random() as u16
        } else {
            // A UDP socket keeps its port towards everybody where it can (RFC 4787 REQ-1): the
            // first try depends on nothing else.
            let chance = if attempt == 0 && transport.kind == Kind::Udp {
                scatter(&key.source, own)
            } else {
                tables.random()
            };
            pick(&config, chance).ok_or(DropReason::PortsExhausted)?
        };
        attempt += 1;
        flow.source_port = port.to_be_bytes();
        if transport.is_echo() {
            flow.destination_port = flow.source_port;
        }
        if masquerade && !transport.is_echo() && is_published(tables, key.protocol, &flow) {
            continue;
        }
        match reserve(tables, key, &flow)? {
            Reservation::Taken => {}
            Reservation::Made => return begin(tables, key, &flow),
            Reservation::Found(flags) => return heal(tables, key, &flow, flags),
        }
    }
    Err(DropReason::PortsExhausted)
}

/// What became of the far side's key.
enum Reservation {
    /// It is ours.
    Made,
    /// It is this very conversation's already.
    Found(u32),
    /// Another conversation has it.
    Taken,
}

/// Tries to get the far side's key for `flow`. `Found` carries the flags of the half found.
fn reserve<T: Tables>(
    tables: &mut T,
    key: &FlowKey,
    flow: &Flow,
) -> Result<Reservation, DropReason> {
    let (twin_key, twin) = flow::twin(key, flow);
    let existing = match tables.flow(&twin_key, &Seen::NOTHING) {
        Some(existing) => existing,
        None => {
            match tables.insert_new_flow(&twin_key, &twin) {
                Ok(()) => return Ok(Reservation::Made),
                Err(InsertError::Full) => return Err(DropReason::FlowTableFull),
                Err(InsertError::Exists) => {}
            }
            match tables.new_flow(&twin_key, &Seen::NOTHING) {
                Some(existing) => existing,
                None => return Ok(Reservation::Taken),
            }
        }
    };
    if !same_conversation(&existing, &twin) {
        return Ok(Reservation::Taken);
    }
    if same_terms(&existing, &twin) {
        return Ok(Reservation::Found(existing.flags));
    }
    // Of a former life of the endpoint, or decided under former rules.
    tables.remove_flow(&twin_key);
    tables.remove_new_flow(&twin_key);
    match tables.insert_new_flow(&twin_key, &twin) {
        Ok(()) => Ok(Reservation::Made),
        Err(InsertError::Exists) => Ok(Reservation::Taken),
        Err(InsertError::Full) => Err(DropReason::FlowTableFull),
    }
}

fn same_conversation(a: &Flow, b: &Flow) -> bool {
    a.source == b.source
        && a.destination == b.destination
        && a.source_port == b.source_port
        && a.destination_port == b.destination_port
        && a.twin_zone == b.twin_zone
}

fn same_terms(a: &Flow, b: &Flow) -> bool {
    a.endpoint == b.endpoint && a.generation == b.generation && a.epoch == b.epoch
}

/// The packet's own half, after the reservation. Where a second first packet was faster, its
/// entry holds and the reservation is given back.
fn begin<T: Tables>(tables: &mut T, key: &FlowKey, flow: &Flow) -> Result<Flow, DropReason> {
    match tables.insert_new_flow(key, flow) {
        Ok(()) => return Ok(*flow),
        Err(InsertError::Exists) => {}
        Err(InsertError::Full) => {
            tables.remove_new_flow(&flow::twin_key(key, flow));
            return Err(DropReason::FlowTableFull);
        }
    }
    let Some(winner) = tables.new_flow(key, &Seen::NOTHING) else {
        return Ok(*flow);
    };
    let (ours, theirs) = (flow::twin_key(key, flow), flow::twin_key(key, &winner));
    if ours != theirs {
        tables.remove_new_flow(&ours);
    }
    Ok(winner)
}

/// The packet's own half was lost and the far side's is there: made again where that one is.
fn heal<T: Tables>(
    tables: &mut T,
    key: &FlowKey,
    flow: &Flow,
    twin_flags: u32,
) -> Result<Flow, DropReason> {
    let mut flow = *flow;
    let inserted = if twin_flags & flow_flags::ESTABLISHED != 0 {
        flow.flags |= flow_flags::ESTABLISHED;
        tables.insert_flow(key, &flow)
    } else {
        tables.insert_new_flow(key, &flow)
    };
    match inserted {
        Ok(()) | Err(InsertError::Exists) => Ok(flow),
        Err(InsertError::Full) => Err(DropReason::FlowTableFull),
    }
}

/// Whether the port is published where the flow's source is: outside it means the container.
fn is_published<T: Tables>(tables: &mut T, protocol: u8, flow: &Flow) -> bool {
    let wildcard = if flow.source.is_v4() {
        Addr::ANY_V4
    } else {
        Addr::NONE
    };
    tables
        .port(protocol, &flow.source, flow.source_port)
        .is_some()
        || tables.port(protocol, &wildcard, flow.source_port).is_some()
}

fn in_ranges(config: &Config, port: u16) -> bool {
    let [[low_a, high_a], [low_b, high_b]] = config.ports;
    (low_a <= port && port <= high_a) || (low_b <= port && port <= high_b)
}

/// A port of the ranges, each as likely: multiply and shift, since a remainder favours the low.
fn pick(config: &Config, chance: u32) -> Option<u16> {
    let [[low_a, high_a], [low_b, high_b]] = config.ports;
    let size = |low: u16, high: u16| (u32::from(high) + 1).saturating_sub(u32::from(low));
    let (size_a, size_b) = (size(low_a, high_a), size(low_b, high_b));
    let size = size_a + size_b;
    if size == 0 {
        return None;
    }
    let nth = ((u64::from(chance) * u64::from(size)) >> 32) as u32;
    let port = if nth < size_a {
        u32::from(low_a) + nth
    } else {
        u32::from(low_b) + (nth - size_a)
    };
    Some(port as u16)
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
