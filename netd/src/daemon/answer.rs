//! One call to the agent's task and its answer. A caller that went away is no error.

use std::time::Instant;

use nix::time::{ClockId, clock_gettime};

use super::{
    Failure,
    agent::{Agent, End, unix_now},
    down, report,
    store::Creation,
};
use crate::{
    frontends::api::{
        ApiError, Code,
        door::{Answer, Call, Wish},
        near_miss::explain,
        reports::{DownRequest, Flushed, StatusReport},
        timing::Timing,
    },
    kernel::{Kernel, KernelError, netns},
    model::Id,
    state::{Refusal, Reply, Request},
};

impl<K: Kernel> Agent<K> {
    /// Carries out a call and answers it. Something comes back if it was the last.
    pub(super) async fn answer(&mut self, call: Call) -> Option<End> {
        match call {
            Call::Change(wish, answer) => {
                let result = self.timed(*wish).await;
                send(answer, result);
            }
            Call::FlushFlows(answer) => {
                let halves = self.control.kernel().flush_flows().await;
                let flushed = halves.map(|halves| Flushed { halves });
                send(answer, flushed.map_err(host_failure));
            }
            Call::Status(answer) => {
                let status = self.status();
                send(answer, Ok(status));
            }
            Call::Down(request, answer) => return self.down(request, answer).await,
        }
        None
    }

    fn status(&mut self) -> StatusReport {
        let (kernel, state) = self.control.kernel_and_state();
        let host = (self.describe)(kernel, state);
        let standing = report::Standing {
            state: self.control.state(),
            facts: self.control.facts(),
            uptime: self.ready.elapsed().as_secs(),
        };
        report::status(&self.process, standing, host)
    }

    /// Carries out a change, and tells where its time went.
    async fn timed(&mut self, wish: Wish) -> Result<(Reply, Timing), ApiError> {
        let began = Instant::now();
        let host = self.control.kernel().spent();
        let store = self.control.store().store.spent();
        let reply = self.change(wish).await?;
        self.resolver.follow();
        let host = self.control.kernel().spent().since(host);
        let timing = Timing {
            total: began.elapsed(),
            netlink: host.netlink,
            namespaces: host.namespaces,
            bpf: host.bpf,
            files: host.files,
            store: self.control.store().store.spent().saturating_sub(store),
        };
        Ok((reply, timing))
    }

    async fn change(&mut self, wish: Wish) -> Result<Reply, ApiError> {
        let Wish {
            mut request,
            namespace,
            given,
        } = wish;
        if let Some((id, body)) = &given
            && let Some(reply) = self.repeated(*id, body)?
        {
            return Ok(reply);
        }
        if let (Some(path), Request::SandboxCreate(spec)) = (&namespace, &mut request) {
            let identified = netns::identify(path);
            spec.namespace = Some(identified.map_err(|error| ApiError::bad(error.to_string()))?);
        }
        let mut creation = given.map(|(id, body)| {
            let warnings = Vec::new();
            (id, Creation { body, warnings })
        });
        if let Some((id, creation)) = &creation {
            self.control
                .store()
                .store
                .note_creation(*id, creation.clone());
        }
        let result = self.control.handle(&request, unix_now()).await;
        self.control.store().store.forget_creation();
        let doing = describe(&request);
        let reply = match result {
            Ok(reply) => reply,
            Err(Failure::Refused(refusal)) => {
                tracing::debug!(%refusal, "refused: {doing}");
                return Err(explain(refusal, self.control.state()));
            }
            Err(failure) => {
                tracing::error!(%failure, "undone: {doing}");
                return Err(refused(failure));
            }
        };
        tracing::info!(revision = self.control.state().revision(), "{doing}");
        if let (Some((id, creation)), Reply::Created { warnings, .. }) = (&mut creation, &reply) {
            self.remember(*id, creation, warnings);
        }
        Ok(reply)
    }

