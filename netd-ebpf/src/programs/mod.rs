//! The programs, by [`netd_common::abi::Program`]. Each reads like a sentence: view, decide, act.

mod bind;
mod dns;
mod fragments;
mod from_endpoint;
mod from_uplink;
mod icmp;
mod redirect_failed;
mod sock;
mod to_endpoint;
mod to_uplink;
