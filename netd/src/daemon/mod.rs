//! The loop: apply, save, plan, execute. Sees everything, decides nothing.

pub mod config;
pub mod store;
