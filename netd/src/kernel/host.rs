//! The real [`Kernel`]: the network stack ([`Stack`]) and BPF ([`Bpf`]) of one host. What does not go
//! over netlink blocks for as long as the kernel takes, which is never for something to happen;
//! between the objects of a long list other tasks get their turn.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use netd_common::{
    abi::{endpoint::EndpointStats, flow::Flow},
    packet::flow::Timeouts,
};
use tokio::{sync::mpsc, task::yield_now};

use super::{
    Collected, Kernel, KernelError,
    bpf::{Bpf, BpfOptions, Flush, MapReader, OpenReport},
    describe,
    events::{self, Event},
    netlink::diag,
    spent::{Kind, Meter, Spent, of_action, of_key},
    stack::Stack,
    sysctl,
};
use crate::{
    model::{IfName, facts::BoundSocket},
    plan::{Action, Announcement, HostFacts, Key, Observed, facts::NameServers},
};

/// Keys that are read before other tasks get their turn.
const TURN: usize = 64;

/// Where netd is on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostOptions {
    /// Namespaces, sandboxes' files, notes: `/run/netd`.
    pub run_dir: PathBuf,
    /// Pins: `/sys/fs/bpf/netd`.
    pub bpffs: PathBuf,
    /// Uplinks, where not every interface is to be one.
    pub uplinks: Vec<IfName>,
    /// Load the programs that log.
    pub log: bool,
}

/// See the module.
pub struct HostKernel {
    stack: Stack,
    bpf: Bpf,
    spent: Spent,
}

impl HostKernel {
    /// Opens everything, in the calling thread's network namespace, which is the host's: all use
    /// must be from threads in it, and within one tokio runtime with I/O and timers. Attaches and
    /// changes nothing.
    pub fn open(options: &HostOptions) -> Result<(HostKernel, OpenReport), KernelError> {
        let failed = |doing: &str, error: io::Error| KernelError {
            doing: format!("{doing} {}", options.run_dir.display()),
            source: error.into(),
        };
        std::fs::create_dir_all(&options.run_dir).map_err(|e| failed("make", e))?;
        let stack = Stack::open(&options.run_dir, options.uplinks.clone())
            .map_err(|e| failed("open netlink for", e))?;
        let (bpf, report) = Bpf::open(&BpfOptions {
            bpffs: options.bpffs.clone(),
            log: options.log,
        })?;
        let kernel = HostKernel {
            stack,
            bpf,
            spent: Spent::default(),
        };
        Ok((kernel, report))
    }

    /// Begins to tell what changes, on the host and in the sandboxes that are known by then or made
    /// later.
    pub fn events(&self) -> io::Result<mpsc::Receiver<Event>> {
        events::subscribe(self.stack.numbers())
    }

    /// BPF, for what is only told: loaded and attached programs.
    pub fn bpf(&mut self) -> &mut Bpf {
        &mut self.bpf
    }

    /// The network stack, for what is only told: changed sysctls.
    pub fn stack(&mut self) -> &mut Stack {
        &mut self.stack
    }

    async fn observe_one(&mut self, key: &Key, found: &mut Observed) -> Result<(), KernelError> {
        match key {
            Key::Namespace(_)
            | Key::Link(..)
            | Key::Fdb(..)
            | Key::Neighbour(..)
            | Key::Route(..)
            | Key::Sysctl(..)
            | Key::Files(_) => self.stack.observe(key, found).await?,
            Key::Attachment(attachment) => {
                if self.bpf.attached(attachment)? {
                    found.attachments.insert(attachment.clone());
                }
            }
            Key::Entry(key) => {
                found
                    .entries
                    .extend(self.bpf.entry(key)?.map(|entry| (*key, entry)));
            }
        }
        Ok(())
    }

    async fn execute_one(&mut self, action: &Action) -> Result<(), KernelError> {
        match action {
            Action::MakeNamespace(_)
            | Action::JoinNamespace { .. }
            | Action::RemoveNamespace(_)
            | Action::CreateBridge { .. }
            | Action::CreateVeth { .. }
            | Action::CreateVlan { .. }
            | Action::CreateDummy { .. }
            | Action::CreateMacvlan { .. }
            | Action::DeleteLink { .. }
            | Action::SetMaster { .. }
            | Action::SetUp { .. }
            | Action::SetMtu { .. }
            | Action::SetMac { .. }
            | Action::ClosePort(_)
            | Action::AddAddress { .. }
            | Action::RemoveAddress { .. }
            | Action::AddRoute { .. }
            | Action::RemoveRoute { .. }
            | Action::AddNeighbour { .. }
            | Action::RemoveNeighbour { .. }
            | Action::AddFdb { .. }
            | Action::SetSysctl { .. }
            | Action::WriteFiles(_)
            | Action::RemoveFiles(_) => self.stack.execute(action).await,
            Action::Attach(attachment) => self.bpf.attach(attachment),
            Action::Detach(attachment) => self.bpf.detach(attachment),
            Action::Put(entry) => self.bpf.put(entry),
            Action::Delete(key) => self.bpf.delete(key),
            Action::EndFlows(ports) => self.flush(Flush::to(ports)).await.map(drop),
        }
    }

