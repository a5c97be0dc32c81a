//! A lab's shape: a host, an outside and an attacker on one L2 segment. The outside is the host's
//! default gateway and has a public address behind it, so that packets to it cross a next hop.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result};

use super::{agent::Agent, namespace::Namespace, process::Finished, strays, world::World};

/// Addresses of the lab's hosts, from the ranges for benchmarks and documentation
/// (RFC 2544, 3849, 5737).
pub mod addresses {
    /// The host's own, on its uplink `eth0`.
    pub const HOST: &str = "198.18.0.2";
    /// The same, IPv6.
    pub const HOST6: &str = "2001:db8:18::2";
    /// The outside, on the host's segment; the host's default gateway.
    pub const OUTSIDE: &str = "198.18.0.1";
    /// The same, IPv6.
    pub const OUTSIDE6: &str = "2001:db8:18::1";
    /// The outside's other address, behind the gateway.
    pub const PUBLIC: &str = "203.0.113.10";
    /// The same, IPv6.
    pub const PUBLIC6: &str = "2001:db8:cb::10";
    /// The attacker, on the host's segment.
    pub const ATTACKER: &str = "198.18.0.66";
    /// The same, IPv6.
    pub const ATTACKER6: &str = "2001:db8:18::66";
}

/// A host, an outside and an attacker, as long as this value lives.
pub struct Lab {
    name: String,
    host: Namespace,
    outside: Namespace,
    attacker: Namespace,
    segment: Namespace,
    // Last: everything else lives in it.
    world: World,
}

/// Labs of one process.
static COUNT: AtomicU32 = AtomicU32::new(0);

impl Lab {
    /// A lab with the `netd` that was built beside the running test.
    ///
    /// # Panics
    /// If it cannot be made: without root, without netd's binary.
    #[track_caller]
    pub fn new(name: &str) -> Lab {
        match agent_binary().and_then(|netd| Lab::create(name, &netd)) {
            Ok(lab) => lab,
            Err(error) => panic!("no lab: {error:#}"),
        }
    }

    /// A lab with the `netd` at a path.
    pub fn create(name: &str, netd: &Path) -> Result<Lab> {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{name}-{}-{number}", std::process::id());
        let resolv_conf = format!("search example.test\nnameserver {}\n", addresses::PUBLIC);
        let world = World::create("lab", netd, &resolv_conf)?;
        let namespace = |label: &str| Namespace::create(world.worker(), label, world.environment());
        let lab = Lab {
            host: namespace("host")?,
            outside: namespace("outside")?,
            attacker: namespace("attacker")?,
            segment: namespace("segment")?,
            name,
            world,
        };
        lab.connect().context("the lab's links")?;
        Ok(lab)
    }

    fn connect(&self) -> Result<()> {
        use addresses::{ATTACKER, ATTACKER6, HOST, HOST6, OUTSIDE, OUTSIDE6, PUBLIC, PUBLIC6};
        let segment = &self.segment;
        segment.run_checked("ip link add segment type bridge mcast_snooping 0")?;
        segment.run_checked("ip link set segment up")?;
        for (namespace, v4, v6) in [
            (&self.host, HOST, HOST6),
            (&self.outside, OUTSIDE, OUTSIDE6),
            (&self.attacker, ATTACKER, ATTACKER6),
        ] {
            let port = namespace.name();
            segment.run_checked(&format!(
                "ip link add {port} type veth peer name eth0 netns {}",
                namespace.path().display()
            ))?;
            segment.run_checked(&format!("ip link set {port} master segment up"))?;
            // A machine that forwards would hand that down to its new namespaces.
            namespace.sysctl("net.ipv4.ip_forward", "0")?;
            // Else link-local addresses are tentative for the first second, and a listing changes.
            namespace.sysctl("net.ipv6.conf.eth0.accept_dad", "0")?;
            namespace.run_checked("ip link set eth0 up")?;
            namespace.run_checked(&format!("ip addr add {v4}/24 dev eth0"))?;
            namespace.run_checked(&format!("ip addr add {v6}/64 dev eth0 nodad"))?;
        }
        let outside = &self.outside;
        outside.run_checked(&format!("ip addr add {PUBLIC}/32 dev lo"))?;
        outside.run_checked(&format!("ip addr add {PUBLIC6}/128 dev lo nodad"))?;
        for namespace in [&self.host, &self.attacker] {
            namespace.run_checked(&format!("ip route add default via {OUTSIDE}"))?;
            namespace.run_checked(&format!("ip -6 route add default via {OUTSIDE6}"))?;
        }
        Ok(())
    }

