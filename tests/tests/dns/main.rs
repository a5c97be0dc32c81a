//! Names in sandboxes, asked by real clients: what the datapath answers by itself, what the agent
//! answers, what goes to upstreams, and what does not. Needs root.

mod agent;
mod clients;
mod docker;
mod forwarding;
mod load;
mod names;
mod sockets;
mod upstream;
mod ways;

use netd_tests::lab::{Agent, Lab};

/// A lab with a running agent, and sandboxes `web` and `db` on the network `app`.
fn app(name: &str) -> (Lab, Agent) {
    let lab = Lab::new(name);
    let agent = lab.agent("");
    lab.netd("network create app");
    for sandbox in ["web", "db"] {
        lab.netd(&format!("sandbox create --name {sandbox} --network app"));
    }
    (lab, agent)
}

/// The host's resolv.conf as the lab has it: bound over the machine's own, or where that leads.
fn write_resolv_conf(lab: &Lab, text: &str) {
    let target = std::fs::canonicalize("/etc/resolv.conf").expect("a resolv.conf");
    let path = if target.starts_with("/run") {
        target.to_string_lossy().into_owned()
    } else {
        "/run/lab/resolv.conf".to_owned()
    };
    lab.world().write(&path, text).expect("a file");
}

/// What a program prints that runs in a sandbox and has to succeed.
#[track_caller]
fn inside(lab: &Lab, sandbox: &str, command: &str) -> String {
    lab.host().ok(&format!("netd exec {sandbox} -- {command}"))
}

/// What `dig` tells of a question asked in a sandbox.
#[track_caller]
fn dig(lab: &Lab, sandbox: &str, question: &str) -> Dug {
    let command = format!("dig +time=6 +tries=1 {question}");
    let text = inside(lab, sandbox, &command);
    Dug::parse(&text).unwrap_or_else(|| panic!("{command}:\n{text}"))
}

/// An answer as `dig` shows it.
#[derive(Debug, PartialEq, Eq)]
struct Dug {
    /// `NOERROR`, …
    status: String,
    /// `qr rd ra`, …
    flags: String,
    /// The answers' names, as they are written, each once.
    names: Vec<String>,
    /// The answers' data, sorted.
    answers: Vec<String>,
    /// The answers' times to live in seconds, each once.
    ttls: Vec<u32>,
    /// How it came.
    over_tcp: bool,
}

impl Dug {
    fn parse(text: &str) -> Option<Dug> {
        let after = |mark: &str, end: &str| {
            let (_, rest) = text.split_once(mark)?;
            Some(rest.split_once(end)?.0.to_owned())
        };
        let records: Vec<Vec<&str>> = text
            .lines()
            .filter(|line| !line.starts_with(';') && !line.trim().is_empty())
            .map(|line| line.split_whitespace().collect())
            .collect();
        let mut answers: Vec<String> = records.iter().map(|record| record[4..].join(" ")).collect();
        answers.sort();
        let mut names: Vec<String> = records.iter().map(|record| record[0].to_owned()).collect();
        names.sort();
        names.dedup();
        let mut ttls: Vec<u32> = records
            .iter()
            .filter_map(|record| record[1].parse().ok())
            .collect();
        ttls.sort_unstable();
        ttls.dedup();
        Some(Dug {
            status: after("status: ", ",")?,
            flags: after(";; flags: ", ";")?,
            names,
            answers,
            ttls,
            over_tcp: text.contains("(TCP)"),
        })
    }
}

/// An address of a sandbox on a network, as `inspect` tells it.
#[track_caller]
fn address(lab: &Lab, sandbox: &str, network: &str, field: &str) -> String {
    let shape = lab.netd_json(&format!("sandbox inspect {sandbox}"));
    let address = shape[0]["Networks"][network][field].as_str();
    address
        .unwrap_or_else(|| panic!("no {field} in {shape}"))
        .to_owned()
}
