//! netd's agent and command line. Layers: `model` ← `state` ← `plan` are pure; `kernel` makes the
//! syscalls and sees `plan`; `frontends` see only `state`'s requests; `daemon` joins them.

pub mod daemon;
pub mod dns;
pub mod frontends;
pub mod kernel;
pub mod model;
pub mod plan;
pub mod state;
pub mod telemetry;