    /// The former reply to the same id and body, as long as the object lives.
    fn repeated(&mut self, id: Id, body: &str) -> Result<Option<Reply>, ApiError> {
        let state = self.control.state();
        if state.network(id).is_none() && state.sandbox(id).is_none() {
            self.creations.remove(&id);
            return Ok(None);
        }
        match self.creations.get(&id) {
            Some(creation) if creation.body == body => Ok(Some(Reply::Created {
                id,
                warnings: creation.warnings.clone(),
            })),
            Some(_) => {
                let text = format!("id {id} was created with another body");
                Err(ApiError::new(Code::IdInUse, text))
            }
            None => Err(Refusal::IdExists(id).into()),
        }
    }

    fn remember(&mut self, id: Id, creation: &mut Creation, warnings: &[String]) {
        creation.warnings = warnings.to_vec();
        if !warnings.is_empty()
            && let Err(error) = self.control.store().store.set_creation(id, creation)
        {
            tracing::warn!(%error, "the warnings of a create are not kept for its repetition");
        }
        self.creations.insert(id, creation.clone());
    }

    async fn down(
        &mut self,
        request: DownRequest,
        answer: Answer<crate::frontends::api::reports::DownReport>,
    ) -> Option<End> {
        let sandboxes = self.control.state().sandboxes().count();
        if let Err(error) = down::refuse_in_use(sandboxes, &request) {
            send(answer, Err(error));
            return None;
        }
        self.resolver.stop().await;
        let mut report = down::undo(&self.process.run_dir, &self.process.bpffs);
        if request.purge {
            // An open file's blocks go with its last descriptor, which is this process's.
            down::purge(&self.process.state_dir, &mut report);
        }
        send(answer, Ok(report));
        Some(End::Down)
    }
}

fn send<T>(answer: Answer<T>, result: Result<T, ApiError>) {
    if answer.send(result).is_err() {
        tracing::debug!("a caller did not wait for its answer");
    }
}

/// A change in words, for the log.
fn describe(request: &Request) -> String {
    match request {
        Request::NetworkCreate(spec) => format!("create network {}", spec.name),
        Request::NetworkRemove { network, .. } => format!("remove network {network}"),
        Request::NetworkPrune(_) => "remove unused networks".to_owned(),
        Request::Connect {
            network, sandbox, ..
        } => format!("connect sandbox {sandbox} to network {network}"),
        Request::Disconnect {
            network, sandbox, ..
        } => format!("disconnect sandbox {sandbox} from network {network}"),
        Request::SandboxCreate(spec) => match (&spec.name, &spec.id) {
            (Some(name), _) => format!("create sandbox {name}"),
            (None, Some(id)) => format!("create sandbox {}", id.short()),
            (None, None) => "create sandbox".to_owned(),
        },
        Request::Publish { sandbox, .. } => format!("publish ports of sandbox {sandbox}"),
        Request::Unpublish { sandbox, .. } => format!("unpublish ports of sandbox {sandbox}"),
        Request::SandboxRemove { sandbox, .. } => format!("remove sandbox {sandbox}"),
    }
}

fn refused(failure: Failure) -> ApiError {
    match failure {
        Failure::Refused(refusal) => refusal.into(),
        Failure::Kernel(error) => host_failure(error),
        Failure::Store(error) => ApiError::new(Code::StoreFailure, format!("{error:#}"))
            .hint("the state directory's disk"),
    }
}

pub(super) fn host_failure(error: KernelError) -> ApiError {
    ApiError::new(Code::HostFailure, error.to_string())
}

/// Nanoseconds of CLOCK_MONOTONIC, which the programs stamp flows with.
pub(super) fn monotonic_now() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC);
    now.map_or(0, |now| {
        let seconds = u64::try_from(now.tv_sec()).unwrap_or_default();
        let rest = u64::try_from(now.tv_nsec()).unwrap_or_default();
        seconds * 1_000_000_000 + rest
    })
}
