//! Drift that nobody tells of (a program detached, a map entry deleted, a file changed): a walk
//! over all objects, a slice at a time, so that no request waits for long.

use std::time::Duration;

use netd_common::abi::flow::Flow;

use super::{control::Control, failure::Store};
use crate::{
    kernel::{Collected, Kernel, KernelError},
    model::Id,
    plan::Subjects,
};

/// Slices in which everything is walked once: 25 seconds, within the 30 that a repair may take. With
/// 1,000 endpoints a slice takes some 10 ms, which is what a request may have to wait for it.
pub const SLICES: usize = 250;
/// From one slice to the next.
pub const SLICE: Duration = Duration::from_millis(100);
/// How far requests may throw a walk back: it is through within 30 seconds all the same.
pub const SLACK: Duration = Duration::from_secs(5);

/// Where the walk stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    slice: usize,
    network: Option<Id>,
    sandbox: Option<Id>,
}

impl<K: Kernel, S: Store> Control<K, S> {
    /// Compares the next slice and sets it right; to be called every [`SLICE`], or a
    /// little later.
    pub async fn background_slice(&mut self) -> Result<(), KernelError> {
        if self.pending.everything {
            return self.settle().await;
        }
        let first = self.walk.slice == 0;
        let mut subjects = Subjects {
            host: first,
            resolver: first,
            ..Subjects::default()
        };
        let last = self.walk.slice + 1 == SLICES;
        let networks = self.state.networks().map(|network| network.id);
        subjects.networks = take(networks, &mut self.walk.network, last);
        let sandboxes = self.state.sandboxes().map(|sandbox| sandbox.id);
        subjects.sandboxes = take(sandboxes, &mut self.walk.sandbox, last);
        self.walk.slice = (self.walk.slice + 1) % SLICES;
        if first {
            self.refresh_facts().await?;
        }
        // Nobody tells of the end of a process, nor of a namespace that has no veth.
        let candidates: Vec<Id> = subjects.sandboxes.iter().copied().collect();
        self.collect_dead(&candidates).await;
        // Twice: a sandbox's endpoints, then their names.
        subjects.close(&self.state);
        subjects.close(&self.state);
        if subjects.is_empty() {
            return Ok(());
        }
        self.repair(&subjects).await
    }

    /// Whether the next slice is a comparison of everything.
    pub fn everything_is_due(&self) -> bool {
        self.pending.everything
    }

    /// Removes flows that have expired or whose endpoint is gone, looking at about `budget` halves.
    pub fn collect(&mut self, budget: u32) -> Result<Collected, KernelError> {
        let state = &self.state;
        let alive = |flow: &Flow| state.has_generation(flow.endpoint, flow.generation);
        self.kernel
            .collect_flows(budget, &self.settings.flows.timeouts, &alive)
    }
}

/// The ids behind the cursor: one slice's share, or all that are left in the last slice.
fn take(
    ids: impl Iterator<Item = Id>,
    cursor: &mut Option<Id>,
    last: bool,
) -> std::collections::BTreeSet<Id> {
    let ids: Vec<Id> = ids.collect();
    let share = if last {
        usize::MAX
    } else {
        ids.len().div_ceil(SLICES)
    };
    let behind = ids.into_iter().filter(|id| Some(*id) > *cursor);
    let taken: std::collections::BTreeSet<Id> = behind.take(share).collect();
    *cursor = if last {
        None
    } else {
        taken.last().copied().or(*cursor)
    };
    taken
}
