//! The command line: thin verbs over the socket API.

pub mod attachment;
mod bindings;
pub mod client;
pub mod completion;
mod config;
pub mod down;
mod drops;
mod events;
pub mod exec;
mod failure;
pub mod filters;
mod flow;
pub mod format;
mod inspect;
mod labels;
mod listing;
mod live_ports;
mod man;
mod network;
mod network_ls;
mod port;
mod printed;
mod progress;
pub mod publish;
mod sandbox;
mod sandbox_ls;
mod status;
mod subnets;
mod table;
pub mod until;
mod verbs;

pub use client::{Client, Connection};
pub use failure::Failure;
pub use printed::Printed;
pub use verbs::{Cli, Parsed, RunArgs, Verb, parse};
