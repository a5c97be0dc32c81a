//! Requests become changes: all of one or nothing. Every write goes through [`Draft`], which notes
//! what was there before.

use netd_common::limits;

use super::{
    Reply, Request,
    change::{Change, Edit},
    refusal::Refusal,
    settings::Context,
    table::{Contradiction, State},
};
use crate::model::{Endpoint, Id, Network, Sandbox, network::Owner};

/// A change in the making.
pub(super) struct Draft<'a, 'c> {
    pub(super) state: &'a mut State,
    pub(super) context: &'a mut Context<'c>,
    change: Change,
}

impl State {
    /// Carries out a request. A refusal leaves the state as it was.
    pub fn apply(
        &mut self,
        request: &Request,
        context: &mut Context<'_>,
    ) -> Result<(Reply, Change), Refusal> {
        self.draft(context, |draft| draft.run(request))
    }

    /// Runs a draft; takes everything back if it ends in a refusal.
    pub(super) fn draft<T>(
        &mut self,
        context: &mut Context<'_>,
        run: impl FnOnce(&mut Draft<'_, '_>) -> Result<T, Refusal>,
    ) -> Result<(T, Change), Refusal> {
        let change = Change {
            meta_before: self.meta.clone(),
            ..Change::default()
        };
        let mut draft = Draft {
            state: self,
            context,
            change,
        };
        let result = run(&mut draft);
        let mut change = draft.change;
        match result {
            Ok(value) => {
                if !change.is_empty() {
                    self.meta.revision += 1;
                }
                change.meta_after = self.meta.clone();
                Ok((value, change))
            }
            Err(refusal) => {
                self.replay(&change.inverse());
                Err(refusal)
            }
        }
    }
}

impl Draft<'_, '_> {
    fn run(&mut self, request: &Request) -> Result<Reply, Refusal> {
        match request {
            Request::NetworkCreate(spec) => self.create_network(spec),
            Request::NetworkRemove { network, force } => self.remove_network(network, *force),
            Request::NetworkPrune(spec) => self.prune_networks(spec),
            Request::Connect {
                network,
                sandbox,
                endpoint,
            } => self.connect(network, sandbox, endpoint),
            Request::Disconnect {
                network,
                sandbox,
                force,
            } => self.disconnect(network, sandbox, *force),
            Request::SandboxCreate(spec) => self.create_sandbox(spec),
            Request::Publish { sandbox, ports } => self.publish_more(sandbox, ports),
            Request::Unpublish { sandbox, ports } => self.unpublish(sandbox, ports),
            Request::SandboxRemove { sandbox, force } => self.remove_sandbox(sandbox, *force),
        }
    }

    /// Writes a network; an existing one keeps its subnets.
    pub(super) fn put_network(&mut self, network: Network) -> Result<(), Refusal> {
        let id = network.id;
        if !self.state.networks.contains_key(&id) {
            self.state.check_network(&network).map_err(contradiction)?;
        }
        let old = self.state.set_network(id, Some(network.clone()));
        note(&mut self.change.networks, id, old, Some(network));
        Ok(())
    }

    pub(super) fn put_sandbox(&mut self, sandbox: Sandbox) -> Result<(), Refusal> {
        let id = sandbox.id;
        let old = self.state.set_sandbox(id, None);
        let checked = self.state.check_sandbox(&sandbox);
        let new = if checked.is_ok() {
            Some(sandbox)
        } else {
            old.clone()
        };
        self.state.set_sandbox(id, new.clone());
        note(&mut self.change.sandboxes, id, old, new);
        checked.map_err(contradiction)
    }

    pub(super) fn put_endpoint(&mut self, endpoint: Endpoint) -> Result<(), Refusal> {
        let id = endpoint.id;
        let old = self.state.set_endpoint(id, None);
        let checked = self.state.check_endpoint(&endpoint);
        let new = if checked.is_ok() {
            Some(endpoint)
        } else {
            old.clone()
        };
        self.state.set_endpoint(id, new.clone());
        note(&mut self.change.endpoints, id, old, new);
        checked.map_err(contradiction)
    }

    pub(super) fn delete_network(&mut self, id: Id) {
        let old = self.state.set_network(id, None);
        note(&mut self.change.networks, id, old, None);
    }

    pub(super) fn delete_sandbox(&mut self, id: Id) {
        let old = self.state.set_sandbox(id, None);
        note(&mut self.change.sandboxes, id, old, None);
    }

    pub(super) fn delete_endpoint(&mut self, id: Id) {
        let old = self.state.set_endpoint(id, None);
        note(&mut self.change.endpoints, id, old, None);
    }

    /// An id that no object has, whose first twelve digits are not all decimal: they are a name and
    /// must not look like a number (Docker's rule).
    pub(super) fn fresh_id(&mut self) -> Id {
        loop {
            let id = self.context.ids.next();
            let used = self.state.networks.contains_key(&id)
                || self.state.sandboxes.contains_key(&id)
                || self.state.endpoints.contains_key(&id);
            if !used && id.short().contains(|digit: char| !digit.is_ascii_digit()) {
                return id;
            }
        }
    }
}

/// Keeps the first `before` and the last `after`.
fn note<T>(
    edits: &mut std::collections::BTreeMap<Id, Edit<T>>,
    id: Id,
    before: Option<T>,
    after: Option<T>,
) {
    match edits.get_mut(&id) {
        Some(edit) => edit.after = after,
        None => {
            edits.insert(id, Edit { before, after });
        }
    }
}

/// The checks before a write make this impossible; if they do not, nothing is written.
fn contradiction(found: Contradiction) -> Refusal {
    Refusal::Invalid(found.to_string())
}

/// The next free index behind `last`, from 1 to the largest that a scope number can carry.
pub(super) fn next_index(used: &std::collections::BTreeMap<u32, Id>, last: u32) -> u32 {
    const LARGEST: u32 = u32::MAX >> 1;
    let mut index = last;
    loop {
        index = if index >= LARGEST { 1 } else { index + 1 };
        if !used.contains_key(&index) {
            return index;
        }
    }
}

/// Refuses what goes over a bound.
pub(super) fn within(used: usize, limit: u32, what: &'static str) -> Result<(), Refusal> {
    if used <= limit as usize {
        Ok(())
    } else {
        Err(Refusal::Limit { what, limit })
    }
}

/// An object of another owner may not be changed.
pub(super) fn own(name: &str, owner: Owner, caller: Owner) -> Result<(), Refusal> {
    if owner == caller {
        Ok(())
    } else {
        Err(Refusal::Foreign {
            name: name.to_owned(),
            owner: owner.name(),
        })
    }
}

/// Names of the bounds, for [`Refusal::Limit`].
pub(super) mod bounds {
    pub(in crate::state) const ENDPOINTS: (u32, &str) = (super::limits::MAX_ENDPOINTS, "endpoints");
    pub(in crate::state) const ADDRESSES: (u32, &str) =
        (super::limits::MAX_ENDPOINT_ADDRESSES, "endpoint addresses");
    pub(in crate::state) const SUBNETS: (u32, &str) = (super::limits::MAX_SUBNETS, "subnets");
    pub(in crate::state) const SANDBOXES: (u32, &str) = (super::limits::MAX_SANDBOXES, "sandboxes");
    pub(in crate::state) const PORTS: (u32, &str) =
        (super::limits::MAX_PORT_ENTRIES, "published port entries");
}