    /// Deletes flows; how many halves there were.
    async fn flush(&mut self, mut flush: Flush) -> Result<u64, KernelError> {
        while self.bpf.flush(&mut flush)? {
            yield_now().await;
        }
        Ok(flush.halves())
    }
}

impl Kernel for HostKernel {
    type Reader = MapReader;

    fn reader(&self) -> Result<MapReader, KernelError> {
        self.bpf.reader()
    }

    async fn observe(&mut self, keys: &BTreeSet<Key>) -> Result<Observed, KernelError> {
        let mut found = Observed::default();
        let Some(first) = keys.first() else {
            return Ok(found);
        };
        let mut meter = Meter::start(of_key(first));
        for (number, key) in keys.iter().enumerate() {
            meter.turn(of_key(key), &mut self.spent);
            if number % TURN == TURN - 1 {
                yield_now().await;
            }
            self.observe_one(key, &mut found).await?;
        }
        meter.stop(&mut self.spent);
        Ok(found)
    }

    async fn observe_all(&mut self) -> Result<Observed, KernelError> {
        let mut found = Observed::default();
        let pairs = self.stack.observe_host(&mut found).await?;
        for place in self.stack.inside()? {
            let inside = self.stack.observe_inside(place, &pairs, &mut found);
            inside.await?;
        }
        yield_now().await;
        for attachment in self.bpf.attachments()? {
            if self.bpf.attached(&attachment)? {
                found.attachments.insert(attachment);
            }
        }
        yield_now().await;
        let entries = self.bpf.entries()?;
        found
            .entries
            .extend(entries.into_iter().map(|entry| (entry.key(), entry)));
        Ok(found)
    }

    async fn execute(&mut self, action: &Action) -> Result<(), KernelError> {
        let meter = Meter::start(of_action(action));
        let done = self.execute_one(action).await;
        meter.stop(&mut self.spent);
        done
    }

    async fn facts(&mut self) -> Result<HostFacts, KernelError> {
        self.stack.facts().await
    }

    fn name_servers(&mut self) -> Result<NameServers, KernelError> {
        super::facts::name_servers().map_err(|error| KernelError {
            doing: "read the host's resolv.conf".to_owned(),
            source: error.into(),
        })
    }

    fn without_ipv6(&mut self, namespace: &Path) -> Result<bool, KernelError> {
        let meter = Meter::start(Kind::Namespaces);
        let off = sysctl::without_ipv6(namespace);
        meter.stop(&mut self.spent);
        off.map_err(|error| KernelError {
            doing: format!("look whether {} speaks IPv6", namespace.display()),
            source: error,
        })
    }

    fn announce(&mut self, announcement: &Announcement) -> Result<bool, KernelError> {
        let meter = Meter::start(Kind::Namespaces);
        let told = self.stack.announce(announcement);
        meter.stop(&mut self.spent);
        told.map_err(|source| {
            let at = describe::place(announcement.place);
            KernelError {
                doing: format!("announce the addresses of {} in {at}", announcement.link),
                source,
            }
        })
    }

    fn sockets(&mut self) -> Result<Vec<BoundSocket>, KernelError> {
        let meter = Meter::start(Kind::Netlink);
        let sockets = diag::sockets();
        meter.stop(&mut self.spent);
        sockets.map_err(|error| KernelError {
            doing: "read the host's sockets".to_owned(),
            source: error.into(),
        })
    }

    async fn flush_flows(&mut self) -> Result<u64, KernelError> {
        self.flush(Flush::all()).await
    }

    fn collect_flows(
        &mut self,
        budget: u32,
        timeouts: &Timeouts,
        alive: &dyn Fn(&Flow) -> bool,
    ) -> Result<Collected, KernelError> {
        self.bpf.collect_flows(budget, timeouts, alive)
    }

    fn endpoint_stats(&mut self, endpoint: u32) -> Result<Option<EndpointStats>, KernelError> {
        self.bpf.endpoint_stats(endpoint)
    }

    fn spent(&self) -> Spent {
        self.spent
    }
}
