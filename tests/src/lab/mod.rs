//! A lab is a host of its own: [`Lab`]. Everything in it hangs on threads and file descriptors of
//! the process that made it, so nothing has to be named and nothing can be left behind, also when a
//! test panics or is killed.

mod agent;
mod capture;
mod echo;
mod namespace;
mod process;
mod strays;
mod topology;
mod words;
mod worker;
mod world;

pub use agent::Agent;
pub use capture::Capture;
pub use echo::{EchoServer, tcp_exchange, udp_exchange};
pub use namespace::Namespace;
pub use process::{Background, Finished};
pub use topology::{Lab, addresses};
pub use words::words;
