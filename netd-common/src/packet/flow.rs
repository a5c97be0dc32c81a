//! Flows: finding a packet's half, its twin, when a flow is established, over, or begins again.
//!
//! A flow begins as two halves in `NEW_FLOWS`, which evicts. When its originator speaks again
//! after the far side has answered, both halves move to `FLOWS`, which does not: a flood of
//! packets that nobody follows up can only displace its like.

use super::{
    Tables, Work,
    tables::{InsertError, Seen},
    transport::{kind, tcp},
    view::protocol,
};
use crate::{
    DropReason,
    abi::flow::{Flow, FlowKey, flow_flags},
    limits,
};

const NANOSECONDS: u64 = 1_000_000_000;

/// The key of the other half: the rewritten tuple, reversed, where its packets arrive.
pub fn twin_key(key: &FlowKey, flow: &Flow) -> FlowKey {
    let mut twin = FlowKey::default();
    make_twin_key(key, flow, &mut twin);
    twin
}

/// The same in place.
pub(super) fn make_twin_key(key: &FlowKey, flow: &Flow, twin: &mut FlowKey) {
    twin.zone = flow.twin_zone;
    twin.source = flow.destination;
    twin.destination = flow.source;
    twin.source_port = flow.destination_port;
    twin.destination_port = flow.source_port;
    twin.protocol = key.protocol;
    twin.reserved = [0; 3];
}

/// The other half as it is made with its flow: what arrives becomes the reverse of `key`.
pub fn twin(key: &FlowKey, flow: &Flow) -> Flow {
    let mut twin = Flow::default();
    make_twin(key, flow, &mut twin);
    twin
}

/// The same in place: BPF has no stack for halves.
pub(super) fn make_twin(key: &FlowKey, flow: &Flow, twin: &mut Flow) {
    twin.source = key.destination;
    twin.destination = key.source;
    twin.source_port = key.destination_port;
    twin.destination_port = key.source_port;
    twin.twin_zone = key.zone;
    twin.network = flow.network;
    twin.endpoint = flow.endpoint;
    twin.generation = flow.generation;
    twin.epoch = flow.epoch;
    twin.uplink = flow.uplink;
    twin.flags = flow.flags ^ (flow_flags::ORIGINAL | flow_flags::TO_ENDPOINT);
    twin.tcp_flags = 0;
    twin.packets = 0;
    twin.bytes = 0;
    twin.created = flow.created;
    twin.last_seen = flow.created;
}

/// Finds the half with the key in `work` and records the packet in it; then it is in `work`.
/// `false` where the packet has no flow, or begins its flow again.
///
/// # Errors
/// [`DropReason::FlowTableFull`] where the flow is established now and has no room.
pub fn find<T: Tables>(tables: &mut T, work: &mut Work) -> Result<bool, DropReason> {
    let transport = work.view.transport;
    let seen = Seen {
        bytes: u64::from(work.view.ip.length),
        tcp_flags: transport.tcp_flags,
    };
    let settled = tables.flow(&work.key, &seen, &mut work.flow);
    if !settled && !tables.new_flow(&work.key, &seen, &mut work.flow) {
        return Ok(false);
    }
    let original = work.flow.flags & flow_flags::ORIGINAL != 0;
    // An echo half takes requests one way and replies the other: a request of the far side is
    // not part of our flow.
    if transport.is_echo() && original != (transport.kind == kind::ECHO_REQUEST) {
        return Ok(false);
    }
    if !original {
        return Ok(true);
    }
    let opens = matches!(transport.kind, kind::TCP | kind::SCTP) && transport.tcp_flags == tcp::SYN;
    if opens && begins_again(tables, work) {
        forget(tables, work);
        return Ok(false);
    }
    if !settled {
        settle(tables, work)?;
    }
    Ok(true)
}

/// Whether a SYN of the originator reuses the ports of a connection that is over.
fn begins_again<T: Tables>(tables: &mut T, work: &mut Work) -> bool {
    make_twin_key(&work.key, &work.flow, &mut work.twin_key);
    let mut flags = work.flow.tcp_flags;
    if tables.flow(&work.twin_key, &Seen::NOTHING, &mut work.twin)
        || tables.new_flow(&work.twin_key, &Seen::NOTHING, &mut work.twin)
    {
        flags |= work.twin.tcp_flags;
    }
    flags & u16::from(tcp::FIN | tcp::RST) != 0
}

/// A packet of the originator in a flow that is not established: if the far side has answered,
/// it is now; if the other half was evicted, it is made again.
fn settle<T: Tables>(tables: &mut T, work: &mut Work) -> Result<(), DropReason> {
    make_twin_key(&work.key, &work.flow, &mut work.twin_key);
    if !tables.new_flow(&work.twin_key, &Seen::NOTHING, &mut work.twin) {
        make_twin(&work.key, &work.flow, &mut work.twin);
        // Whoever has the key by now, this half stands: the next packet sees to it.
        let _ = tables.insert_new_flow(&work.twin_key, &work.twin);
        return Ok(());
    }
    if work.twin.packets == 0 {
        return Ok(());
    }
    establish(tables, work)
}

