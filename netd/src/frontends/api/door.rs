//! The way from the handlers to the task that owns the state: calls with their answers. Decides
//! nothing, waits for nobody but the task.

use std::path::PathBuf;

use tokio::sync::{mpsc, oneshot};

use super::{
    ApiError, Code,
    reports::{DownReport, DownRequest, DropList, FlowList, Flushed, StatusReport, VersionReport},
};
use crate::{
    model::Id,
    state::{
        Reply, Request,
        view::{NetworkView, SandboxView},
    },
};

/// Where an answer goes. A caller that went away is no error.
pub type Answer<T> = oneshot::Sender<Result<T, ApiError>>;

/// What the task is asked.
pub enum Call {
    /// To change something.
    Change(Box<Wish>, Answer<Reply>),
    /// For all networks.
    Networks(Answer<Listed<NetworkView>>),
    /// For a network by name, id or id prefix.
    Network(String, Answer<NetworkView>),
    /// For all sandboxes.
    Sandboxes(Answer<Listed<SandboxView>>),
    /// For a sandbox by name, id or id prefix, with the revision.
    Sandbox(String, Answer<(u64, SandboxView)>),
    /// For the flow tables.
    Flows(Answer<FlowList>),
    /// To empty the flow tables.
    FlushFlows(Answer<Flushed>),
    /// For the drop counters.
    Drops(Answer<DropList>),
    /// How it is.
    Status(Answer<StatusReport>),
    /// To undo everything and to end.
    Down(DownRequest, Answer<DownReport>),
}

/// A change with what comes along.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The change.
    pub request: Request,
    /// The namespace that a sandbox is to join: identified before the change.
    pub namespace: Option<PathBuf>,
    /// A create with a given id: the id and the body, to tell a repetition.
    pub given: Option<(Id, String)>,
}

/// All objects of a kind, as of a revision.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    /// Of the state they are from.
    pub revision: u64,
    /// By name.
    pub objects: Vec<T>,
}

/// The handlers' end.
#[derive(Clone)]
pub struct Door {
    calls: mpsc::Sender<Call>,
    /// Where sandboxes' files are.
    pub run_dir: PathBuf,
    /// What is served, and by whom.
    pub version: VersionReport,
}

impl Door {
    /// A door and the task's end of it.
    pub fn new(run_dir: PathBuf, version: VersionReport) -> (Door, mpsc::Receiver<Call>) {
        // More callers than this wait their turn in the socket's own queue.
        let (calls, receiver) = mpsc::channel(64);
        let door = Door {
            calls,
            run_dir,
            version,
        };
        (door, receiver)
    }

    /// Carries out a change.
    pub async fn change(&self, wish: Wish) -> Result<Reply, ApiError> {
        self.ask(|answer| Call::Change(Box::new(wish), answer))
            .await
    }

    /// Asks and waits for the answer.
    pub async fn ask<T>(&self, call: impl FnOnce(Answer<T>) -> Call) -> Result<T, ApiError> {
        let (answer, answered) = oneshot::channel();
        let stopping = || ApiError::new(Code::Stopping, "the agent is stopping");
        let sent = self.calls.send(call(answer)).await;
        sent.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())?
    }
}

impl Wish {
    /// A change that needs nothing besides.
    pub fn new(request: Request) -> Wish {
        Wish {
            request,
            namespace: None,
            given: None,
        }
    }
}
