//! An agent in a lab, asked over its socket as frontends ask it, with any number of endpoints.

mod host;
mod socket;

pub use host::{Host, NETWORK, Settled};
pub use socket::{Answer, Socket, Timing};
