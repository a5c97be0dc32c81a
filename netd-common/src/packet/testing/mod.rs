//! What tests of decisions need on the host: tables in memory, frames to decide about, and the
//! carrying out of a verdict on plain bytes. Never part of an object, and nothing in the agent
//! uses it.

mod apply;
mod bare;
mod dress;
mod frame;
mod memory;
mod parking;
mod pieces;
mod scene;

pub use apply::{apply, turn_back};
pub use bare::Bare;
pub use dress::{correct_header_sum, with_extension, with_options};
pub use frame::{Frame, Payload, correct_sums, ports, sums_are_right};
pub use memory::{Lookups, Memory};
pub use parking::{Lot, Waiting};
pub use pieces::{ORDERS, cut, whole};
pub use scene::{Scene, names};
