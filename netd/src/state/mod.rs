//! The one truth and how it changes. Pure: requests in, replies or refusals out; clock, chance and
//! host facts are arguments.

mod apply;
pub mod change;
mod check;
mod config_network;
mod endpoint;
pub mod event;
pub mod gateway;
mod interface;
mod interval;
pub mod ipam;
mod links;
mod lookup;
mod macvlan;
mod names;
mod network;
mod pool;
pub mod ports;
mod prune;
mod publish;
pub mod refusal;
pub mod request;
mod sandbox;
pub mod settings;
mod sharers;
mod subnets;
pub mod table;
#[cfg(test)]
pub(crate) mod tests;
pub mod view;

pub use change::{Change, Edit, Meta};
pub use names::links_of;
pub use network::RESOLVER_INTERFACE;
pub use refusal::Refusal;
pub use request::{Reply, Request};
pub use settings::{AddressPool, Context, FlowSettings, IdSource, Settings};
pub use table::{Contradiction, Owned, State};
