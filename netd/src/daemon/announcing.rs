//! Sandboxes' addresses are announced several times, at intervals, after whoever asked for the sandbox
//! has the answer. One at a time: requests go before them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{control::Control, failure::Store};
use crate::{
    kernel::Kernel,
    model::{Endpoint, Id, IfName, network::Announce},
    plan::{Action, Announcement, Place},
};

/// What is still to be told.
#[derive(Debug, Default)]
pub struct Announcing {
    /// Endpoints whose interface has come up.
    fresh: BTreeSet<Id>,
    /// When others, which were told of before, are due.
    due: BTreeSet<(Instant, Id)>,
    /// What is left of those. Without it, or with another time in it, `due` says nothing.
    rest: BTreeMap<Id, (Instant, Rest)>,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    /// Of the endpoint: with another one it has been disconnected since.
    generation: u32,
    messages: u16,
}

impl Announcing {
    fn note(&mut self, id: Id) {
        self.rest.remove(&id);
        self.fresh.insert(id);
    }

    fn wait(&mut self, id: Id, due: Instant, rest: Rest) {
        self.due.insert((due, id));
        self.rest.insert(id, (due, rest));
    }

    /// What is due now, with what is left of it; `None` for the first time.
    fn take(&mut self, now: Instant) -> Option<(Id, Option<Rest>)> {
        if let Some(id) = self.fresh.pop_first() {
            return Some((id, None));
        }
        let (at, id) = *self.due.first().filter(|(at, _)| *at <= now)?;
        self.due.remove(&(at, id));
        let (_, rest) = *self.rest.get(&id).filter(|(due, _)| *due == at)?;
        self.rest.remove(&id);
        Some((id, Some(rest)))
    }
}

impl<K: Kernel, S: Store> Control<K, S> {
    /// An interface of a sandbox's has come up: it is to be announced, if its network says so.
    pub(super) fn note_up(&mut self, action: &Action) {
        let Action::SetUp {
            place: Place::Sandbox(sandbox),
            link,
            up: true,
        } = action
        else {
            return;
        };
        if let Some(endpoint) = self.endpoint_at(*sandbox, link)
            && self.announcements_of(endpoint).messages > 0
        {
            let id = endpoint.id;
            self.announcing.note(id);
        }
    }

    fn endpoint_at(&self, sandbox: Id, link: &IfName) -> Option<&Endpoint> {
        let endpoints = self.state.endpoints_of_sandbox(sandbox).into_iter();
        endpoints.into_iter().find(|e| e.interface == *link)
    }

    fn announcements_of(&self, endpoint: &Endpoint) -> Announce {
        let network = self.state.network(endpoint.network);
        network.map_or_else(Announce::default, |network| network.announcements())
    }

    /// When [`Control::announce`] has something to do; `None`: never.
    pub fn next_announcement(&self, now: Instant) -> Option<Instant> {
        if !self.announcing.fresh.is_empty() {
            return Some(now);
        }
        self.announcing.due.first().map(|(due, _)| *due)
    }

    /// Announces one endpoint, if one is due, and notes when it is to be announced again.
    pub fn announce(&mut self, now: Instant) {
        let Some((id, rest)) = self.announcing.take(now) else {
            return;
        };
        let Some(joined) = self.scene().joined(id) else {
            return;
        };
        let Announce {
            messages,
            interval_ms,
        } = joined.network.announcements();
        let generation = joined.endpoint.generation;
        let rest = rest.unwrap_or(Rest {
            generation,
            messages,
        });
        if rest.generation != generation {
            return;
        }
        let announcement = Announcement::of(&joined);
        match self.kernel.announce(&announcement) {
            Ok(true) => {}
            // The interface has gone, or is about to be repaired, which notes it anew.
            Ok(false) => return,
            Err(error) => tracing::warn!(%error, "neighbours may take longer to notice"),
        }
        if rest.messages > 1 {
            let due = now + Duration::from_millis(interval_ms.into());
            let rest = Rest {
                messages: rest.messages - 1,
                ..rest
            };
            self.announcing.wait(id, due, rest);
        }
    }
}
