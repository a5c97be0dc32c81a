//! The way from the handlers to the agent: looks at the saved state, and calls to the task that owns
//! the host. Decides nothing. A look waits for nobody.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use tokio::sync::{mpsc, oneshot};

use super::{
    ApiError, Code,
    drop_events::DropLog,
    events::EventLog,
    near_miss::explain,
    reports::{DownReport, DownRequest, DropList, FlowList, Flushed, StatusReport, VersionReport},
    timing::Timing,
};
use crate::{
    model::Id,
    state::{Refusal, Reply, Request, State},
};

/// Where an answer goes. A caller that went away is no error.
pub type Answer<T> = oneshot::Sender<Result<T, ApiError>>;

/// What the task is asked.
pub enum Call {
    /// To change something.
    Change(Box<Wish>, Answer<(Reply, Timing)>),
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

/// The handlers' end.
#[derive(Clone)]
pub struct Door {
    calls: mpsc::Sender<Call>,
    state: Arc<RwLock<State>>,
    /// Where sandboxes' files are.
    pub run_dir: PathBuf,
    /// What is served, and by whom.
    pub version: VersionReport,
    /// What happened of late.
    pub events: EventLog,
    /// What is dropped.
    pub drops: DropLog,
}

impl Door {
    /// A door and the task's end of it.
    pub fn new(
        state: Arc<RwLock<State>>,
        run_dir: PathBuf,
        version: VersionReport,
        events: EventLog,
        drops: DropLog,
    ) -> (Door, mpsc::Receiver<Call>) {
        // More callers than this wait their turn in the socket's own queue.
        let (calls, receiver) = mpsc::channel(64);
        let door = Door {
            calls,
            state,
            run_dir,
            version,
            events,
            drops,
        };
        (door, receiver)
    }

    /// Looks at what is saved.
    pub fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks for something; what is not there is told with the name that was meant.
    pub fn find<T>(&self, look: impl FnOnce(&State) -> Result<T, Refusal>) -> Result<T, ApiError> {
        self.look(|state| look(state).map_err(|refusal| explain(refusal, state)))
    }

    /// Carries out a change.
    pub async fn change(&self, wish: Wish) -> Result<(Reply, Timing), ApiError> {
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