    /// The lab's name: the given one, with the process id and a number.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where netd runs.
    pub fn host(&self) -> &Namespace {
        &self.host
    }

    /// The world that the host's uplink leads to.
    pub fn outside(&self) -> &Namespace {
        &self.outside
    }

    /// A neighbour of the host's with bad intentions.
    pub fn attacker(&self) -> &Namespace {
        &self.attacker
    }

    /// The switch between them: the bridge `segment`, whose ports are called as what they lead to.
    pub fn segment(&self) -> &Namespace {
        &self.segment
    }

    /// Files as the lab sees them.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Starts `netd run` with these arguments and waits until it is ready.
    ///
    /// # Panics
    /// If it does not get ready.
    #[track_caller]
    pub fn agent(&self, arguments: &str) -> Agent {
        match self.start_agent(arguments) {
            Ok(agent) => agent,
            Err(error) => panic!("{error:#}"),
        }
    }

    /// The same, with the failure as a value.
    pub fn start_agent(&self, arguments: &str) -> Result<Agent> {
        Agent::start(&self.host, arguments)
    }

    /// Runs `netd` on the host, which has to succeed; what it printed.
    #[track_caller]
    pub fn netd(&self, arguments: &str) -> String {
        self.host.ok(&format!("netd {arguments}"))
    }

    /// Runs `netd` on the host, which has to refuse; how it ended.
    #[track_caller]
    pub fn netd_refuses(&self, arguments: &str) -> Finished {
        self.host.fails(&format!("netd {arguments}"))
    }

    /// `netd inspect`-like output as JSON.
    #[track_caller]
    pub fn netd_json(&self, arguments: &str) -> serde_json::Value {
        let text = self.netd(arguments);
        match serde_json::from_str(&text) {
            Ok(value) => value,
            Err(error) => panic!("netd {arguments} printed no JSON ({error}):\n{text}"),
        }
    }

    /// The namespace of a sandbox, by the path that netd tells.
    ///
    /// # Panics
    /// If netd does not know it.
    #[track_caller]
    pub fn sandbox(&self, name: &str) -> Namespace {
        match self.open_sandbox(name) {
            Ok(namespace) => namespace,
            Err(error) => panic!("sandbox {name}: {error:#}"),
        }
    }

    /// The same, with the failure as a value.
    pub fn open_sandbox(&self, name: &str) -> Result<Namespace> {
        let text = self
            .host
            .run_checked(&format!("netd sandbox inspect {name}"))?;
        let value: serde_json::Value = serde_json::from_str(&text)?;
        let path = value[0]["SandboxKey"]
            .as_str()
            .context("it has no SandboxKey")?;
        self.open_namespace(name, Path::new(path))
    }

    /// A namespace that somebody else made in the lab, such as a container engine: by a path as the
    /// lab sees it.
    pub fn open_namespace(&self, name: &str, path: &Path) -> Result<Namespace> {
        Namespace::open(self.world.worker(), name, path, self.world.environment())
    }

    /// A new namespace beside the host's, connected to nothing: for `--netns` and for tests that
    /// build their own links.
    pub fn namespace(&self, name: &str) -> Result<Namespace> {
        Namespace::create(self.world.worker(), name, self.world.environment())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let mut networks = self.world.sandbox_namespaces();
        networks.extend([&self.host, &self.outside, &self.attacker].map(Namespace::inode));
        strays::kill(self.world.inode(), &networks);
    }
}

/// The agent that labs start: what `NETD_BIN` names, else `netd` beside this program or, for a test,
/// in the directory above its own.
pub fn agent_binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("NETD_BIN") {
        return Ok(path.into());
    }
    let own = std::env::current_exe()?;
    let mut dirs = own.ancestors().skip(1).take(2);
    let found = dirs.find_map(|dir| Some(dir.join("netd")).filter(|path| path.is_file()));
    found.with_context(|| format!("no netd beside {}: build it first", own.display()))
}
