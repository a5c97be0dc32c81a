//! The way from the handlers to the agent: looks at the saved state and at the datapath, and calls to
//! the task that owns the host. Decides nothing. A look waits for nobody but its like.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::spawn_blocking,
};

use super::{
    ApiError, Code,
    drop_events::DropLog,
    events::EventLog,
    near_miss::explain,
    reports::{DownReport, DownRequest, DropList, Flushed, MapReport, StatusReport, VersionReport},
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
    /// To empty the flow tables.
    FlushFlows(Answer<Flushed>),
    /// How it is, without how full the maps are.
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

/// Reads something of the datapath, for as long as it takes.
pub type Look<T> = Arc<dyn Fn() -> Result<T, ApiError> + Send + Sync>;

/// What is read of the datapath without the task.
#[derive(Clone)]
pub struct Looks {
    /// The flow tables: the JSON text of a `FlowList`.
    pub flows: Look<Vec<u8>>,
    /// The drop counters.
    pub drops: Look<DropList>,
    /// How full the maps are.
    pub maps: Look<Vec<MapReport>>,
}

/// The handlers' end.
#[derive(Clone)]
pub struct Door {
    calls: mpsc::Sender<Call>,
    state: Arc<RwLock<State>>,
    looks: Looks,
    listing: Arc<Semaphore>,
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
        looks: Looks,
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
            looks,
            // A list of a full table takes memory by the hundred megabytes.
            listing: Arc::new(Semaphore::new(1)),
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

    /// The flow tables, as JSON text. One list at a time is made.
    pub async fn flows(&self) -> Result<Vec<u8>, ApiError> {
        let turn = self.listing.clone().acquire_owned().await;
        let turn = turn.map_err(|_| ApiError::stopping())?;
        let look = self.looks.flows.clone();
        // The turn ends with the work, also where the caller has gone away.
        on_a_thread(move || {
            let list = look();
            drop(turn);
            list
        })
        .await
    }

    /// The drop counters.
    pub async fn drops(&self) -> Result<DropList, ApiError> {
        let look = self.looks.drops.clone();
        on_a_thread(move || look()).await
    }

    /// How agent and datapath are.
    pub async fn status(&self) -> Result<StatusReport, ApiError> {
        let mut status = self.ask(Call::Status).await?;
        let look = self.looks.maps.clone();
        status.maps = on_a_thread(move || look()).await?;
        Ok(status)
    }

    /// Carries out a change.
    pub async fn change(&self, wish: Wish) -> Result<(Reply, Timing), ApiError> {
        self.ask(|answer| Call::Change(Box::new(wish), answer))
            .await
    }

    /// Asks and waits for the answer.
    pub async fn ask<T>(&self, call: impl FnOnce(Answer<T>) -> Call) -> Result<T, ApiError> {
        let (answer, answered) = oneshot::channel();
        let stopping = ApiError::stopping;
        let sent = self.calls.send(call(answer)).await;
        sent.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())?
    }
}

/// Runs what blocks where it holds up nobody.
async fn on_a_thread<T: Send + 'static>(
    run: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let done = spawn_blocking(run).await;
    done.unwrap_or_else(|error| Err(ApiError::new(Code::HostFailure, error.to_string())))
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
