//! The real network stack layer, without BPF: each test in a network and a mount namespace of its
//! own, never the machine's. What it did is also asked of `ip`, `bridge` and `nsenter`.

#[path = "netlink/guest.rs"]
mod guest;
#[path = "netlink/plan.rs"]
mod plan;
#[path = "netlink/scratch.rs"]
mod scratch;

#[path = "netlink/actions.rs"]
mod actions;
#[path = "netlink/addresses.rs"]
mod addresses;
#[path = "netlink/cost.rs"]
mod cost;
#[path = "netlink/down.rs"]
mod down;
#[path = "netlink/events.rs"]
mod events;
#[path = "netlink/facts.rs"]
mod facts;
#[path = "netlink/kernel.rs"]
mod kernel;
#[path = "netlink/macvlan.rs"]
mod macvlan;
#[path = "netlink/namespaces.rs"]
mod namespaces;
#[path = "netlink/sockets.rs"]
mod sockets;
