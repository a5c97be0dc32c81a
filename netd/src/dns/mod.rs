//! The agent's DNS server: what the BPF program does not answer, and forwarding. The daemon
//! writes [`Table`]; everything else here only reads it.

pub mod answer;
pub mod cache;
pub mod counters;
mod exchange;
pub mod forward;
mod health;
mod insiders;
pub mod limits;
pub mod message;
pub mod server;
mod service;
mod slots;
mod sockets;
pub mod table;
mod tcp;
mod udp;
mod upstreams;

pub use counters::Counts;
pub use insiders::Insiders;
pub use server::Server;
pub use service::Service;
pub use table::{Asker, Client, Inside, Record, Table};
pub use upstreams::{Place, Upstreams};

#[cfg(test)]
pub(crate) mod agreement_tests;
#[cfg(test)]
mod lab_tests;
