//! The BPF objects in tests, and one small world of networks and endpoints in which packets are
//! decided twice: by netd-common's packet logic over plain tables ([`Host`]), and by the programs in
//! the kernel over real maps ([`Kernel`]). What differs between the two is a fault.

mod apply;
mod bare;
mod dns;
mod host;
mod kernel;
mod namespace;
mod object;
mod routes;
mod tables;
mod vector;
mod world;

pub use bare::over_bare_links;
pub use host::{Fate, Host};
pub use kernel::{Kernel, PROGRAMS};
pub use object::{Object, load, raw, require_root, root};
pub use vector::{Vector, hex, read_all, write_all};
pub use world::{Link, World};

use netd_common::abi::{Program, drops::DropKey};

/// A packet at a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Which hook.
    pub program: Program,
    /// The hook's interface.
    pub ifindex: u32,
    /// The interface by which the packet came into the host; 0 where the host itself sends it.
    pub ingress: u32,
    /// The packet, from its Ethernet header on; from its IP header on at hooks of links without.
    pub bytes: Vec<u8>,
}

/// What became of it, as far as both sides can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// What the program returns: `TC_ACT_UNSPEC`, `TC_ACT_OK`, `TC_ACT_SHOT`, `TC_ACT_REDIRECT`.
    pub action: i32,
    /// The packet afterwards.
    pub bytes: Vec<u8>,
    /// The counter that a drop is counted in.
    pub dropped: Option<DropKey>,
}

/// `TC_ACT_*` (`linux/pkt_cls.h`).
pub mod action {
    /// Not decided: the next program, or the kernel.
    pub const UNSPEC: i32 = -1;
    /// On to the stack.
    pub const OK: i32 = 0;
    /// Dropped.
    pub const SHOT: i32 = 2;
    /// Somewhere else.
    pub const REDIRECT: i32 = 7;
}
