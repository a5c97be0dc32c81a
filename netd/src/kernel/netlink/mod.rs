//! rtnetlink: one file per noun, over the crate of that name. Each function sends what it is told to
//! and reads what it is asked for; which links are netd's is decided by [`mark`] alone.

pub mod address;
pub mod bridge;
pub mod diag;
pub mod dummy;
pub mod error;
pub mod fdb;
pub mod link;
pub mod macvlan;
pub mod mark;
pub mod neighbour;
pub mod nsid;
pub mod route;
pub mod socket;
pub mod veth;
pub mod vlan;

pub use error::NetlinkError;
pub use link::Link;
pub use socket::Socket;
