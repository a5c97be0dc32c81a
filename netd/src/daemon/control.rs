//! The control loop: apply, save, plan, execute; on failure back to the former state by the same
//! way. Owns the state; decides nothing that state and plan do not say.

use std::{net::SocketAddr, path::PathBuf};

use super::failure::{Failure, Store};
use crate::{
    dns::Table,
    frontends::api::events::EventLog,
    kernel::{Kernel, KernelError},
    model::{HostFacts, network::Owner, sandbox::Namespace},
    plan::{Identities, Scene, Subjects, facts::NameServers},
    state::{
        Change, Context, IdSource, RESOLVER_INTERFACE, Refusal, Reply, Request, Settings, State,
        event,
    },
};

/// What a [`Control`] is made of.
pub struct Parts<K, S> {
    /// The state as the store has it.
    pub state: State,
    /// The host.
    pub kernel: K,
    /// Where changes are kept.
    pub store: S,
    /// New ids.
    pub ids: Box<dyn IdSource + Send>,
    /// The agent's settings.
    pub settings: Settings,
    /// What the DNS server knows.
    pub table: Table,
    /// The directory of the namespaces that netd made, for servers that are asked from there.
    pub namespaces: PathBuf,
    /// Servers that the agent forwards to; empty: the host's.
    pub upstreams: Vec<SocketAddr>,
    /// Where changes are told.
    pub events: EventLog,
}

/// State, store and host, kept in step.
pub struct Control<K, S> {
    pub(super) state: State,
    pub(super) kernel: K,
    pub(super) store: S,
    pub(super) ids: Box<dyn IdSource + Send>,
    pub(super) settings: Settings,
    pub(super) table: Table,
    pub(super) namespaces: PathBuf,
    pub(super) upstreams: Vec<SocketAddr>,
    pub(super) events: EventLog,
    pub(super) facts: HostFacts,
    pub(super) identities: Identities,
    pub(super) pending: super::drift::Pending,
    pub(super) walk: super::background::Walk,
    pub(super) announcing: super::announcing::Announcing,
    /// What the host's resolv.conf said a second ago.
    pub(super) seen_servers: Option<NameServers>,
    /// It was told that the map of names is full.
    pub(super) names_full: bool,
    /// Of the sandbox that the request at hand is about.
    without_ipv6: bool,
}

impl<K: Kernel, S: Store> Control<K, S> {
    /// Puts the parts together; nothing is read or done before [`Control::start`].
    pub fn new(parts: Parts<K, S>) -> Control<K, S> {
        Control {
            state: parts.state,
            kernel: parts.kernel,
            store: parts.store,
            ids: parts.ids,
            settings: parts.settings,
            table: parts.table,
            namespaces: parts.namespaces,
            upstreams: parts.upstreams,
            events: parts.events,
            facts: HostFacts::default(),
            identities: Identities::default(),
            pending: super::drift::Pending::default(),
            walk: super::background::Walk::default(),
            announcing: super::announcing::Announcing::default(),
            seen_servers: None,
            names_full: false,
            without_ipv6: false,
        }
    }

    /// The state, for views.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The kernel, for counters and flows.
    pub fn kernel(&mut self) -> &mut K {
        &mut self.kernel
    }

    /// Both at once, for reports that need names.
    pub fn kernel_and_state(&mut self) -> (&mut K, &State) {
        (&mut self.kernel, &self.state)
    }

    /// Where changes are told.
    pub fn events(&self) -> &EventLog {
        &self.events
    }

    /// The store, for what is saved beside the state.
    pub fn store(&mut self) -> &mut S {
        &mut self.store
    }

    /// The host as last read.
    pub fn facts(&self) -> &HostFacts {
        &self.facts
    }

    /// Carries out a request: when this returns, the change is saved, in the kernel, and its names
    /// resolve; or nothing of it is left. `now` in nanoseconds of Unix time.
    pub async fn handle(&mut self, request: &Request, now: u64) -> Result<Reply, Failure> {
        if request.publishes() {
            self.facts.sockets = self.kernel.sockets()?;
        }
        if request.names_link() {
            self.refresh_facts().await?;
        }
        self.without_ipv6 = match self.joined_namespace(request) {
            Some(namespace) => self.kernel.without_ipv6(&namespace)?,
            None => false,
        };
        let applied = self.in_context(now, |state, context| state.apply(request, context));
        self.facts.sockets.clear();
        self.without_ipv6 = false;
        let (reply, change) = applied?;
        self.commit(&change, now).await?;
        Ok(reply)
    }

