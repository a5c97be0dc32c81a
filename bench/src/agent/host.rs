//! A lab's host with an agent and as many sandboxes, with one endpoint each, as are wanted.

use std::{
    fs,
    os::unix::net::UnixStream,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use netd_tests::lab::{Background, Lab};
use nix::sys::signal::Signal;

use super::socket::{Answer, Socket};

/// Endpoints on one network: a Linux bridge has no more than 1,023 ports.
pub const NETWORK: u32 = 250;
/// The socket, as the lab sees it.
const SOCKET: &str = "/run/netd/netd.sock";
/// Pins, as the lab sees them.
const PINS: &str = "/sys/fs/bpf/netd";
/// How often it is tried whether the agent is ready: what a start is measured to.
const POLL: Duration = Duration::from_millis(1);
/// A start that takes longer has failed.
const READY: Duration = Duration::from_secs(300);
/// How long a command may take.
const COMMAND: Duration = Duration::from_secs(20);
/// What stands in the agent's log before how long reading the store took.
const READ_STORE: &str = "milliseconds=";
/// How long a stopped agent may take to end.
const END: Duration = Duration::from_secs(20);

/// See the module.
pub struct Host {
    agent: Option<Background>,
    socket: Option<Socket>,
    sandboxes: u32,
    networks: u32,
    // Last: the others live in it.
    lab: Lab,
}

/// What the agent has of the machine, octets.
#[derive(Clone, Copy, Debug)]
pub struct Settled {
    /// Resident pages.
    pub resident: u64,
    /// The same, shared pages divided among those who share them.
    pub proportional: u64,
    /// The most that was ever resident.
    pub peak: u64,
}

impl Host {
    /// A lab whose agent has made its default network and nothing else.
    pub fn start(name: &str, netd: &Path) -> Result<Host> {
        let lab = Lab::create(name, netd)?;
        let mut host = Host {
            agent: None,
            socket: None,
            sandboxes: 0,
            networks: 0,
            lab,
        };
        host.start_agent()?;
        Ok(host)
    }

    /// The lab.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// Sandboxes so far.
    pub fn sandboxes(&self) -> u32 {
        self.sandboxes
    }

    /// Makes sandboxes until there are as many.
    pub fn grow(&mut self, sandboxes: u32) -> Result<()> {
        while self.sandboxes < sandboxes {
            while self.networks <= self.sandboxes / NETWORK {
                let body = format!(r#"{{"name":"app{}"}}"#, self.networks);
                self.socket()?.change("POST", "/v1/networks", &body)?;
                self.networks += 1;
            }
            let (name, network) = (self.sandboxes, self.sandboxes / NETWORK);
            let body = format!(r#"{{"name":"s{name}","networks":[{{"network":"app{network}"}}]}}"#);
            self.socket()?.change("POST", "/v1/sandboxes", &body)?;
            self.sandboxes += 1;
        }
        Ok(())
    }

    /// Makes one more sandbox on the fullest network; `ports` as the API has them.
    pub fn create(&mut self, name: &str, ports: &str) -> Result<Answer> {
        let network = self.sandboxes.saturating_sub(1) / NETWORK;
        let body = format!(
            r#"{{"name":"{name}","networks":[{{"network":"app{network}"}}],"ports":[{ports}]}}"#
        );
        self.socket()?.change("POST", "/v1/sandboxes", &body)
    }

    /// Publishes ports of a sandbox that runs; `ports` as the API has them.
    pub fn publish(&mut self, name: &str, ports: &str) -> Result<Answer> {
        let path = format!("/v1/sandboxes/{name}/ports");
        let body = format!(r#"{{"ports":[{ports}]}}"#);
        self.socket()?.change("POST", &path, &body)
    }

    /// Unpublishes them; `ports` as the API has their host sides.
    pub fn unpublish(&mut self, name: &str, ports: &str) -> Result<Answer> {
        let path = format!("/v1/sandboxes/{name}/ports");
        let body = format!(r#"{{"ports":[{ports}]}}"#);
        self.socket()?.change("DELETE", &path, &body)
    }

    /// Makes networks `n0`, `n1`, … until there are as many, each with a subnet of its own.
    pub fn grow_networks(&mut self, networks: u32) -> Result<()> {
        while self.networks < networks {
            let [.., high, low] = self.networks.to_be_bytes();
            let body = format!(
                r#"{{"name":"n{}","subnets":[{{"subnet":"10.{high}.{low}.0/24"}}]}}"#,
                self.networks
            );
            self.socket()?.change("POST", "/v1/networks", &body)?;
            self.networks += 1;
        }
        Ok(())
    }

    /// Makes sandboxes `s0`, `s1`, … until there are as many. They are the host itself: records and
    /// files, but neither namespaces nor interfaces.
    pub fn grow_records(&mut self, sandboxes: u32) -> Result<()> {
        while self.sandboxes < sandboxes {
            self.create_record(&format!("s{}", self.sandboxes))?;
            self.sandboxes += 1;
        }
        Ok(())
    }

    /// Makes one more such sandbox.
    pub fn create_record(&mut self, name: &str) -> Result<Answer> {
        let body = format!(r#"{{"name":"{name}","networks":[{{"network":"host"}}]}}"#);
        self.socket()?.change("POST", "/v1/sandboxes", &body)
    }

    /// How long a command of netd's takes from its start to its end, and what it printed.
    pub fn command(&self, arguments: &[&str]) -> Result<(Duration, String)> {
        let words: Vec<String> = ["netd"]
            .iter()
            .chain(arguments)
            .map(|word| (*word).to_owned())
            .collect();
        let began = Instant::now();
        let ended = self.lab.host().spawn_words(words)?.wait(COMMAND)?;
        let took = began.elapsed();
        ensure!(ended.succeeded(), "{}", ended.describe());
        Ok((took, ended.stdout))
    }

    /// How long the agent took to read its store when it was started, as its log tells.
    pub fn read_store(&self) -> Result<Duration> {
        let agent = self.agent.as_ref().context("the agent is stopped")?;
        let log = agent.stdout() + &agent.stderr();
        let told = log.lines().find_map(|line| line.split_once(READ_STORE));
        let (_, milliseconds) = told.with_context(|| format!("no `{READ_STORE}` in {log}"))?;
        let milliseconds: f64 = milliseconds.trim().parse().context("milliseconds")?;
        Ok(Duration::try_from_secs_f64(milliseconds / 1e3)?)
    }

    /// Removes a sandbox.
    pub fn remove(&mut self, name: &str) -> Result<Answer> {
        let path = format!("/v1/sandboxes/{name}");
        self.socket()?.change("DELETE", &path, "")
    }

    /// Ends the agent as a service manager does, and starts another; from its exec (by way of
    /// `setpriv`, about a millisecond) until it is ready. The socket is there only then.
    pub fn restart(&mut self) -> Result<Duration> {
        self.stop_agent()?;
        self.start_agent()
    }

    /// The same after everything pinned was removed: maps are empty, no program is attached.
    pub fn restart_without_pins(&mut self) -> Result<Duration> {
        self.stop_agent()?;
        let removed = self.lab.host().on(|| fs::remove_dir_all(PINS));
        removed.with_context(|| format!("cannot remove {PINS}"))?;
        self.start_agent()
    }

    /// What memory the agent has.
    pub fn memory(&self) -> Result<Settled> {
        let pid = self.agent.as_ref().context("the agent is stopped")?.pid();
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        Ok(Settled {
            resident: kilobytes(&rollup, "Rss:")?,
            proportional: kilobytes(&rollup, "Pss:")?,
            peak: kilobytes(&status, "VmHWM:")?,
        })
    }

    /// Each pinned map with the octets of kernel memory that it has, and its capacity.
    pub fn maps(&self) -> Result<Vec<(String, u64, u64)>> {
        let world = self.lab.world();
        let versions = world.list(PINS);
        let version = versions.first().context("no pins")?;
        let directory = format!("{PINS}/{version}/maps");
        let mut maps = Vec::new();
        for name in world.list(&directory) {
            let shown = self
                .lab
                .host()
                .run_checked(&format!("bpftool -j map show pinned {directory}/{name}"))?;
            let map: serde_json::Value = serde_json::from_str(&shown)?;
            let number = |field: &str| {
                let value = map[field].as_u64();
                value.with_context(|| format!("map {name}: no {field} in {shown}"))
            };
            let row = (
                name.clone(),
                number("bytes_memlock")?,
                number("max_entries")?,
            );
            maps.push(row);
        }
        ensure!(!maps.is_empty(), "no maps in {directory}");
        Ok(maps)
    }

    fn start_agent(&mut self) -> Result<Duration> {
        let host = self.lab.host();
        let began = Instant::now();
        let agent = self.agent.insert(host.spawn("netd run")?);
        let stream = loop {
            let connected = host.on(|| UnixStream::connect(SOCKET));
            match connected {
                Ok(stream) => break stream,
                Err(_) if agent.is_running() && began.elapsed() < READY => thread::sleep(POLL),
                Err(error) => {
                    let log = agent.stdout() + &agent.stderr();
                    return Err(error).context(format!("the agent did not get ready:\n{log}"));
                }
            }
        };
        let took = began.elapsed();
        self.socket = Some(Socket::new(stream)?);
        Ok(took)
    }

    fn stop_agent(&mut self) -> Result<()> {
        self.socket = None;
        let agent = self.agent.take().context("the agent is stopped")?;
        agent.signal(Signal::SIGTERM)?;
        let ended = agent.wait(END)?;
        ensure!(ended.succeeded(), "{}", ended.describe());
        Ok(())
    }

    fn socket(&mut self) -> Result<&mut Socket> {
        self.socket.as_mut().context("the agent is stopped")
    }
}

/// A line of /proc such as `Rss:      1234 kB`, in octets.
fn kilobytes(text: &str, name: &str) -> Result<u64> {
    let line = text.lines().find(|line| line.starts_with(name));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    let number = number.with_context(|| format!("no {name}"))?;
    Ok(number.parse::<u64>()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::kilobytes;

    #[test]
    fn lines_of_proc_are_read() {
        let text = "Name:\tnetd\nVmHWM:\t   1234 kB\n";
        assert_eq!(kilobytes(text, "VmHWM:").unwrap(), 1234 * 1024);
        assert!(kilobytes(text, "Rss:").is_err());
    }
}
