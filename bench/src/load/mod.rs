//! The load generator: a server and a client that are started in namespaces of a lab, move checked
//! payload between each other, and tell what arrived right, what did not arrive and how long each
//! operation took, and a flood to go beside them. It knows nothing of labs and modes.
//!
//! It is built to measure the kernel and not itself: blocking sockets, one thread per role, batches
//! where a real program would use them. IPv4 or IPv6 is whatever address it is given.

mod client;
mod cpu;
mod flood;
mod latency;
mod message;
mod pattern;
mod server;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use anyhow::Result;
use clap::Subcommand;

pub use client::{Options, Outcome, Work, measure};
pub use cpu::{pin, pin_process};
pub use flood::{Kind as FloodKind, Options as FloodOptions, Told as FloodTold};
pub use latency::Durations;
pub use server::Server;

/// `netd-bench load …`.
#[derive(Debug, Subcommand)]
pub enum Load {
    /// Answers and counts what clients send, over TCP and UDP, until it is killed. Prints one line
    /// of JSON when its sockets are open.
    Server {
        /// An address and port to serve; may be given several times.
        #[arg(long, required = true)]
        listen: Vec<SocketAddr>,
        /// The CPU that all of it runs on.
        #[arg(long)]
        cpu: Option<usize>,
    },
    /// Does one piece of work against a server and prints its outcome as one line of JSON.
    Client(Options),
    /// Sends packets that nobody asked for until it is killed; tells now and then how many, as lines of
    /// JSON.
    Flood(FloodOptions),
}

/// Does what the command line says.
pub fn run(load: &Load) -> Result<()> {
    match load {
        Load::Server { listen, cpu } => serve(listen, *cpu),
        Load::Client(options) => {
            let outcome = measure(options)?;
            println!("{}", serde_json::to_string(&outcome)?);
            Ok(())
        }
        Load::Flood(options) => flood::run(options),
    }
}

fn serve(listen: &[SocketAddr], cpu: Option<usize>) -> Result<()> {
    if let Some(cpu) = cpu {
        cpu::pin(cpu)?;
    }
    let server = Server::start(listen)?;
    println!("{}", serde_json::json!({ "ready": listen }));
    server.wait()
}