/// Moves both halves to the table that does not evict. That one is there already is success:
/// another CPU was faster.
fn establish<T: Tables>(tables: &mut T, work: &mut Work) -> Result<(), DropReason> {
    let endpoint = work.flow.endpoint;
    let most = tables.config().endpoint_halves;
    if most != 0 && tables.established(endpoint) >= most {
        return Err(DropReason::EndpointFlows);
    }
    work.flow.flags |= flow_flags::ESTABLISHED;
    work.twin.flags |= flow_flags::ESTABLISHED;
    let twin = tables.insert_flow(&work.twin_key, &work.twin);
    if twin == Err(InsertError::Full) {
        return Err(DropReason::FlowTableFull);
    }
    let own = tables.insert_flow(&work.key, &work.flow);
    if own == Err(InsertError::Full) {
        if twin.is_ok() {
            tables.remove_flow(&work.twin_key);
        }
        return Err(DropReason::FlowTableFull);
    }
    tables.count_established(endpoint, i64::from(twin.is_ok()) + i64::from(own.is_ok()));
    tables.remove_new_flow(&work.key);
    tables.remove_new_flow(&work.twin_key);
    Ok(())
}

/// Removes both halves of the flow in `work` from both tables.
pub fn forget<T: Tables>(tables: &mut T, work: &mut Work) {
    make_twin_key(&work.key, &work.flow, &mut work.twin_key);
    let removed =
        i64::from(tables.remove_flow(&work.key)) + i64::from(tables.remove_flow(&work.twin_key));
    if removed != 0 {
        tables.count_established(work.flow.endpoint, -removed);
    }
    tables.remove_new_flow(&work.key);
    tables.remove_new_flow(&work.twin_key);
}

/// How long flows may be silent, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP with data both ways.
    pub tcp_established: u64,
    /// TCP whose handshake is not finished.
    pub tcp_opening: u64,
    /// TCP after both FINs or a RST.
    pub tcp_closing: u64,
    /// UDP whose originator spoke again after an answer.
    pub udp_established: u64,
    /// UDP before.
    pub udp_new: u64,
    /// ICMP echo.
    pub icmp: u64,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            tcp_established: limits::TCP_ESTABLISHED_SECONDS,
            tcp_opening: limits::TCP_OPENING_SECONDS,
            tcp_closing: limits::TCP_CLOSING_SECONDS,
            udp_established: limits::UDP_ESTABLISHED_SECONDS,
            udp_new: limits::UDP_NEW_SECONDS,
            icmp: limits::ICMP_SECONDS,
        }
    }
}

/// Whether a flow is over at `now` (nanoseconds of CLOCK_MONOTONIC), seen from one half and, where
/// it exists, the other. The agent then removes both.
pub fn expired(
    key: &FlowKey,
    flow: &Flow,
    twin: Option<&Flow>,
    timeouts: &Timeouts,
    now: u64,
) -> bool {
    let last = twin.map_or(flow.last_seen, |twin| flow.last_seen.max(twin.last_seen));
    let idle = now.saturating_sub(last);
    idle > seconds(key, flow, twin, timeouts).saturating_mul(NANOSECONDS)
}

/// Whether one half leaves open that the flow is over; where not, nobody needs to look for the other.
pub fn may_have_expired(key: &FlowKey, flow: &Flow, timeouts: &Timeouts, now: u64) -> bool {
    let least = match key.protocol {
        // Which of them applies depends on what both sides said.
        protocol::TCP | protocol::SCTP => {
            let either = timeouts.tcp_closing.min(timeouts.tcp_opening);
            let established = timeouts.tcp_established;
            either.min(established.min(limits::SCTP_ESTABLISHED_SECONDS))
        }
        _ => seconds(key, flow, None, timeouts),
    };
    now.saturating_sub(flow.last_seen) > least.saturating_mul(NANOSECONDS)
}

/// How long a flow may be silent.
fn seconds(key: &FlowKey, flow: &Flow, twin: Option<&Flow>, timeouts: &Timeouts) -> u64 {
    let established = flow.flags & flow_flags::ESTABLISHED != 0;
    match key.protocol {
        protocol::TCP | protocol::SCTP => {
            let ours = flow.tcp_flags;
            let theirs = twin.map_or(0, |twin| twin.tcp_flags);
            let has = |flags: u16, flag: u8| flags & u16::from(flag) != 0;
            if has(ours | theirs, tcp::RST) || has(ours & theirs, tcp::FIN) {
                timeouts.tcp_closing
            } else if established && has(ours & theirs, tcp::ACK) {
                match key.protocol {
                    protocol::TCP => timeouts.tcp_established,
                    _ => limits::SCTP_ESTABLISHED_SECONDS,
                }
            } else {
                timeouts.tcp_opening
            }
        }
        protocol::UDP if established => timeouts.udp_established,
        protocol::UDP => timeouts.udp_new,
        _ => timeouts.icmp,
    }
}
