//! Flows: finding a packet's half, its twin, when a flow is established, over, or begins again.
//!
//! A flow begins as two halves in `NEW_FLOWS`, which evicts. When its originator speaks again
//! after the far side has answered, both halves move to `FLOWS`, which does not: a flood of
//! packets that nobody follows up can only displace its like.

use super::{
    Tables,
    tables::{InsertError, Seen},
    transport::{Kind, Transport, tcp},
    view::protocol,
};
use crate::{
    DropReason,
    abi::flow::{Flow, FlowKey, flow_flags},
    limits,
};

const NANOSECONDS: u64 = 1_000_000_000;

/// The other half as it is made with its flow: its key from this half's value and the reverse.
pub fn twin(key: &FlowKey, flow: &Flow) -> (FlowKey, Flow) {
    let twin = Flow {
        source: key.destination,
        destination: key.source,
        source_port: key.destination_port,
        destination_port: key.source_port,
        twin_zone: key.zone,
        network: flow.network,
        endpoint: flow.endpoint,
        generation: flow.generation,
        epoch: flow.epoch,
        flags: flow.flags ^ (flow_flags::ORIGINAL | flow_flags::TO_ENDPOINT),
        tcp_flags: 0,
        packets: 0,
        bytes: 0,
        created: flow.created,
        last_seen: flow.created,
    };
    (twin_key(key, flow), twin)
}

/// The key of the other half.
pub fn twin_key(key: &FlowKey, flow: &Flow) -> FlowKey {
    FlowKey {
        zone: flow.twin_zone,
        source: flow.destination,
        destination: flow.source,
        source_port: flow.destination_port,
        destination_port: flow.source_port,
        protocol: key.protocol,
        reserved: [0; 3],
    }
}

/// The packet's half, after recording the packet in it; `None` where it has no flow, or where it
/// begins its flow again.
///
/// # Errors
/// [`DropReason::FlowTableFull`] where the flow is established now and has no room.
pub fn find<T: Tables>(
    tables: &mut T,
    key: &FlowKey,
    transport: &Transport,
    bytes: u32,
) -> Result<Option<Flow>, DropReason> {
    let seen = Seen {
        bytes: u64::from(bytes),
        tcp_flags: transport.tcp_flags,
    };
    let (flow, settled) = match tables.flow(key, &seen) {
        Some(flow) => (flow, true),
        None => match tables.new_flow(key, &seen) {
            Some(flow) => (flow, false),
            None => return Ok(None),
        },
    };
    let original = flow.flags & flow_flags::ORIGINAL != 0;
    // An echo half takes requests one way and replies the other: a request of the far side is
    // not part of our flow.
    if transport.is_echo() && original != (transport.kind == Kind::EchoRequest) {
        return Ok(None);
    }
    if original && transport.kind == Kind::Tcp && transport.tcp_flags == tcp::SYN {
        if begins_again(tables, key, &flow) {
            forget(tables, key, &flow);
            return Ok(None);
        }
    }
    if original && !settled {
        settle(tables, key, &flow)?;
    }
    Ok(Some(flow))
}

/// Whether a SYN of the originator reuses the ports of a connection that is over.
fn begins_again<T: Tables>(tables: &mut T, key: &FlowKey, flow: &Flow) -> bool {
    let twin_key = twin_key(key, flow);
    let twin = look(tables, &twin_key);
    let flags = flow.tcp_flags | twin.map_or(0, |twin| twin.tcp_flags);
    flags & u32::from(tcp::FIN | tcp::RST) != 0
}

/// A half wherever it is, without recording anything.
fn look<T: Tables>(tables: &mut T, key: &FlowKey) -> Option<Flow> {
    match tables.flow(key, &Seen::NOTHING) {
        Some(flow) => Some(flow),
        None => tables.new_flow(key, &Seen::NOTHING),
    }
}

/// A packet of the originator in a flow that is not established: if the far side has answered,
/// it is now; if the other half was evicted, it is made again.
fn settle<T: Tables>(tables: &mut T, key: &FlowKey, flow: &Flow) -> Result<(), DropReason> {
    let (twin_key, made) = twin(key, flow);
    match tables.new_flow(&twin_key, &Seen::NOTHING) {
        // Whoever has the key by now, this half stands: the next packet sees to it.
        None => {
            let _ = tables.insert_new_flow(&twin_key, &made);
            Ok(())
        }
        Some(twin) if twin.packets > 0 => establish(tables, key, flow, &twin_key, &twin),
        Some(_) => Ok(()),
    }
}

fn establish<T: Tables>(
    tables: &mut T,
    key: &FlowKey,
    flow: &Flow,
    twin_key: &FlowKey,
    twin: &Flow,
) -> Result<(), DropReason> {
    insert_established(tables, twin_key, twin)?;
    if let Err(full) = insert_established(tables, key, flow) {
        tables.remove_flow(twin_key);
        return Err(full);
    }
    tables.remove_new_flow(key);
    tables.remove_new_flow(twin_key);
    Ok(())
}

/// That it exists is success: another CPU was faster.
fn insert_established<T: Tables>(
    tables: &mut T,
    key: &FlowKey,
    flow: &Flow,
) -> Result<(), DropReason> {
    let mut flow = *flow;
    flow.flags |= flow_flags::ESTABLISHED;
    match tables.insert_flow(key, &flow) {
        Ok(()) | Err(InsertError::Exists) => Ok(()),
        Err(InsertError::Full) => Err(DropReason::FlowTableFull),
    }
}

/// Removes both halves from both tables.
pub fn forget<T: Tables>(tables: &mut T, key: &FlowKey, flow: &Flow) {
    let twin_key = twin_key(key, flow);
    tables.remove_flow(key);
    tables.remove_new_flow(key);
    tables.remove_flow(&twin_key);
    tables.remove_new_flow(&twin_key);
}

/// Whether a flow is over at `now` (nanoseconds of CLOCK_MONOTONIC), seen from one half and, where
/// it exists, the other. The agent then removes both.
pub fn expired(key: &FlowKey, flow: &Flow, twin: Option<&Flow>, now: u64) -> bool {
    let last = twin.map_or(flow.last_seen, |twin| flow.last_seen.max(twin.last_seen));
    let idle = now.saturating_sub(last);
    idle > timeout_seconds(key, flow, twin) * NANOSECONDS
}

/// How long a flow may be silent.
fn timeout_seconds(key: &FlowKey, flow: &Flow, twin: Option<&Flow>) -> u64 {
    let established = flow.flags & flow_flags::ESTABLISHED != 0;
    match key.protocol {
        protocol::TCP => {
            let ours = flow.tcp_flags;
            let theirs = twin.map_or(0, |twin| twin.tcp_flags);
            let has = |flags: u32, flag: u8| flags & u32::from(flag) != 0;
            if has(ours | theirs, tcp::RST) || has(ours & theirs, tcp::FIN) {
                limits::TCP_CLOSING_SECONDS
            } else if established && has(ours & theirs, tcp::ACK) {
                limits::TCP_ESTABLISHED_SECONDS
            } else {
                limits::TCP_OPENING_SECONDS
            }
        }
        protocol::UDP if established => limits::UDP_ESTABLISHED_SECONDS,
        protocol::UDP => limits::UDP_NEW_SECONDS,
        _ => limits::ICMP_SECONDS,
    }
}
