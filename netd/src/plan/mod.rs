//! From what should be and what is to what to do. Pure; the vocabulary between the daemon and the
//! kernel layer is here: keys, observations, actions.

pub mod action;
mod announcement;
mod bridge;
pub mod desired;
mod diff;
mod endpoint;
pub mod entry;
mod files;
mod host;
mod links;
mod macvlan;
mod names;
pub mod observed;
mod order;
mod reserved;
pub mod resolver;
mod sandbox;
pub mod scene;
pub mod subjects;
pub mod table;
#[cfg(test)]
mod tests;

pub use action::{Action, Attachment, Place, SandboxFiles, TcHook};
pub use announcement::Announcement;
pub use desired::Desired;
pub use diff::{Stage, diff};
pub use entry::{Entry, EntryKey};
pub use observed::{Key, Observed};
pub use reserved::RESERVED_PORTS;
pub use sandbox::ended_ports;
pub use scene::{Identities, Scene, entries, links};
pub use subjects::Subjects;

pub use crate::model::facts::{self, HostFacts};
