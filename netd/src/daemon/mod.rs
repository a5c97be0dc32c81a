//! The loop: apply, save, plan, execute. Sees everything, decides nothing.

pub mod agent;
mod announcing;
mod answer;
pub mod background;
pub mod control;
pub mod converge;
pub mod down;
pub mod drift;
pub mod failure;
pub mod lock;
pub mod looks;
pub mod names;
pub mod reconcile;
pub mod report;
pub mod resolver;
pub mod shown;
pub mod start;
pub mod store;
#[cfg(test)]
mod tests;
mod upkeep;

pub use control::{Control, Parts};
pub use converge::Report;
pub use failure::{Failure, Store};
