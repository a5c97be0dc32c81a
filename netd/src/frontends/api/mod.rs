//! The socket API `/v1`: HTTP/1.1 and JSON over a Unix socket. What comes in is checked here, once.

mod announce_options;
mod config_request;
pub mod door;
pub mod driver_options;
pub mod drop_events;
pub mod endpoint_object;
pub mod error;
pub mod events;
pub mod input;
mod macvlan_options;
pub mod near_miss;
pub mod network_request;
pub mod network_shape;
pub mod openapi;
pub mod port_request;
pub mod prune_request;
pub mod reports;
pub mod routes;
pub mod sandbox_brief;
pub mod sandbox_request;
pub mod sandbox_shape;
pub mod server;
pub mod timestamp;
pub mod timing;

pub use error::{ApiError, Code};

use crate::{model::Id, state::Refusal};

fn parse_id(text: &str) -> Result<Id, ApiError> {
    text.parse().map_err(|bad| Refusal::BadName(bad).into())
}

#[cfg(test)]
mod shape_tests;
