//! Drift that the kernel tells of: what changed is compared, and nothing else. Events only say
//! where to look, so that netd's own changes find everything in order.

use std::collections::BTreeSet;

use super::{control::Control, converge::Mode, failure::Store};
use crate::{
    kernel::{Kernel, KernelError, events::Event},
    model::{Id, IfName},
    plan::{Place, Subjects},
    state::{Owned, RESOLVER_INTERFACE},
};

/// What has to be looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Messages were lost, or going back failed.
    pub everything: bool,
    /// The host's own links, addresses, routes or files changed.
    pub facts: bool,
    /// netd's objects.
    pub subjects: Subjects,
    /// Sandboxes whose links changed: their namespace may have ended.
    pub places: BTreeSet<Id>,
}

impl<K: Kernel, S: Store> Control<K, S> {
    /// Notes what the kernel told; [`Control::settle`] looks at it.
    pub fn on_event(&mut self, event: &Event) {
        match event {
            Event::Link {
                place,
                name,
                deleted,
            } => self.note_link(*place, name, *deleted),
            Event::Address { place, ifindex } => self.note_address(*place, *ifindex),
            Event::Route { place, ifindex } => self.note_routes(*place, *ifindex),
            Event::Forwarding { place, ifindex } => self.note_forwarding(*place, *ifindex),
            Event::Lost => self.pending.everything = true,
        }
    }

    fn note_link(&mut self, place: Place, name: &IfName, deleted: bool) {
        match place {
            Place::Host => self.note_host_link(name, deleted),
            Place::Sandbox(id) => self.note_sandbox(id),
            Place::Resolver => self.note_resolver(),
        }
    }

    fn note_address(&mut self, place: Place, ifindex: u32) {
        match place {
            Place::Host => match self.identities.link(ifindex).cloned() {
                Some(name) => self.note_host_link(&name, false),
                None => self.pending.facts |= !self.identities.was_link(ifindex),
            },
            Place::Sandbox(id) => self.note_sandbox(id),
            Place::Resolver => self.note_resolver(),
        }
    }

    /// Each veth that comes or goes tells routes of its own: reading the host for that would make a
    /// create dearer the more there are.
    fn note_routes(&mut self, place: Place, ifindex: Option<u32>) {
        let identities = &self.identities;
        let ours = |ifindex| identities.link(ifindex).is_some() || identities.was_link(ifindex);
        match place {
            Place::Host => self.pending.facts |= !ifindex.is_some_and(ours),
            Place::Sandbox(id) => self.note_sandbox(id),
            Place::Resolver => self.note_resolver(),
        }
    }

    /// Somebody switched forwarding: a change of the host's `ip_forward` resets every bridge's.
    fn note_forwarding(&mut self, place: Place, ifindex: Option<u32>) {
        match (place, ifindex) {
            (Place::Host, Some(ifindex)) => {
                if let Some(name) = self.identities.link(ifindex).cloned() {
                    self.note_host_link(&name, false);
                }
            }
            (Place::Host, None) => {
                let networks = self.state.networks();
                let bridges = networks.filter(|network| network.bridge().is_some());
                let subjects = &mut self.pending.subjects;
                subjects.networks.extend(bridges.map(|network| network.id));
            }
            (Place::Sandbox(_), _) => {}
            (Place::Resolver, _) => self.note_resolver(),
        }
    }

    /// Looks whether the host's name servers are others by now; to be called once a second. A file
    /// that is being written may be seen half: what it says counts when it says the same twice.
    pub fn look_at_name_servers(&mut self) -> Result<(), KernelError> {
        let seen = self.kernel.name_servers()?;
        let changed = seen != self.facts.name_servers();
        if changed && self.seen_servers.as_ref() == Some(&seen) {
            self.pending.facts = true;
        }
        self.seen_servers = Some(seen);
        Ok(())
    }

    /// Whether [`Control::settle`] has something to do.
    pub fn is_pending(&self) -> bool {
        self.pending != Pending::default()
    }

    /// Looks at everything that was noted and sets it right.
    ///
    /// # Errors
    /// The host cannot be read; the next call compares everything.
    pub async fn settle(&mut self) -> Result<(), KernelError> {
        let pending = std::mem::take(&mut self.pending);
        let settled = self.look_at(pending).await;
        self.pending.everything |= settled.is_err();
        settled
    }

    async fn look_at(&mut self, pending: Pending) -> Result<(), KernelError> {
        if pending.everything {
            self.reconcile_all().await?;
            return Ok(());
        }
        let places: Vec<Id> = pending.places.into_iter().collect();
        if !places.is_empty() {
            self.collect_dead(&places).await;
        }
        if pending.facts {
            self.refresh_facts().await?;
        }
        if !pending.subjects.is_empty() {
            self.repair(&pending.subjects).await?;
        }
        Ok(())
    }

    /// Compares the subjects and sets them right.
    pub(super) async fn repair(&mut self, subjects: &Subjects) -> Result<(), KernelError> {
        let former = self.desired(subjects);
        let report = self.converge(&former, subjects, Mode::GoOn).await?;
        self.log("compared", "repaired", &report);
        Ok(())
    }

    /// Reads the host again; what depends on it follows.
    pub(super) async fn refresh_facts(&mut self) -> Result<(), KernelError> {
        let facts = self.read_facts().await?;
        if facts == self.facts {
            return Ok(());
        }
        let mut subjects = Subjects {
            host: true,
            ..Subjects::default()
        };
        if facts.name_servers() != self.facts.name_servers() {
            subjects.sandboxes = self.state.sandboxes().map(|sandbox| sandbox.id).collect();
        }
        let former = self.desired(&subjects);
        self.facts = facts;
        self.tell_upstreams();
        let report = self.converge(&former, &subjects, Mode::GoOn).await?;
        self.log("followed the host", "adjusted", &report);
        Ok(())
    }

    fn note_host_link(&mut self, name: &IfName, deleted: bool) {
        let subjects = &mut self.pending.subjects;
        match self.state.interface(name) {
            Some(Owned::Network(id)) if deleted => {
                // Its ports lost their master, the host its neighbours; what stood on it is gone.
                let network = Subjects::network(&self.state, id);
                subjects.networks.extend(network.networks);
                subjects.endpoints.extend(network.endpoints);
            }
            Some(Owned::Network(id)) => {
                subjects.networks.insert(id);
            }
            Some(Owned::Veth(id)) => {
                subjects.endpoints.insert(id);
                let endpoint = self.state.endpoint(id);
                let sandbox = endpoint.and_then(|endpoint| endpoint.sandbox);
                if deleted {
                    self.pending.places.extend(sandbox);
                }
            }
            None if name.as_str() == RESOLVER_INTERFACE => self.note_resolver(),
            None => {
                // What stands on it may have gone with it, or may come back.
                for network in self.state.networks_on(name) {
                    let network = Subjects::network(&self.state, network.id);
                    subjects.networks.extend(network.networks);
                    subjects.endpoints.extend(network.endpoints);
                }
                self.pending.facts |= !self.identities.was_named(name);
            }
        }
    }

    fn note_sandbox(&mut self, id: Id) {
        let endpoints = self.state.endpoints_of_sandbox(id);
        let ids = endpoints.iter().map(|endpoint| endpoint.id);
        self.pending.subjects.endpoints.extend(ids);
    }

    fn note_resolver(&mut self) {
        self.pending.subjects.resolver = true;
        self.pending.subjects.host = true;
    }
}
