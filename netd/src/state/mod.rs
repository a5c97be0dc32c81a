//! The one truth and how it changes. Pure: requests in, replies or refusals out; clock, chance and
//! host facts are arguments.

pub mod refusal;
pub mod request;

pub use refusal::Refusal;
pub use request::{Reply, Request};
