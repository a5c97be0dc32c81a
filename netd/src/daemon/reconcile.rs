//! Start and full comparison: what the host has against what the state says, all of it.

use std::collections::BTreeSet;

use super::{
    agent::unix_now,
    control::Control,
    converge::{Mode, Report},
    failure::{Failure, Store},
};
use crate::{
    kernel::{Kernel, KernelError, describe},
    model::{
        Id,
        sandbox::{Joined, Namespace},
    },
    plan::{self, Action, Desired, Key, Observed, Place, Stage, Subjects, diff},
};

impl<K: Kernel, S: Store> Control<K, S> {
    /// Reads the host, makes the predefined networks where they are missing, and sets everything
    /// right. What cannot be set right is logged and tried again in the background.
    ///
    /// # Errors
    /// The host cannot be read, or the settings contradict the state.
    pub async fn start(&mut self, now: u64) -> Result<Report, Failure> {
        self.facts = self.read_facts().await?;
        let change = self.in_context(now, |state, context| state.predefine(context))?;
        if !change.is_empty()
            && let Err(error) = self.store.save(&change)
        {
            self.state.replay(&change.inverse());
            return Err(Failure::Store(error));
        }
        // A default network that the settings changed leaves a bridge behind: the full comparison
        // finds it by its mark.
        Ok(self.reconcile_all().await?)
    }

    /// Compares everything and sets it right.
    pub async fn reconcile_all(&mut self) -> Result<Report, KernelError> {
        self.facts = self.read_facts().await?;
        self.pending.everything = false;
        let mut observed = self.kernel.observe_all().await?;
        let is_new = observed.links.is_empty();
        self.identities = plan::Identities::default();
        self.identities.learn(&observed);
        let joined = self.joined_sandboxes();
        self.collect_dead(&joined).await;
        let subjects = Subjects::all(&self.state);
        let mut report = Report::default();

        let wanted = plan::links(&self.scene(), &subjects);
        self.look_for_the_rest(&wanted.link_keys(), &mut observed)
            .await?;
        let make = diff(&wanted, &observed, Stage::Make);
        if !make.is_empty() {
            self.execute(&make, Mode::GoOn, &mut report).await?;
            observed = self.kernel.observe_all().await?;
            self.look_for_the_rest(&wanted.link_keys(), &mut observed)
                .await?;
        }
        self.identities.learn(&observed);
        let wanted = self.desired(&subjects);
        self.look_for_the_rest(&wanted.keys(), &mut observed)
            .await?;
        let finish = diff(&wanted, &observed, Stage::Finish);
        self.execute(&finish, Mode::GoOn, &mut report).await?;
        self.tell_names(&Desired::default(), &wanted);
        self.tell_upstreams();
        if is_new {
            // A first start, or the first after a reboot: nothing was broken.
            self.log("made everything", "made", &report);
        } else {
            self.log("compared everything", "repaired", &report);
        }
        Ok(report)
    }

    /// What a look at everything did not show may be there all the same: a sysctl, a link without
    /// netd's mark. What it did show is not read again, which would take twice as long.
    async fn look_for_the_rest(
        &mut self,
        keys: &BTreeSet<Key>,
        observed: &mut Observed,
    ) -> Result<(), KernelError> {
        let unseen = |key: &&Key| !observed.holds(key);
        let rest: BTreeSet<Key> = keys.iter().filter(unseen).cloned().collect();
        observed.extend(self.kernel.observe(&rest).await?);
        Ok(())
    }

    /// Removes everything that netd made on the host; the state stays.
    pub async fn tear_down(&mut self) -> Result<Report, KernelError> {
        let observed = self.kernel.observe_all().await?;
        let mut report = Report::default();
        let actions = diff(&Desired::default(), &observed, Stage::Finish);
        self.execute(&actions, Mode::GoOn, &mut report).await?;
        self.log("took everything down", "removed", &report);
        Ok(report)
    }

    /// Removes the sandboxes whose namespace somebody else made: to be called before
    /// [`Control::start`] when the host was booted since. None of those namespaces lives, and what is
    /// found in their place may look the same: cookies and inodes are counted anew.
    ///
    /// # Errors
    /// The store cannot be written; the sandbox stays.
    pub fn forget_joined(&mut self, now: u64) -> Result<(), Failure> {
        for id in self.joined_sandboxes() {
            let change = self.in_context(now, |state, context| state.collect(id, context))?;
            if let Err(error) = self.store.save(&change) {
                self.state.replay(&change.inverse());
                return Err(Failure::Store(error));
            }
            tracing::info!(sandbox = %id.short(), "its namespace ended with the former boot: removed");
        }
        Ok(())
    }

    /// All sandboxes whose namespace somebody else made.
    pub(super) fn joined_sandboxes(&self) -> Vec<Id> {
        let sandboxes = self.state.sandboxes();
        sandboxes
            .filter(|sandbox| matches!(sandbox.namespace, Namespace::Joined(_)))
            .map(|sandbox| sandbox.id)
            .collect()
    }

    /// Removes sandboxes whose joined namespace has ended: nothing can be made in it again.
    pub(super) async fn collect_dead(&mut self, candidates: &[Id]) {
        for id in candidates {
            let Some(sandbox) = self.state.sandbox(*id) else {
                continue;
            };
            let Namespace::Joined(joined) = sandbox.namespace.clone() else {
                continue;
            };
            let name = sandbox.name.clone();
            let Some(error) = self.has_ended(*id, joined).await else {
                continue;
            };
            tracing::info!(sandbox = %name, %error, "its namespace has ended: removing the sandbox");
            let now = unix_now();
            let change = self.in_context(now, |state, context| state.collect(*id, context));
            let result = match change {
                Ok(change) => self.commit(&change, now).await,
                Err(refusal) => Err(Failure::Refused(refusal)),
            };
            if let Err(error) = result {
                tracing::error!(sandbox = %name, %error, "it could not be removed");
            }
        }
    }

    /// Why a joined namespace is known to be gone. A kernel that only cannot tell right now proves
    /// nothing.
    async fn has_ended(&mut self, sandbox: Id, joined: Joined) -> Option<KernelError> {
        let place = Place::Sandbox(sandbox);
        let join = Action::JoinNamespace { place, joined };
        let error = self.kernel.execute(&join).await.err()?;
        let seen = self.kernel.observe(&[Key::Namespace(place)].into()).await;
        match seen {
            Ok(observed) if !observed.namespaces.contains_key(&place) => Some(error),
            _ => None,
        }
    }

    /// Tells what was done (`done`, a participle) and what could not be.
    pub(super) fn log(&self, what: &str, done: &str, report: &Report) {
        for action in &report.done {
            tracing::info!("{done}: {}", describe::action(action));
        }
        for error in &report.failures {
            tracing::error!("not repaired: {error}");
        }
        tracing::debug!(
            done = report.done.len(),
            failed = report.failures.len(),
            "{what}"
        );
    }
}
