//! The load generator in the namespaces of a mode: servers that stay, and a client per measurement.
//! Says where each of them runs, and makes samples of outcomes; measures nothing itself.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use netd_tests::lab::{Background, Namespace};

use crate::{
    dns::cores,
    load::{Outcome, Work, pin_process},
    modes::Mode,
    record::{Cores, Group, Row, Sample, Unit},
    topology::{self, Path},
};

/// How long a server may take to open its sockets.
const START: Duration = Duration::from_secs(10);
/// How much longer than it measures a client may run.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a path is tried before it is taken for missing: a busy machine answers late.
const PROBES: u32 = 5;
/// Measuring begins after this share of what it takes.
const WARM_UP: f64 = 0.15;

/// What this program puts before its errors.
const ERROR: &str = "netd-bench: ";

/// Works and how the load generator is told to do them.
const WORKS: [(&str, Work, usize); 7] = [
    ("tcp-stream", Work::TcpStream, 1),
    ("tcp-stream-4", Work::TcpStream, 4),
    ("tcp-rr", Work::TcpRr, 1),
    ("tcp-crr", Work::TcpCrr, 1),
    ("udp-rate", Work::UdpRate, 1),
    ("udp-rr", Work::UdpRr, 1),
    ("udp-new-flows", Work::UdpNewFlows, 1),
];

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// As records name it.
    pub work: &'static str,
    /// Between whom.
    pub path: Path,
    /// Where they run.
    pub cores: Cores,
    /// How long it measures.
    pub during: Duration,
    /// Operations after which it ends early.
    pub limit: u64,
}

/// A mode with servers, ready to be measured.
pub struct Driven {
    program: String,
    /// What is measured.
    pub mode: Box<dyn Mode>,
    /// The published port, and the server's.
    port: u16,
    inside: Background,
    outside: Background,
    /// Measurements so far: each has a client address of its own, where it comes from outside.
    turn: u32,
}

impl Driven {
    /// Starts servers in the mode's container `a` and outside, with this very program.
    pub fn start(mode: Box<dyn Mode>, port: u16) -> Result<Driven> {
        // Found by other processes also where a lab has hidden the directory.
        let program = format!("/proc/{}/exe", std::process::id());
        Driven::with(program, mode, port)
    }

    /// The same with a load generator at a path, as labs see it.
    pub fn with(program: String, mode: Box<dyn Mode>, port: u16) -> Result<Driven> {
        let place = mode.place();
        let inside = serve(&program, &place.a, Path::SameNetwork.routed(port))?;
        let outside = serve(&program, &place.outside, Path::Outwards.routed(port))?;
        Ok(Driven {
            program,
            mode,
            port,
            inside,
            outside,
            turn: 0,
        })
    }

    /// The load generator's, as the mode's namespaces see it.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// What the path's clients dial.
    ///
    /// # Errors
    /// If the mode does not have the path.
    pub fn dialled(&self, path: Path) -> Result<SocketAddr> {
        self.mode.dial(path, self.port)
    }

    /// Whether the path is there: a question over UDP and one over TCP are answered.
    ///
    /// # Errors
    /// If not; the text says why.
    pub fn probe(&mut self, path: Path) -> Result<()> {
        for work in ["udp-new-flows", "tcp-crr"] {
            let mut found = self.probe_once(work, path);
            for _ in 1..PROBES {
                if found.is_ok() {
                    break;
                }
                found = self.probe_once(work, path);
            }
            found?;
        }
        Ok(())
    }

    fn probe_once(&mut self, work: &'static str, path: Path) -> Result<()> {
        let outcome = self.outcome(&Job {
            work,
            path,
            cores: Cores::Same,
            during: Duration::from_secs(1),
            limit: 10,
        })?;
        let Outcome { lost, wrong, .. } = outcome;
        ensure!(
            lost + wrong == 0,
            "{work}: {lost} of 10 lost, {wrong} wrong"
        );
        Ok(())
    }

