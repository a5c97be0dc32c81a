//! The agent's DNS server: what the BPF program does not answer, and forwarding. The daemon
//! writes [`Table`]; everything else here only reads it. Caches nothing.

pub mod answer;

pub mod message;

pub mod table;

pub use table::{Client, Record, Table, Upstreams};
