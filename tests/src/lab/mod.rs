//! A lab is a host of its own: [`Lab`]. Everything in it hangs on threads and file descriptors of
//! the process that made it, so nothing has to be named and nothing can be left behind, also when a
//! test panics or is killed.

mod agent;
mod app;
mod capture;
pub mod datagrams;
mod echo;
mod frame;
mod inspect;
mod namespace;
mod patience;
mod process;
mod reach;
mod rules;
mod sctp;
mod strays;
mod topology;
mod traces;
mod traffic;
mod words;
mod worker;
mod world;

pub use agent::Agent;
pub use app::App;
pub use capture::Capture;
pub use echo::{EchoServer, tcp_exchange, udp_exchange};
pub use frame::{EXPERIMENTAL, ethernet, octets};
pub use namespace::Namespace;
pub use patience::patient;
pub use process::{Background, Finished};
pub use reach::{asks, gets_no_answer, is_kept_from, reaches};
pub use topology::{Lab, addresses, agent_binary};
pub use traces::{Traces, pins};
pub use traffic::Traffic;
pub use words::words;
