//! Labs for netd: network namespaces that are a host, an outside and an attacker, with real clients
//! and servers in them. Never depends on the `netd` crate, only starts its binary; never touches the
//! machine's own namespaces.
#![forbid(unsafe_code)]

pub mod bpf;
pub mod lab;
