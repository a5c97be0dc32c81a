//! The resolvers compared, each with a client beside it that asks as an application does: where its
//! `/etc/resolv.conf` points.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use netd_tests::lab::{Agent, Background, Lab, Namespace, addresses};

use super::upstream::Upstream;
use crate::load::pin_process;

/// Where Debian and others keep what Podman starts.
const AARDVARK: [&str; 2] = [
    "/usr/lib/podman/aardvark-dns",
    "/usr/libexec/podman/aardvark-dns",
];
/// The directory of aardvark-dns's configuration, in its lab.
const CONFIG: &str = "/run/aardvark";
/// Its network: Podman's own first choice.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 89, 0, 1);
/// When a resolver that was started should answer.
const START: Duration = Duration::from_secs(10);

/// A resolver that knows some names and forwards others to an upstream outside, and a client.
pub struct Bed {
    /// As samples name it.
    pub mode: String,
    /// The names that it answers itself, with their addresses.
    pub names: Vec<(String, Ipv4Addr)>,
    client: Namespace,
    server: SocketAddr,
    resolver: Vec<u32>,
    upstream: Upstream,
    _agent: Option<Agent>,
    _started: Option<Background>,
    // Last: everything else lives in it.
    _lab: Option<Lab>,
}

impl Bed {
    /// A resolver that others hold, with a client in one of its containers. Its processes are
    /// `resolver`; the upstream is served by the outside of `lab`.
    pub fn over(
        mode: &str,
        lab: &Lab,
        names: Vec<(String, Ipv4Addr)>,
        client: Namespace,
        server: SocketAddr,
        resolver: Vec<u32>,
    ) -> Result<Bed> {
        Ok(Bed {
            mode: mode.to_owned(),
            names,
            client,
            server,
            resolver,
            upstream: Upstream::start(lab.outside(), addresses::PUBLIC.parse()?)?,
            _agent: None,
            _started: None,
            _lab: None,
        })
    }

    /// A socket of the client's, connected to the name server.
    pub fn socket(&self) -> Result<UdpSocket> {
        let socket = self.client.udp_bind(SocketAddr::from(([0; 4], 0)))?;
        socket
            .connect(self.server)
            .with_context(|| format!("connecting to {}", self.server))?;
        Ok(socket)
    }

    /// Pins the resolver's processes.
    pub fn pin(&self, core: usize) -> Result<()> {
        self.resolver
            .iter()
            .try_for_each(|pid| pin_process(*pid, core))
    }

    /// Questions that reached the upstream so far.
    pub fn forwarded(&self) -> u64 {
        self.upstream.asked()
    }
}

/// netd with a network of so many sandboxes; the first one asks. Names are answered in the kernel,
/// others forwarded by the agent.
pub fn netd(binary: &Path, names: u16) -> Result<Bed> {
    let lab = Lab::create("dns-netd", binary)?;
    let upstream = Upstream::start(lab.outside(), addresses::PUBLIC.parse()?)?;
    let agent = lab.start_agent("")?;
    let host = lab.host();
    host.run_checked("netd network create --subnet 10.88.0.0/16 app")?;
    let mut known = Vec::new();
    for number in 1..=names {
        let address = address([10, 88], number);
        host.run_checked(&format!(
            "netd sandbox create --name s{number} --network app --ip {address}"
        ))?;
        known.push((format!("s{number}."), address));
    }
    Ok(Bed {
        mode: "netd".into(),
        names: known,
        client: lab.open_sandbox("s1")?,
        server: SocketAddr::from(([127, 0, 0, 11], 53)),
        resolver: vec![agent.pid()],
        upstream,
        _agent: Some(agent),
        _started: None,
        _lab: Some(lab),
    })
}

/// aardvark-dns, started as Podman's netavark starts it, with a network of so many containers; the
/// first one asks. Only that one has a namespace: the others are lines of the configuration, which is
/// all that aardvark-dns knows of containers.
pub fn aardvark(netd: &Path, names: u16) -> Result<Bed> {
    let program = AARDVARK
        .into_iter()
        .find(|path| Path::new(path).exists())
        .context("aardvark-dns is not installed (Debian: apt-get install aardvark-dns)")?;
    let lab = Lab::create("dns-aardvark", netd)?;
    let upstream = Upstream::start(lab.outside(), addresses::PUBLIC.parse()?)?;
    let client = bridge(&lab)?;
    let mut config = format!("{GATEWAY}\n");
    let mut known = Vec::new();
    for number in 1..=names {
        let address = address([10, 89], number);
        // Id, IPv4, IPv6, names: separated by blanks, the empty third included.
        config += &format!("{number:064x} {address}  s{number}\n");
        known.push((format!("s{number}."), address));
    }
    lab.world().write(&format!("{CONFIG}/app"), &config)?;
    let started = lab
        .host()
        .spawn(&format!("{program} --config {CONFIG} --port 53 run"))?;
    let pid = process(&lab, &started)?;
    Ok(Bed {
        mode: "aardvark-dns".into(),
        names: known,
        client,
        server: SocketAddr::from((GATEWAY, 53)),
        resolver: vec![pid],
        upstream,
        _agent: None,
        _started: Some(started),
        _lab: Some(lab),
    })
}

/// The process that serves: aardvark-dns goes to the background and writes down who stays.
fn process(lab: &Lab, started: &Background) -> Result<u32> {
    let deadline = Instant::now() + START;
    loop {
        let text = lab.world().read(&format!("{CONFIG}/aardvark.pid"));
        if let Some(pid) = text.ok().and_then(|text| text.trim().parse().ok()) {
            return Ok(pid);
        }
        if Instant::now() > deadline {
            bail!("aardvark-dns did not start: {}", started.stderr());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A plain bridge on the lab's host, with the client on it.
fn bridge(lab: &Lab) -> Result<Namespace> {
    let (host, client) = (lab.host(), lab.namespace("client")?);
    for line in [
        "ip link add podman1 type bridge".to_owned(),
        format!("ip addr add {GATEWAY}/16 dev podman1"),
        "ip link set podman1 up".to_owned(),
        format!(
            "ip link add veth1 type veth peer name eth0 netns {}",
            client.path().display()
        ),
        "ip link set veth1 master podman1 up".to_owned(),
    ] {
        host.run_checked(&line)?;
    }
    client.run_checked(&format!("ip addr add {}/16 dev eth0", address([10, 89], 1)))?;
    client.run_checked("ip link set eth0 up")?;
    client.run_checked(&format!("ip route add default via {GATEWAY}"))?;
    Ok(client)
}

/// The address of container `number`, above those of gateways.
fn address(prefix: [u8; 2], number: u16) -> Ipv4Addr {
    let [high, low] = (number + 10).to_be_bytes();
    Ipv4Addr::new(prefix[0], prefix[1], high, low)
}
