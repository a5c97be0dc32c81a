//! What a change needs besides kernel and state, and how it can fail.

use crate::{
    kernel::KernelError,
    state::{Change, Refusal},
};

/// Where changes are kept: one transaction each, durable when `save` returns.
pub trait Store: Send {
    /// Saves the objects of a change as they are after it, and its small record.
    fn save(&mut self, change: &Change) -> Result<(), anyhow::Error>;
}

/// Why a request was not carried out; nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The state refused it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The kernel refused a step; what was done is undone.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The change could not be saved; nothing was done.
    #[error("the change could not be saved: {0:#}")]
    Store(anyhow::Error),
}