    /// Measures once.
    ///
    /// # Errors
    /// If something arrived damaged, or the work cannot be done at all.
    pub fn sample(&mut self, job: &Job, group: Group, scale: u64, round: u32) -> Result<Sample> {
        let outcome = self.outcome(job)?;
        let (value, unit) = match job.cores {
            // A duration is what two cores are for: half of the operations were faster.
            Cores::Different => {
                let latency = outcome.latency.as_ref().context("work without latency")?;
                (latency.p50 as f64, Unit::Nanoseconds)
            }
            Cores::Any | Cores::Same => (outcome.value, outcome.unit),
        };
        Ok(Sample {
            row: Row {
                group,
                work: job.work.to_owned(),
                path: job.path.name().to_owned(),
                scale,
                cores: job.cores,
                unit,
            },
            mode: self.mode.name().to_owned(),
            round,
            value,
            latency: outcome.latency,
            lost: outcome.lost,
        })
    }

    /// Does the work once; what the client told.
    pub fn outcome(&mut self, job: &Job) -> Result<Outcome> {
        let doing = || format!("{} {} {}", self.mode.name(), job.work, job.path.name());
        let (_, work, connections) = WORKS
            .into_iter()
            .find(|(name, ..)| *name == job.work)
            .with_context(doing)?;
        let seconds = job.during.as_secs_f64();
        let source = match job.path {
            Path::PublishedOutside => format!(" --source {}", topology::client_address(self.turn)),
            _ => String::new(),
        };
        let warm_up = match job.limit {
            u64::MAX => seconds * WARM_UP,
            // All that it does counts.
            _ => 0.0,
        };
        let to = self.dialled(job.path)?;
        let outcome = self.client(
            job,
            &format!(
                "--work {} --connections {connections} --to {to} --seconds {seconds} --warm-up {warm_up}{source} --limit {}",
                name(work),
                job.limit
            ),
        );
        let outcome = outcome.with_context(doing)?;
        self.turn += 1;
        ensure!(outcome.wrong == 0, "{}: damaged: {outcome:?}", doing());
        Ok(outcome)
    }

    /// Fills the mode's table with established flows to the published port, whose ends have gone
    /// without a word.
    pub fn hold(&mut self, flows: u64) -> Result<()> {
        let path = Path::PublishedOutside;
        // A few more: a busy machine answers some too late.
        let tries = flows + flows / 100;
        let job = Job {
            work: "tcp-hold",
            path,
            cores: Cores::Different,
            during: Duration::from_secs(120),
            limit: tries,
        };
        let to = self.dialled(path)?;
        let source = topology::holder_address();
        let outcome = self.client(
            &job,
            &format!(
                "--work tcp-hold --to {to} --source {source} --sources 64 --seconds 120 --warm-up 0 --limit {tries}"
            ),
        )?;
        ensure!(
            outcome.done >= flows,
            "{} held {} of {flows} flows",
            self.mode.name(),
            outcome.done
        );
        Ok(())
    }

    fn client(&self, job: &Job, options: &str) -> Result<Outcome> {
        let server = if job.path.leads_out() {
            &self.outside
        } else {
            &self.inside
        };
        let core = match job.cores {
            Cores::Different => cores::second(),
            Cores::Any | Cores::Same => cores::FIRST,
        };
        pin_process(server.pid(), core)?;
        let client = job.path.client(self.mode.place());
        let line = format!(
            "{} load client --cpu {} {options}",
            self.program,
            cores::FIRST
        );
        let finished = client.run_within(&line, job.during + PATIENCE)?;
        let said = finished.stderr.trim();
        ensure!(finished.succeeded(), "{}", said.trim_start_matches(ERROR));
        serde_json::from_str(&finished.stdout).context("the client's outcome")
    }
}

fn serve(program: &str, namespace: &Namespace, at: SocketAddr) -> Result<Background> {
    let mut server = namespace.spawn(&format!("{program} load server --listen {at}"))?;
    server.wait_for("ready", START)?;
    Ok(server)
}

fn name(work: Work) -> String {
    work.to_possible_value()
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default()
}
