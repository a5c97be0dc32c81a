//! A datapath with nothing in it, whose flow tables take as long to walk as a test wants.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::kernel::{DropRecord, FlowRecord, KernelError, MapFill, Reader, Stopped};

/// How often a walk that is held asks whether it goes on.
const STEP: Duration = Duration::from_millis(1);

/// See the module. Copies are one.
#[derive(Clone, Debug, Default)]
pub struct FakeReader(Arc<(Mutex<Walks>, Condvar)>);

#[derive(Debug, Default)]
struct Walks {
    held: bool,
    under_way: u32,
}

impl FakeReader {
    /// Walks begun from now on end when they are told to, or let go.
    pub fn hold(&self) {
        self.walks().held = true;
    }

    /// Those that are held end.
    pub fn let_go(&self) {
        self.walks().held = false;
    }

    /// Waits until so many are under way.
    pub fn wait_for(&self, walks: u32) {
        let mut guard = self.walks();
        while guard.under_way < walks {
            guard = self.0.1.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn walks(&self) -> MutexGuard<'_, Walks> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader for FakeReader {
    fn flows(&self, go_on: &mut dyn FnMut() -> bool) -> Result<Vec<FlowRecord>, KernelError> {
        self.walks().under_way += 1;
        self.0.1.notify_all();
        let mut goes_on = go_on();
        while goes_on && self.walks().held {
            std::thread::sleep(STEP);
            goes_on = go_on();
        }
        self.walks().under_way -= 1;
        Stopped::unless(goes_on).map_err(|stopped| KernelError {
            doing: "read the flows".to_owned(),
            source: stopped.into(),
        })?;
        Ok(Vec::new())
    }

    fn drops(&self) -> Result<Vec<DropRecord>, KernelError> {
        Ok(Vec::new())
    }

    fn map_fill(&self, _go_on: &mut dyn FnMut() -> bool) -> Result<Vec<MapFill>, KernelError> {
        Ok(Vec::new())
    }
}
