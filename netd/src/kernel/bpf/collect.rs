//! Collecting flows that are over, a slice at a time: neither table is ever walked at once.

use std::collections::BTreeSet;

use aya::maps::IterableMap;
use netd_common::{
    abi::flow::{Flow, FlowKey},
    packet::flow::{Timeouts, expired, may_have_expired, twin_key},
};
use nix::time::{ClockId, clock_gettime};

use super::{
    batch::{self, Place},
    error::{During, if_there},
    flows::{Doomed, READ, Table},
    maps::Maps,
    pod::Raw,
};
use crate::kernel::{Collected, KernelError};

/// Where the walk over both tables stands.
pub(super) struct Collector {
    table: Table,
    place: Place,
}

/// What makes a flow over.
struct Rules<'a> {
    timeouts: &'a Timeouts,
    alive: &'a dyn Fn(&Flow) -> bool,
    /// Nanoseconds of CLOCK_MONOTONIC.
    now: u64,
}

impl Collector {
    /// At the beginning.
    pub(super) fn start() -> Collector {
        Collector {
            table: Table::Established,
            place: Place::Start,
        }
    }

    /// Looks at about `budget` halves, fewer where the tables end, and removes the flows that have
    /// expired or are not `alive`.
    pub(super) fn collect(
        &mut self,
        maps: &mut Maps,
        budget: u32,
        timeouts: &Timeouts,
        alive: &dyn Fn(&Flow) -> bool,
    ) -> Result<Collected, KernelError> {
        let rules = Rules {
            timeouts,
            alive,
            now: monotonic()?,
        };
        let mut collected = Collected::default();
        let mut left = budget as usize;
        while left > 0 && !collected.all {
            let (looked_at, halves) = self.step(maps, left.min(READ), &rules)?;
            collected.halves += halves;
            left = left.saturating_sub(looked_at);
            if self.place == Place::End {
                collected.all = self.table == Table::New;
                self.place = Place::Start;
                self.table = match self.table {
                    Table::Established => Table::New,
                    Table::New => Table::Established,
                };
            }
        }
        Ok(collected)
    }

    /// How many halves it looked at and removed.
    fn step(
        &mut self,
        maps: &mut Maps,
        most: usize,
        rules: &Rules<'_>,
    ) -> Result<(usize, u64), KernelError> {
        let map = self.table.of(maps).map();
        let batch =
            batch::read(map, &mut self.place, most).during(|| "walk over the flows".into())?;
        let looked_at = batch.len();
        let mut doomed = Doomed::default();
        let mut gone = BTreeSet::new();
        for (Raw(key), Raw(flow)) in batch.entries() {
            if rules.may_be_over(&key, &flow) && !gone.contains(&key) {
                doom_if_over(maps, &key, rules, &mut doomed, &mut gone)?;
            }
        }
        doomed.delete(maps).map(|halves| (looked_at, halves))
    }
}

impl Rules<'_> {
    fn may_be_over(&self, key: &FlowKey, flow: &Flow) -> bool {
        !(self.alive)(flow) || may_have_expired(key, flow, self.timeouts, self.now)
    }

    fn is_over(&self, key: &FlowKey, flow: &Flow, twin: Option<&Flow>) -> bool {
        !(self.alive)(flow) || expired(key, flow, twin, self.timeouts, self.now)
    }
}

/// Looks at a flow as it is now. `gone`: keys of those that were added.
fn doom_if_over(
    maps: &Maps,
    key: &FlowKey,
    rules: &Rules<'_>,
    doomed: &mut Doomed,
    gone: &mut BTreeSet<FlowKey>,
) -> Result<(), KernelError> {
    let Some((table, flow)) = find(maps, key)? else {
        return Ok(());
    };
    let other = twin_key(key, &flow);
    let twin = find(maps, &other)?;
    if !rules.is_over(key, &flow, twin.as_ref().map(|(_, twin)| twin)) {
        return Ok(());
    }
    doomed.add(table, *key, flow.endpoint);
    if let Some((table, _)) = twin {
        doomed.add(table, other, flow.endpoint);
    }
    gone.extend([*key, other]);
    Ok(())
}

fn find(maps: &Maps, key: &FlowKey) -> Result<Option<(Table, Flow)>, KernelError> {
    for table in [Table::Established, Table::New] {
        let found = if_there(table.of(maps).get(&Raw(*key), 0));
        if let Some(Raw(flow)) = found.during(|| "look up a flow".into())? {
            return Ok(Some((table, flow)));
        }
    }
    Ok(None)
}

/// The clock that the programs stamp flows with (`bpf_ktime_get_ns`).
fn monotonic() -> Result<u64, KernelError> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).during(|| "read the clock".into())?;
    let (seconds, nanoseconds) = (now.tv_sec().cast_unsigned(), now.tv_nsec().cast_unsigned());
    Ok(seconds * 1_000_000_000 + nanoseconds)
}
