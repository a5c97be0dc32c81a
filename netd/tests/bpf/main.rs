//! The BPF layer against the kernel: pins, maps, links, traffic. Needs root; each test is its own
//! host in a network and a mount namespace, which take everything with them when the test ends.

mod contents;
mod flows;
mod hooks;
mod host;
mod log;
mod pins;
mod replace;
