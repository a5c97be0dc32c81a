//! The store with what it saved shown to readers: a second state that follows each saved change. So a
//! look at networks and sandboxes never waits for the host, whatever the control loop is doing.

use std::sync::{Arc, PoisonError, RwLock};

use super::{failure, store::Store};
use crate::state::{Change, State};

/// Saves, then shows.
pub struct Shown {
    /// The file.
    pub store: Store,
    state: Arc<RwLock<State>>,
}

impl Shown {
    /// Shows what was loaded from the store.
    pub fn new(store: Store, loaded: State) -> Shown {
        Shown {
            store,
            state: Arc::new(RwLock::new(loaded)),
        }
    }

    /// For readers.
    pub fn state(&self) -> Arc<RwLock<State>> {
        self.state.clone()
    }
}

impl failure::Store for Shown {
    fn save(&mut self, change: &Change) -> Result<(), anyhow::Error> {
        self.store.save(change)?;
        // A reader that panicked holds no half-made change: readers change nothing.
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.replay(change);
        Ok(())
    }
}
