//! The client's role: does one piece of work and tells its outcome.

mod clock;
mod rate;
mod retransmitted;
mod sources;
mod stream;
mod tcp;
mod udp;

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use self::{clock::Clock, sources::Sources};
use super::cpu;
use crate::record::{Latency, Unit};

/// How long an answer may take before it counts as lost.
const LATE: Duration = Duration::from_millis(500);

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// As many octets as go through connections that stay.
    TcpStream,
    /// A question and its answer after the other on one connection.
    TcpRr,
    /// Connect, one question, its answer, close; one after the other, each from another port.
    TcpCrr,
    /// As many small packets as arrive, with some on their way.
    UdpRate,
    /// A question and its answer after the other from one socket.
    UdpRr,
    /// A question and its answer, each from another port.
    UdpNewFlows,
    /// Connections that are left open, in the tables in between, when both ends have gone.
    TcpHold,
}

/// The command line of a client.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The work.
    #[arg(long)]
    pub work: Work,
    /// The server's address and port as the client dials them.
    #[arg(long)]
    pub to: SocketAddr,
    /// Seconds that count.
    #[arg(long, default_value_t = 0.5)]
    pub seconds: f64,
    /// Seconds before them that do not.
    #[arg(long, default_value_t = 0.1)]
    pub warm_up: f64,
    /// The CPU to run on.
    #[arg(long)]
    pub cpu: Option<usize>,
    /// Connections of a stream.
    #[arg(long, default_value_t = 1)]
    pub connections: usize,
    /// The first address to come from; else what the routes choose.
    #[arg(long)]
    pub source: Option<IpAddr>,
    /// How many addresses, counted on from the first, work with a port per operation comes from.
    #[arg(long, default_value_t = 1)]
    pub sources: u32,
    /// Ends such work after so many operations.
    #[arg(long, default_value_t = u64::MAX)]
    pub limit: u64,
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The work.
    pub work: Work,
    /// What arrived right, per second, in `unit`.
    pub value: f64,
    /// Of the value.
    pub unit: Unit,
    /// Seconds that counted. Fewer than asked for when all source ports had their turn.
    pub seconds: f64,
    /// Operations, packets or octets that arrived right while it counted.
    pub done: u64,
    /// All that was sent, warm-up included, as the rest below.
    pub sent: u64,
    /// What got no answer or did not arrive.
    pub lost: u64,
    /// What arrived damaged, twice or as the answer to another question.
    pub wrong: u64,
    /// TCP segments that the client's namespace sent again. They hide losses from the above.
    pub retransmitted: u64,
    /// How long single operations took, where the work has such.
    pub latency: Option<Latency>,
}

/// Does it, on this thread and in its network namespace.
pub fn measure(options: &Options) -> Result<Outcome> {
    if let Some(cpu) = options.cpu {
        cpu::pin(cpu)?;
    }
    let before = retransmitted::count()?;
    let mut outcome = match options.work {
        Work::TcpStream => stream::run(options)?,
        Work::TcpRr => tcp::rr(options)?,
        Work::TcpCrr | Work::TcpHold => tcp::each_its_own(options)?,
        Work::UdpRate => rate::run(options)?,
        Work::UdpRr => udp::rr(options)?,
        Work::UdpNewFlows => udp::new_flows(options)?,
    };
    outcome.retransmitted = retransmitted::count()? - before;
    Ok(outcome)
}

impl Options {
    fn clock(&self) -> Clock {
        Clock::start(self.warm_up, self.seconds)
    }

    fn sources(&self) -> Sources {
        Sources::new(self.source, self.to, self.sources, self.limit)
    }

    /// Any port of the first source address.
    fn any_port(&self) -> SocketAddr {
        SocketAddr::new(self.source.unwrap_or(unspecified(self.to)), 0)
    }
}

/// `0.0.0.0` or `::`, whichever fits.
fn unspecified(to: SocketAddr) -> IpAddr {
    match to {
        SocketAddr::V4(_) => IpAddr::from([0; 4]),
        SocketAddr::V6(_) => IpAddr::from([0u16; 8]),
    }
}
