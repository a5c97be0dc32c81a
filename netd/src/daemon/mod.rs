//! The loop: apply, save, plan, execute. Sees everything, decides nothing.

pub mod failure;
pub mod store;

pub use failure::{Failure, Store};
