//! The doors: socket API and command line. They turn text and JSON into the request vocabulary of
//! `state` and back; they decide nothing.

pub mod api;
pub mod cli;
pub mod config;
