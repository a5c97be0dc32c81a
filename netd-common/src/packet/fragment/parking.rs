//! Where fragments wait for the first of their datagram, and what becomes of them when it is there.
//! The places themselves are the adapter's.

use crate::{
    DropReason,
    abi::fragment::{FragmentKey, Fragments, fragment_state},
    limits::{
        FRAGMENT_SECONDS, MAX_PARKED, MAX_PARKED_OCTETS, MAX_PARKED_PER_DATAGRAM, PARKED_SECONDS,
    },
    packet::{Tables, Verdict, Work, view::traits},
};

const NANOSECONDS: u64 = 1_000_000_000;
/// A datagram has the places of its group; others may share them.
const GROUPS: u32 = MAX_PARKED / MAX_PARKED_PER_DATAGRAM;

/// The places (`PARKED`) and the packet in hand.
pub trait Places {
    /// When the fragment at a place was parked; `None` where the place is free.
    fn since(&mut self, place: u32) -> Option<u64>;
    /// Whether the fragment there is of this datagram.
    fn is_of(&mut self, place: u32, key: &FragmentKey) -> bool;
    /// Parks the packet, whose datagram and length are in `work`, unless the place is taken.
    fn park(&mut self, place: u32, now: u64, work: &Work) -> bool;
    /// Frees a place; whether nobody was faster.
    fn free(&mut self, place: u32) -> bool;
    /// Frees a place whose time has run out, and counts that.
    fn expire(&mut self, place: u32);
    /// The packet in hand becomes the parked one, which comes in once more; the place is free then.
    fn release(&mut self, place: u32);
    /// The packet in hand comes in once more.
    fn again(&mut self);
}

/// Goes on with the work of a hook whose verdict is [`Verdict::Fragment`].
pub fn decide<T: Tables, P: Places>(tables: &mut T, places: &mut P, work: &mut Work) -> Verdict {
    let now = tables.now();
    if work.view.ip.traits & traits::LATER_FRAGMENT == 0 {
        replay(now, places, work);
        return Verdict::Kept;
    }
    match park(now, tables, places, work) {
        Parking::Again => Verdict::Kept,
        // What may be the host's goes on to the host: its stack waits as it always does.
        _ if work.passes != 0 => Verdict::Pass,
        Parking::Parked => Verdict::Kept,
        Parking::Full => Verdict::Drop(DropReason::FragmentOverflow),
    }
}

/// The first fragment, then all that wait for it.
fn replay<P: Places>(now: u64, places: &mut P, work: &Work) {
    places.again();
    let first = place(&work.fragment);
    let mut way = 0;
    while way < MAX_PARKED_PER_DATAGRAM {
        release(first + way, now, places, work);
        way += 1;
    }
}

/// What waits at a place, if it waits for this datagram's first fragment.
// Not inlined, so that the verifier's paths through it join again at its end.
#[inline(never)]
fn release<P: Places>(place: u32, now: u64, places: &mut P, work: &Work) {
    if !places.is_of(place, &work.fragment) {
        return;
    }
    match places.since(place) {
        Some(since) if is_over(since, now) => places.expire(place),
        Some(_) => places.release(place),
        None => {}
    }
}

/// What became of a fragment that came too early.
enum Parking {
    Parked,
    /// No place, or it is larger than a place.
    Full,
    /// The first one has come meanwhile.
    Again,
}

fn park<T: Tables, P: Places>(
    now: u64,
    tables: &mut T,
    places: &mut P,
    work: &mut Work,
) -> Parking {
    if work.view.ip.length > MAX_PARKED_OCTETS as u32 {
        return Parking::Full;
    }
    // Before it is parked, so that the first one, coming at the same time, looks for it.
    expect_first(now, tables, work);
    let first = place(&work.fragment);
    let mut way = 0;
    while way < MAX_PARKED_PER_DATAGRAM {
        let place = first + way;
        way += 1;
        if !occupy(place, now, places, work) {
            continue;
        }
        // It may have come and looked before there was anything here.
        if is_there(now, tables, work) && places.free(place) {
            places.again();
            return Parking::Again;
        }
        return Parking::Parked;
    }
    Parking::Full
}

/// Parks the packet at a place, if that is free or its time has run out.
// Not inlined, so that the verifier's paths through it join again at its end.
#[inline(never)]
fn occupy<P: Places>(place: u32, now: u64, places: &mut P, work: &Work) -> bool {
    if let Some(since) = places.since(place) {
        if !is_over(since, now) {
            return false;
        }
        places.expire(place);
    }
    places.park(place, now, work)
}

// Not inlined, as is `is_there`: the paths join again.
/// Notes that there are fragments that wait, unless that is noted or the first one is there.
#[inline(never)]
fn expect_first<T: Tables>(now: u64, tables: &mut T, work: &mut Work) {
    if is_there(now, tables, work) {
        return;
    }
    let is_noted =
        work.fragments.state == fragment_state::AWAITED && !is_over(work.fragments.since, now);
    work.fragments = Fragments {
        since: now,
        state: fragment_state::AWAITED,
        ..Fragments::default()
    };
    if !is_noted && !tables.add_fragments(&work.fragment, &work.fragments) {
        // An old entry, or the first one at this moment: then that holds.
        if !is_there(now, tables, work) {
            work.fragments.since = now;
            work.fragments.state = fragment_state::AWAITED;
            tables.put_fragments(&work.fragment, &work.fragments);
        }
    }
}

/// Whether the first fragment is known.
#[inline(never)]
fn is_there<T: Tables>(now: u64, tables: &mut T, work: &mut Work) -> bool {
    let entry = &mut work.fragments;
    entry.state = 0;
    let there = tables.fragments(&work.fragment, entry);
    there
        && entry.state == fragment_state::KNOWN
        && now.saturating_sub(entry.since) <= FRAGMENT_SECONDS * NANOSECONDS
}

fn is_over(since: u64, now: u64) -> bool {
    now.saturating_sub(since) > PARKED_SECONDS * NANOSECONDS
}

/// The first place of a datagram's group.
pub fn place(key: &FragmentKey) -> u32 {
    let mut hash = u32::from_ne_bytes(key.identification) ^ key.arrival ^ u32::from(key.protocol);
    for address in [&key.source, &key.destination] {
        let (words, _) = address.0.as_chunks::<4>();
        for word in words {
            hash ^= u32::from_ne_bytes(*word);
            // The finaliser of MurmurHash3, its first half.
            hash ^= hash >> 16;
            hash = hash.wrapping_mul(0x85eb_ca6b);
            hash ^= hash >> 13;
        }
    }
    (hash % GROUPS) * MAX_PARKED_PER_DATAGRAM
}
