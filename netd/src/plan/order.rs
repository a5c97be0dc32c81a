//! The order of actions. Creation: namespaces, bridges, pairs, their properties, then programs and
//! entries, then up, then routes, and published ports and names last. Removal: down first, what
//! leads to a thing before the thing.

use super::{
    Action, Entry, EntryKey, Place,
    diff::{Stage, Step},
};

/// Why an action is in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// To make what should be.
    Make,
    /// To remove what should not be.
    Remove,
}

/// The stage of a step.
pub(super) fn stage(step: &Step) -> Stage {
    if rank(step) < FIRST_OF_FINISH {
        Stage::Make
    } else {
        Stage::Finish
    }
}

const FIRST_OF_FINISH: u8 = 20;

/// Its place in the order; steps of one place keep the order of their keys.
pub(super) fn rank((purpose, action): &Step) -> u8 {
    match (purpose, action) {
        // A broken link makes way for its successor; a surplus one goes at the end.
        (Purpose::Make, Action::DeleteLink { .. }) => 0,
        (_, Action::MakeNamespace(_) | Action::JoinNamespace { .. }) => 1,
        (
            _,
            Action::CreateBridge { .. } | Action::CreateVlan { .. } | Action::CreateDummy { .. },
        ) => 2,
        (_, Action::CreateVeth { .. } | Action::CreateMacvlan { .. }) => 3,
        (_, Action::SetMac { .. } | Action::SetMtu { .. }) => 4,
        (_, Action::SetSysctl { .. }) => 5,
        (_, Action::SetMaster { .. }) => 6,
        (_, Action::ClosePort(_)) => 7,
        (_, Action::AddFdb { .. }) => 8,
        (_, Action::RemoveAddress { .. }) => 9,
        (_, Action::AddAddress { .. }) => 10,
        (Purpose::Remove, Action::SetUp { .. }) => 20,
        (_, Action::Attach(_)) => 21,
        (_, Action::Put(entry)) => match entry {
            Entry::Config(_)
            | Entry::Uplink(..)
            | Entry::Trusted(_)
            | Entry::HostAddress(..)
            | Entry::Subnet(..)
            | Entry::EndpointStats(_) => 22,
            Entry::Endpoint(..) | Entry::Scopes(..) | Entry::Resolver(..) => 23,
            Entry::Interface(..) => 24,
            // Last, and only once what they lead to is up.
            Entry::Port(..) | Entry::Name(..) | Entry::Link(..) => 40,
        },
        // Inner sides and bridges first; the host side opens the way.
        (Purpose::Make, Action::SetUp { place, .. }) => match place {
            Place::Sandbox(_) | Place::Resolver => 30,
            Place::Host => 31,
        },
        (_, Action::AddNeighbour { .. }) => 32,
        (_, Action::RemoveRoute { .. }) => 33,
        (_, Action::AddRoute { .. }) => 34,
        (_, Action::WriteFiles(_)) => 35,
        // After the new ones, so that a published port that moves is never away.
        (_, Action::Delete(key)) => match key {
            EntryKey::Port(..) | EntryKey::Name(_) | EntryKey::Link(_) => 50,
            EntryKey::Scopes(_) | EntryKey::Resolver(_) | EntryKey::Interface(_) => 51,
            EntryKey::Endpoint(_) => 52,
            EntryKey::EndpointStats(_)
            | EntryKey::Subnet(..)
            | EntryKey::HostAddress(_)
            | EntryKey::Uplink(_)
            | EntryKey::Trusted(_)
            | EntryKey::Config => 53,
        },
        (_, Action::EndFlows(_)) => 54,
        (_, Action::RemoveNeighbour { .. }) => 55,
        (_, Action::Detach(_)) => 56,
        // What stands on a link goes before it.
        (Purpose::Remove, Action::DeleteLink { place, .. }) => match place {
            Place::Sandbox(_) | Place::Resolver => 57,
            Place::Host => 58,
        },
        (_, Action::RemoveNamespace(_)) => 59,
        (_, Action::RemoveFiles(_)) => 60,
    }
}
