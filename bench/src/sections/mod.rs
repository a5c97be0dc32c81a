//! What is measured, one module per section of the tables.

pub mod dns;
