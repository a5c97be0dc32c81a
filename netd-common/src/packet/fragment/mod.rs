//! Fragments: the first of a datagram tells its ports to those that follow; those that come before
//! it are parked and sent once more when it is there.
//!
//! The hooks only find out which of this a packet is ([`attribute`]). Program `fragments`, a tail call,
//! parks and sends again ([`parking`]), so that other packets pay nothing.

pub mod parking;

use super::{Tables, Work, transport::kind, view::traits};
use crate::{
    abi::fragment::{Fragments, fragment_state},
    limits::{FRAGMENT_SECONDS, PARKED_SECONDS},
};

const NANOSECONDS: u64 = 1_000_000_000;

/// What a packet is, as far as it is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It is whole, or its transport is known: the first fragment's own, or what the first said.
    Known,
    /// The first fragment, for which later ones wait.
    Awaited,
    /// A later fragment whose first one has not come yet.
    Waits,
}

/// Finds out about the packet in `work`, whose transport header was read if it has one; that of a
/// later fragment is then the first one's. `arrival` as in [`crate::abi::fragment::FragmentKey::arrival`].
#[inline(always)]
pub fn attribute<T: Tables>(arrival: u32, tables: &mut T, work: &mut Work) -> Cut {
    if work.view.ip.traits & traits::FRAGMENT == 0 {
        return Cut::Known;
    }
    find(arrival, tables, work)
}

// Not inlined: a rare case, whose paths would multiply those of the hook.
#[inline(never)]
fn find<T: Tables>(arrival: u32, tables: &mut T, work: &mut Work) -> Cut {
    key(arrival, work);
    let now = tables.now();
    let (ip, transport) = (&work.view.ip, &mut work.view.transport);
    let (key, entry) = (&work.fragment, &mut work.fragments);
    let there = tables.fragments(key, entry);
    let age = now.saturating_sub(entry.since);
    let is = |state| there && entry.state == state;
    if ip.traits & traits::LATER_FRAGMENT != 0 {
        // Identifications come back; the kernel, too, forgets a datagram by then.
        if !is(fragment_state::KNOWN) || age > FRAGMENT_SECONDS * NANOSECONDS {
            return Cut::Waits;
        }
        transport.source_port = entry.source_port;
        transport.destination_port = entry.destination_port;
        transport.kind = entry.kind;
        transport.tcp_flags = 0;
        return Cut::Known;
    }
    let awaited = is(fragment_state::AWAITED) && age <= PARKED_SECONDS * NANOSECONDS;
    work.fragments = Fragments {
        since: now,
        source_port: transport.source_port,
        destination_port: transport.destination_port,
        kind: transport.kind,
        state: fragment_state::KNOWN,
        reserved: [0; 2],
    };
    tables.put_fragments(&work.fragment, &work.fragments);
    if awaited { Cut::Awaited } else { Cut::Known }
}

/// Puts the key of the packet's datagram into `work`.
fn key(arrival: u32, work: &mut Work) {
    let (ip, key) = (&work.view.ip, &mut work.fragment);
    key.source = ip.source;
    key.destination = ip.destination;
    key.identification = ip.identification;
    key.arrival = arrival;
    key.protocol = ip.protocol;
    key.reserved = [0; 3];
}

/// Whether the packet is a later fragment that has no transport of its own and none of the first's.
pub fn is_unattributed(work: &Work) -> bool {
    work.view.ip.traits & traits::LATER_FRAGMENT != 0 && work.view.transport.kind == kind::NONE
}