    /// The namespace that a request gives an endpoint to, where it is there already.
    fn joined_namespace(&self, request: &Request) -> Option<PathBuf> {
        match request {
            Request::SandboxCreate(spec) => Some(spec.namespace.as_ref()?.path.clone()),
            Request::Connect { sandbox, .. } => {
                let sandbox = self.state.find_sandbox(sandbox, Owner::Netd).ok()?;
                match &sandbox.namespace {
                    Namespace::Made => Some(self.namespaces.join(sandbox.id.to_string())),
                    Namespace::Joined(joined) => Some(joined.path.clone()),
                    Namespace::Host | Namespace::Shared(_) => None,
                }
            }
            _ => None,
        }
    }

    /// The same, with what the caller wants to save beside the change.
    pub(super) fn in_context<T>(
        &mut self,
        now: u64,
        run: impl FnOnce(&mut State, &mut Context<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut context = Context {
            now,
            ids: self.ids.as_mut(),
            facts: &self.facts,
            settings: &self.settings,
            without_ipv6: self.without_ipv6,
        };
        run(&mut self.state, &mut context)
    }

    /// Saves a change that was applied and carries it out; takes it back where that fails.
    /// Tells of it once it is there.
    pub(super) async fn commit(&mut self, change: &Change, now: u64) -> Result<(), Failure> {
        if change.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.store.save(change) {
            self.state.replay(&change.inverse());
            return Err(Failure::Store(error));
        }
        let Err(error) = self.follow(change).await else {
            self.events.tell(event::events(change, &self.state, now));
            return Ok(());
        };
        tracing::warn!(%error, "a step failed: going back to the former state");
        self.go_back(change).await;
        Err(Failure::Kernel(error))
    }

    /// Going back goes on where a step fails: what it leaves behind is found by the full comparison
    /// that is asked for then.
    async fn go_back(&mut self, change: &Change) {
        let undo = self.state.revert(change);
        if let Err(error) = self.store.save(&undo) {
            tracing::error!(%error, "the former state could not be saved");
        }
        let (former, subjects) = self.outlook(&undo);
        let failed = self
            .converge(&former, &subjects, super::converge::Mode::GoOn)
            .await;
        if !matches!(&failed, Ok(report) if report.failures.is_empty()) {
            tracing::error!("going back was not complete: everything will be compared");
            self.pending.everything = true;
        }
    }

    /// Brings the host to the state after a change.
    async fn follow(&mut self, change: &Change) -> Result<(), KernelError> {
        let (former, subjects) = self.outlook(change);
        let mode = super::converge::Mode::StopAtFailure;
        let mut report = self.converge(&former, &subjects, mode).await?;
        let end = crate::plan::ended_ports(change);
        self.execute(&end, mode, &mut report).await
    }

    /// What a change that was applied is about, and what should have been there before it.
    fn outlook(&mut self, change: &Change) -> (crate::plan::Desired, Subjects) {
        let mut subjects = Subjects::of(change);
        subjects.close(&self.state);
        let inverse = change.inverse();
        self.state.replay(&inverse);
        subjects.close(&self.state);
        let former = self.desired(&subjects);
        self.state.replay(change);
        (former, subjects)
    }

    /// What should be there of the subjects, as far as the kernel's numbers are known.
    pub(super) fn desired(&self, subjects: &Subjects) -> crate::plan::Desired {
        let scene = self.scene();
        let mut desired = crate::plan::links(&scene, subjects);
        crate::plan::entries(&scene, subjects, &mut desired);
        desired
    }

    pub(super) fn scene(&self) -> Scene<'_> {
        Scene {
            state: &self.state,
            facts: &self.facts,
            settings: &self.settings,
            identities: &self.identities,
        }
    }

    /// Reads the host, without what is netd's own in it.
    pub(super) async fn read_facts(&mut self) -> Result<HostFacts, KernelError> {
        let mut facts = self.kernel.facts().await?;
        facts.sockets.clear();
        let state = &self.state;
        facts.addresses.retain(|_, address| {
            address.link.as_str() != RESOLVER_INTERFACE && state.interface(&address.link).is_none()
        });
        Ok(facts)
    }
}
