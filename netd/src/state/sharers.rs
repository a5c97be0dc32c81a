//! Sandboxes in another sandbox's namespace (`--network container:NAME`): they have its interfaces,
//! names and files, and nothing of their own.

use std::collections::BTreeMap;

use super::{
    Refusal, Reply,
    apply::{Draft, bounds, own, within},
    request::SandboxSpec,
    table::{Contradiction, State},
};
use crate::model::{
    Id, Name, Sandbox,
    sandbox::{DnsSettings, Mode, Namespace},
};

impl State {
    /// The sandbox whose namespace and files a sandbox has: another one, or itself.
    pub fn holder<'a>(&'a self, sandbox: &'a Sandbox) -> &'a Sandbox {
        match sandbox.mode {
            Mode::Shared(id) => self.sandbox(id).unwrap_or(sandbox),
            Mode::Bridge | Mode::Host | Mode::None => sandbox,
        }
    }

    /// The sandboxes in a sandbox's namespace.
    pub fn sharers(&self, holder: Id) -> Vec<&Sandbox> {
        let ids = self.index.sharers.get(&holder).into_iter().flatten();
        ids.filter_map(|id| self.sandbox(*id)).collect()
    }

    /// Whether those that share have somebody to share with, who shares with nobody.
    pub(super) fn check_sharers(&self) -> Result<(), Contradiction> {
        for (holder, sharers) in &self.index.sharers {
            let found = self.sandboxes.get(holder);
            if !found.is_some_and(|holder| !matches!(holder.mode, Mode::Shared(_))) {
                return Err(Contradiction(format!(
                    "{} sandboxes in the namespace of {holder}, which has none",
                    sharers.len()
                )));
            }
        }
        Ok(())
    }
}

impl Draft<'_, '_> {
    /// A sandbox in the namespace of another one; in that of whom the other shares with, if it does.
    pub(super) fn create_shared(
        &mut self,
        id: Id,
        name: Name,
        target: &str,
        spec: &SandboxSpec,
    ) -> Result<Reply, Refusal> {
        refuse_own(spec)?;
        let target = self.state.find_sandbox(target, spec.owner)?;
        let holder = self.state.holder(target).clone();
        own(holder.name.as_str(), holder.owner, spec.owner)?;
        let place = (
            Mode::Shared(holder.id),
            Namespace::Shared(holder.id),
            holder.hostname,
        );
        let sandbox = self.new_sandbox(id, name, spec, place);
        self.put_sandbox(sandbox)?;
        let (limit, what) = bounds::SANDBOXES;
        within(self.state.sandboxes.len(), limit, what)?;
        Ok(Reply::Created {
            id,
            warnings: Vec::new(),
        })
    }

    /// A namespace that others are in stays, unless they are to go too.
    pub(super) fn refuse_shared(&self, sandbox: &Sandbox, force: bool) -> Result<(), Refusal> {
        let sharers = self.state.sharers(sandbox.id);
        for other in sharers.iter().filter(|_| force) {
            own(other.name.as_str(), other.owner, sandbox.owner)?;
        }
        if force || sharers.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = sharers.iter().map(|other| other.name.to_string()).collect();
        Err(Refusal::Shared {
            sandbox: sandbox.name.to_string(),
            sharers: names.join(", "),
        })
    }
}

/// What belongs to the namespace is its holder's to say (Docker's texts).
fn refuse_own(spec: &SandboxSpec) -> Result<(), Refusal> {
    const PORTS: &str = "port publishing and the container type network mode";
    let conflicts = [
        (spec.hostname.is_some(), "hostname and the network mode"),
        (
            spec.dns != DnsSettings::default(),
            "dns and the network mode",
        ),
        (
            !spec.extra_hosts.is_empty(),
            "custom host-to-IP mapping and the network mode",
        ),
        (!spec.ports.is_empty() || spec.publish_all, PORTS),
        (
            !spec.exposed.is_empty(),
            "port exposing and the container type network mode",
        ),
        (
            spec.namespace.is_some(),
            "a network namespace and the container type network mode",
        ),
    ];
    match conflicts.into_iter().find(|(given, _)| *given) {
        Some((_, what)) => Err(Refusal::Invalid(format!("conflicting options: {what}"))),
        None if !spec.networks.is_empty() => Err(Refusal::Invalid(
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes"
                .to_owned(),
        )),
        None => Ok(()),
    }
}

/// Notes who shares with whom.
pub(super) fn index(
    sharers: &mut BTreeMap<Id, std::collections::BTreeSet<Id>>,
    sandbox: &Sandbox,
    is_there: bool,
) {
    let Mode::Shared(holder) = sandbox.mode else {
        return;
    };
    let of_holder = sharers.entry(holder).or_default();
    if is_there {
        of_holder.insert(sandbox.id);
    } else {
        of_holder.remove(&sandbox.id);
    }
    if of_holder.is_empty() {
        sharers.remove(&holder);
    }
}
