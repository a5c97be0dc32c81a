//! The command line: thin verbs over the socket API.

mod attachment;
pub mod client;
pub mod exec;
mod failure;
mod format;
mod printed;
mod publish;
mod subnets;

pub use client::{Client, Connection};
pub use failure::Failure;
pub use printed::Printed;
