//! Packet logic, written once for BPF and host: parse a view, decide, return a verdict. Generic
//! over two seams, [`Packet`] (bytes) and [`Tables`] (maps, routes, time); stores nothing itself.

pub mod arp;
mod bucket;
pub mod bytes;
pub mod checksum;
pub mod dhcp;
pub mod dial;
pub mod direct;
pub mod dns;
pub mod drop_event;
pub mod extension;
pub mod flow;
pub mod fragment;
pub mod from_endpoint;
pub mod from_uplink;
pub mod group;
pub mod hold;
pub mod icmp_error;
pub mod links;
pub mod nat;
pub mod neighbour;
pub mod onward;
mod options;
pub mod published;
pub mod rewrite;
pub mod tables;
#[cfg(not(target_arch = "bpf"))]
pub mod testing;
pub mod to_endpoint;
pub mod to_uplink;
pub mod transport;
pub mod verdict;
pub mod view;
pub mod work;

pub use bytes::Packet;
pub use tables::Tables;
pub use verdict::{Outcome, Rewrite, Verdict};
pub use work::Work;
