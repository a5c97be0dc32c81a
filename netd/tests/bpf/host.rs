//! A test's own host: private namespaces, a bpffs, a veth pair with a neighbour behind it.

use std::{
    net::Ipv4Addr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use aya::programs::{SchedClassifier, TcAttachType};
use netd::{
    kernel::bpf::{Bpf, BpfOptions, OpenReport},
    plan::{Attachment, TcHook},
};
use netd_common::abi::Program;
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::geteuid,
};

/// The host; its namespaces belong to the test's thread.
pub struct Host {
    pub bpffs: PathBuf,
}

impl Host {
    /// Enters new namespaces. Panics where that is not allowed.
    pub fn new() -> Host {
        assert!(
            geteuid().is_root(),
            "tests of the BPF layer need root: run them as root"
        );
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).expect("new namespaces");
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("own mounts");
        let own = env!("CARGO_TARGET_TMPDIR");
        mount(Some("tmpfs"), own, Some("tmpfs"), MsFlags::empty(), none).expect("own tmpfs");
        run("ip", &["link", "set", "lo", "up"]);
        Host {
            bpffs: PathBuf::from(own).join("bpf"),
        }
    }

    pub fn options(&self) -> BpfOptions {
        BpfOptions {
            bpffs: self.bpffs.clone(),
            log: false,
        }
    }

    pub fn open(&self) -> (Bpf, OpenReport) {
        Bpf::open(&self.options()).expect("open the BPF layer")
    }

    /// A pin of the current version.
    pub fn pin(&self, below: &str) -> PathBuf {
        let version = format!("v{}", netd_common::abi::ABI_VERSION);
        self.bpffs.join(version).join(below)
    }
}

/// A process in a namespace of its own, at the other end of a veth pair.
pub struct Neighbour {
    process: Child,
}

impl Neighbour {
    /// `link` (10.9.0.1/24) here, `eth0` (10.9.0.2/24) there.
    pub fn behind(link: &str) -> Neighbour {
        let process = Command::new("unshare")
            .args(["--net", "sleep", "600"])
            .stdin(Stdio::null())
            .spawn()
            .expect("start unshare");
        let neighbour = Neighbour { process };
        neighbour.wait_for_namespace();
        let pid = neighbour.process.id().to_string();
        run(
            "ip",
            &[
                "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", &pid,
            ],
        );
        run("ip", &["addr", "add", "10.9.0.1/24", "dev", link]);
        run("ip", &["link", "set", link, "up"]);
        neighbour.run("ip", &["addr", "add", "10.9.0.2/24", "dev", "eth0"]);
        neighbour.run("ip", &["link", "set", "eth0", "up"]);
        neighbour
    }

    /// Runs a command there; what it printed.
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let pid = self.process.id().to_string();
        let mut all = vec!["--target", &pid, "--net", program];
        all.extend(arguments);
        run("nsenter", &all)
    }

    /// Pings this side from there, `count` times every 2 ms; ends by itself.
    pub fn ping(&self, count: u32) -> Child {
        let target = Ipv4Addr::new(10, 9, 0, 1).to_string();
        Command::new("nsenter")
            .args(["--target", &self.process.id().to_string(), "--net"])
            .args(["ping", "-q", "-i", "0.002", "-c", &count.to_string()])
            .arg(target)
            .stdout(Stdio::piped())
            .spawn()
            .expect("start ping")
    }

    fn wait_for_namespace(&self) {
        let theirs = format!("/proc/{}/ns/net", self.process.id());
        eventually("the neighbour's namespace", || {
            let ours = std::fs::read_link("/proc/thread-self/ns/net").expect("own namespace");
            std::fs::read_link(&theirs).is_ok_and(|link| link != ours)
        });
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What `ping -q` counted: sent and received.
pub fn ping_counts(ping: Child) -> (u32, u32) {
    let output = ping.wait_with_output().expect("ping's output");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text
        .lines()
        .find(|line| line.contains("packets transmitted"))
        .unwrap_or_else(|| panic!("ping said: {text}"));
    let mut numbers = line
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse().ok());
    let sent = numbers.next().expect("sent");
    let received = numbers.next().expect("received");
    (sent, received)
}

/// Runs a command here; what it printed. Panics when it fails.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits up to ten seconds for what the kernel does after a grace period.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "did not happen in 10 s: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// `from_uplink` or `to_uplink` at a link: programs that pass on what is not netd's.
pub fn uplink(link: &str, hook: TcHook) -> Attachment {
    Attachment::Tc {
        link: link.parse().expect("an interface name"),
        hook,
        program: match hook {
            TcHook::Ingress => Program::FromUplink,
            TcHook::Egress => Program::ToUplink,
        },
    }
}

/// Programs of netd at a hook, by either mechanism.
pub fn programs_at(link: &str, hook: TcHook) -> usize {
    tcx_count(link, hook) + clsact_count(link, hook)
}

/// Programs that tcx runs at a hook; none where the kernel has no tcx.
pub fn tcx_count(link: &str, hook: TcHook) -> usize {
    let hook = match hook {
        TcHook::Ingress => TcAttachType::Ingress,
        TcHook::Egress => TcAttachType::Egress,
    };
    let here = SchedClassifier::query_tcx(link, hook);
    here.map_or(0, |(_, programs)| programs.len())
}

/// Filters of netd at a hook.
pub fn clsact_count(link: &str, hook: TcHook) -> usize {
    let side = match hook {
        TcHook::Ingress => "ingress",
        TcHook::Egress => "egress",
    };
    let text = run("tc", &["filter", "show", "dev", link, side]);
    text.matches("handle 0x6e64").count()
}
