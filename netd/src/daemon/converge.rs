//! From a plan to the host: observe, make, observe, finish. The one routine behind change, going
//! back, drift and start.

use std::collections::BTreeSet;

use super::{control::Control, failure::Store};
use crate::{
    kernel::{Kernel, KernelError, describe},
    plan::{self, Action, Desired, Entry, Key, Observed, Place, Stage, Subjects, diff},
};

/// What to do when an action fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A request: it fails as a whole.
    StopAtFailure,
    /// Everything else: as much as possible is set right.
    GoOn,
}

/// What was done.
#[derive(Debug, Default)]
pub struct Report {
    /// Actions that were carried out.
    pub done: Vec<Action>,
    /// Those that failed, in mode [`Mode::GoOn`].
    pub failures: Vec<KernelError>,
}

impl<K: Kernel, S: Store> Control<K, S> {
    /// Makes the subjects what they should be. `former` is what should have been there before: what
    /// of it should be no longer is removed.
    pub(super) async fn converge(
        &mut self,
        former: &Desired,
        subjects: &Subjects,
        mode: Mode,
    ) -> Result<Report, KernelError> {
        let mut report = Report::default();
        let wanted = plan::links(&self.scene(), subjects);
        let keys: BTreeSet<Key> = former
            .link_keys()
            .union(&wanted.link_keys())
            .cloned()
            .collect();
        let mut observed = self.look(&keys).await?;
        let make = diff(&wanted, &observed, Stage::Make);
        if !make.is_empty() {
            self.execute(&make, mode, &mut report).await?;
            observed = self.look(&keys).await?;
        }
        let wanted = self.identified(subjects, mode, &mut report).await?;
        let others = |desired: &Desired| -> BTreeSet<Key> {
            desired
                .keys()
                .difference(&desired.link_keys())
                .cloned()
                .collect()
        };
        let keys: BTreeSet<Key> = others(former).union(&others(&wanted)).cloned().collect();
        observed.extend(self.kernel.observe(&keys).await?);
        let finish = diff(&wanted, &observed, Stage::Finish);
        self.execute(&finish, mode, &mut report).await?;
        self.tell_names(former, &wanted);
        Ok(report)
    }

    async fn look(&mut self, keys: &BTreeSet<Key>) -> Result<Observed, KernelError> {
        let observed = self.kernel.observe(keys).await?;
        self.identities.learn(&observed);
        Ok(observed)
    }

    /// The whole of what is wanted; numbers of links that are not among the subjects (the bridge of
    /// an endpoint) are looked up where they are not known yet.
    async fn identified(
        &mut self,
        subjects: &Subjects,
        mode: Mode,
        report: &mut Report,
    ) -> Result<Desired, KernelError> {
        let wanted = self.desired(subjects);
        if wanted.unidentified.is_empty() {
            return Ok(wanted);
        }
        let links = wanted.unidentified.iter().cloned();
        let keys = links.map(|(place, name)| Key::Link(place, name)).collect();
        self.look(&keys).await?;
        let wanted = self.desired(subjects);
        if let Some((_, link)) = wanted.unidentified.first() {
            let error = KernelError {
                doing: format!("find link {link}"),
                source: anyhow::anyhow!("it is gone"),
            };
            match mode {
                Mode::StopAtFailure => return Err(error),
                Mode::GoOn => report.failures.push(error),
            }
        }
        Ok(wanted)
    }

    pub(super) async fn execute(
        &mut self,
        actions: &[Action],
        mode: Mode,
        report: &mut Report,
    ) -> Result<(), KernelError> {
        for action in actions {
            tracing::debug!(action = describe::action(action), "execute");
            match self.kernel.execute(action).await {
                Ok(()) => {
                    self.forget(action);
                    self.note_up(action);
                    report.done.push(action.clone());
                }
                Err(error) if self.is_spared(action, &error) => {}
                Err(error) if mode == Mode::StopAtFailure => return Err(error),
                Err(error) => report.failures.push(error),
            }
        }
        Ok(())
    }

    /// A name that finds no room in the map is answered by the agent, whose table has all names.
    fn is_spared(&mut self, action: &Action, error: &KernelError) -> bool {
        let spared = matches!(action, Action::Put(Entry::Name(..))) && error.full_map().is_some();
        if spared && !self.names_full {
            tracing::warn!("the map of names is full: the agent answers what is not in it");
            self.names_full = true;
        }
        spared
    }

    /// The kernel's numbers of what is gone mean nothing any longer.
    fn forget(&mut self, action: &Action) {
        match action {
            Action::DeleteLink {
                place: Place::Host,
                link,
            } => self.identities.forget_link(link),
            Action::RemoveNamespace(place) => self.identities.forget_namespace(*place),
            _ => {}
        }
    }
}
