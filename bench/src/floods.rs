//! Floods in the namespaces of a mode: which there are, who sends them to whom, and one that runs beside
//! what is measured. Measures nothing but its rate.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context, Result, ensure};
use ipnet::Ipv4Net;
use netd_tests::lab::Background;

use crate::{
    dns::cores,
    drive::Driven,
    load::{FloodKind, FloodTold},
    topology::{self, Path},
};

/// What is to go on beside a flood.
pub const ORDINARY: [&str; 2] = ["tcp-rr", "tcp-crr"];
/// Packets a second: what a flood reaches in every mode though client and server want the core, too.
pub const RATE: u32 = 20_000;
/// Addresses that nobody has: a flood from outside seems to come from them, one from a container goes to
/// them. The outside drops what goes there (RFC 6598, shared address space).
const STRANGERS: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 10);
/// How long it may take to begin.
const START: Duration = Duration::from_secs(10);

/// A flood, and the path whose traffic it goes beside.
#[derive(Clone, Copy, Debug)]
pub struct Flood {
    /// What it consists of.
    pub kind: FloodKind,
    /// From outside to the published port, or from a container outwards. (ICMP has no port: from outside
    /// it goes to the host.)
    pub path: Path,
    /// As records name it in the place of a path.
    pub name: &'static str,
}

/// All, in the order in which they have their turns.
pub const ALL: [Flood; 6] = [
    flood(
        FloodKind::Syn,
        Path::PublishedOutside,
        "published-outside, SYN",
    ),
    flood(
        FloodKind::Udp,
        Path::PublishedOutside,
        "published-outside, UDP",
    ),
    flood(
        FloodKind::Icmp,
        Path::PublishedOutside,
        "published-outside, ICMP",
    ),
    flood(FloodKind::Syn, Path::Outwards, "outwards, SYN"),
    flood(FloodKind::Udp, Path::Outwards, "outwards, UDP"),
    flood(FloodKind::Icmp, Path::Outwards, "outwards, ICMP"),
];

/// Their names.
pub const NAMES: [&str; ALL.len()] = {
    let mut names = [""; ALL.len()];
    let mut at = 0;
    while at < ALL.len() {
        names[at] = ALL[at].name;
        at += 1;
    }
    names
};

const fn flood(kind: FloodKind, path: Path, name: &'static str) -> Flood {
    Flood { kind, path, name }
}

impl Flood {
    /// Starts it, and waits until packets go out. Like clients and servers it has the first core.
    pub fn start(self, driven: &Driven, rate: u32) -> Result<Running> {
        let place = driven.mode.place();
        let (namespace, from, to, port) = match self.path {
            Path::Outwards => {
                // Not the one that is measured: a neighbour of its.
                let (_, _, own) = topology::CONTAINERS[2];
                (
                    &place.c,
                    Ipv4Net::from(own),
                    STRANGERS,
                    topology::OUTSIDE_PORT,
                )
            }
            _ => {
                let dialled = driven.dialled(self.path)?;
                let to = match (self.kind, dialled.ip()) {
                    (FloodKind::Icmp, _) => topology::HOST,
                    (_, std::net::IpAddr::V4(to)) => to,
                    (_, to) => anyhow::bail!("{to} is no IPv4 address"),
                };
                (&place.outside, STRANGERS, Ipv4Net::from(to), dialled.port())
            }
        };
        let process = namespace.spawn(&format!(
            "{} load flood --kind {} --from {from} --to {to} --port {port} --rate {rate} --cpu {}",
            driven.program(),
            self.kind.name(),
            cores::FIRST
        ))?;
        let mut running = Running {
            process,
            first: FloodTold::default(),
        };
        running.process.wait_for("\n", START)?;
        running.first = running.told()?;
        Ok(running)
    }
}

/// A flood that runs; ends when dropped.
pub struct Running {
    process: Background,
    first: FloodTold,
}

impl Running {
    /// Packets a second, since it was started.
    ///
    /// # Errors
    /// If it has ended, or has not sent anything since.
    pub fn rate(&mut self) -> Result<f64> {
        ensure!(
            self.process.is_running(),
            "the flood has ended: {}",
            self.process.stderr().trim()
        );
        let last = self.told()?;
        let seconds = last.seconds - self.first.seconds;
        ensure!(seconds > 0.0, "the flood did not get to run");
        Ok((last.packets - self.first.packets) as f64 / seconds)
    }

    /// The last whole line.
    fn told(&self) -> Result<FloodTold> {
        let text = self.process.stdout();
        let lines = text.rsplit_once('\n').map(|(whole, _)| whole);
        let line = lines.and_then(|lines| lines.lines().last());
        let line = line.context("the flood has told nothing")?;
        serde_json::from_str(line).context("what the flood told")
    }
}
