//! From what should be and what is to what to do. Pure; the vocabulary between the daemon and the
//! kernel layer is here: keys, observations, actions.

pub mod action;
pub mod entry;
pub mod observed;

pub use action::{Action, Attachment, Place, SandboxFiles, TcHook};
pub use entry::{Entry, EntryKey};
pub use observed::{Key, Observed};

pub use crate::model::facts::{self, HostFacts};
