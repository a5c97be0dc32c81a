//! The agent's task: owns the control loop and hands it, one at a time, what callers ask, what the
//! kernel tells, and the clock. Decides nothing about networks.

use std::{
    collections::BTreeMap,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use tokio::{sync::mpsc, time::sleep_until};

use super::{
    Control,
    report::{Host, Process},
    resolver::Resolver,
    shown::Shown,
    store::Creation,
    upkeep::{Task, Upkeep},
};
use crate::{
    frontends::api::door::Call,
    kernel::{Collected, Kernel, events::Event, heap},
    model::Id,
};

/// Flow halves that are looked at for expired ones in a slice, of which there are ten a second: full
/// tables are through in about a minute.
const COLLECT: u32 = 1_024;

/// What the host tells about itself for `netd status`.
pub type Describe<K> = Box<dyn FnMut(&mut K, &crate::state::State) -> Host + Send>;

/// The task's belongings.
pub struct Agent<K: Kernel> {
    /// State, store and host.
    pub control: Control<K, Shown>,
    /// What objects with given ids were created with.
    pub creations: BTreeMap<Id, Creation>,
    /// The DNS server.
    pub resolver: Resolver,
    /// For `netd status`.
    pub process: Process,
    /// For `netd status`.
    pub describe: Describe<K>,
    /// When it became ready.
    pub ready: Instant,
}

/// Why the task ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// All doors are closed: the datapath goes on.
    Stopped,
    /// Everything was undone.
    Down,
}

impl<K: Kernel> Agent<K> {
    /// Works until all doors are closed or everything is undone.
    pub async fn work(
        &mut self,
        mut calls: mpsc::Receiver<Call>,
        mut events: mpsc::Receiver<Event>,
    ) -> End {
        let mut upkeep = Upkeep::start(Instant::now());
        let mut telling = true;
        loop {
            upkeep.announces(self.control.next_announcement(Instant::now()));
            // A full comparison that failed is tried again with the next second.
            let walks = !self.control.everything_is_due();
            if let Some(task) = upkeep.overdue(Instant::now(), walks) {
                self.does(task, &mut upkeep).await;
                continue;
            }
            let (at, task) = upkeep.next(walks);
            // In this order: what an event does is nothing but a note.
            tokio::select! {
                biased;
                event = events.recv(), if telling => match event {
                    Some(event) => {
                        self.control.on_event(&event);
                        upkeep.told(Instant::now());
                    }
                    // The background walk finds what is told no more.
                    None => telling = false,
                },
                call = calls.recv() => match call {
                    None => return End::Stopped,
                    Some(call) => {
                        if let Some(end) = self.answer(call).await {
                            return end;
                        }
                        upkeep.answered(Instant::now());
                    }
                },
                () = sleep_until(at.into()) => self.does(task, &mut upkeep).await,
            }
        }
    }

    async fn does(&mut self, task: Task, upkeep: &mut Upkeep) {
        upkeep.begins(task, Instant::now());
        match task {
            Task::Announce => self.control.announce(Instant::now()),
            Task::Settle => self.settle().await,
            Task::Slice => self.slice().await,
            Task::Collect => self.collect(upkeep),
            Task::Second => self.second().await,
            Task::Trim => heap::trim(),
        }
    }

    async fn settle(&mut self) {
        if !self.control.is_pending() {
            return;
        }
        if let Err(error) = self.control.settle().await {
            tracing::error!(%error, "what changed on the host could not be set right; trying again");
        }
        self.resolver.keep();
    }

    async fn slice(&mut self) {
        if let Err(error) = self.control.background_slice().await {
            tracing::error!(%error, "the comparison in the background failed; trying again");
        }
    }

    fn collect(&mut self, upkeep: &mut Upkeep) {
        match self.control.collect(COLLECT) {
            Ok(Collected { halves, all }) => {
                if all {
                    upkeep.collected(Instant::now());
                }
                if halves > 0 {
                    tracing::debug!(halves, "expired flows removed");
                }
            }
            Err(error) => {
                tracing::error!(%error, "expired flows could not be removed");
                upkeep.collected(Instant::now());
            }
        }
    }

    async fn second(&mut self) {
        if let Err(error) = self.control.look_at_name_servers() {
            tracing::debug!(%error, "trying again");
        }
        self.settle().await;
        self.resolver.keep();
    }
}

/// Nanoseconds of Unix time; 0 before 1970.
pub(super) fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}
