//! Packet logic, written once for BPF and host: parse a view, decide, return a verdict. Generic
//! over two seams, [`Packet`] (bytes) and [`Tables`] (maps, routes, time); stores nothing itself.

pub mod dns;
pub mod packet;
pub mod tables;
pub mod verdict;

pub use packet::Packet;
pub use tables::Tables;
pub use verdict::{Rewrite, Verdict};
