//! The control loop against the kernel and the store in memory.

mod announcing;
mod api;
mod drift;
mod faults;
mod formats;
mod ipam;
mod looks;
mod macvlan;
mod names;
mod requests;
mod rig;
mod shown;

use std::collections::BTreeMap;

use super::{Control, Failure, Parts, Store};
use crate::{
    dns::Table,
    frontends::api::events::EventLog,
    kernel::fake::FakeKernel,
    model::{
        Endpoint, HostFacts, Id, Network, Sandbox,
        facts::{AddressFacts, UplinkFacts},
    },
    plan::{Stage, Subjects, diff},
    state::{
        Change, Edit, Meta, Reply, Request, Settings, State,
        tests::{CountedIds, create, network, network_with, port, sandbox},
        view::{NetworkView, SandboxView},
    },
};

/// A store in memory.
#[derive(Default)]
pub struct MemoryStore {
    networks: BTreeMap<Id, Network>,
    sandboxes: BTreeMap<Id, Sandbox>,
    endpoints: BTreeMap<Id, Endpoint>,
    meta: Meta,
    /// The next save fails.
    fails: bool,
}

impl MemoryStore {
    /// The state that an agent finds that starts now.
    fn replay(&self) -> State {
        State::from_records(
            self.meta.clone(),
            self.networks.values().cloned(),
            self.sandboxes.values().cloned(),
            self.endpoints.values().cloned(),
        )
        .expect("what was saved fits together")
    }
}

fn save<T: Clone>(records: &mut BTreeMap<Id, T>, edits: &BTreeMap<Id, Edit<T>>) {
    for (id, edit) in edits {
        match &edit.after {
            Some(record) => records.insert(*id, record.clone()),
            None => records.remove(id),
        };
    }
}

impl Store for MemoryStore {
    fn save(&mut self, change: &Change) -> Result<(), anyhow::Error> {
        if std::mem::take(&mut self.fails) {
            anyhow::bail!("disk full");
        }
        save(&mut self.networks, &change.networks);
        save(&mut self.sandboxes, &change.sandboxes);
        save(&mut self.endpoints, &change.endpoints);
        self.meta = change.meta_after.clone();
        Ok(())
    }
}

/// An agent with a runtime to wait in.
pub struct Agent {
    control: Control<FakeKernel, MemoryStore>,
    runtime: tokio::runtime::Runtime,
}

impl Agent {
    /// A host with one uplink, started for the first time.
    fn new() -> Agent {
        let mut facts = HostFacts {
            local_ports: (32_768, 60_999),
            ..HostFacts::default()
        };
        let uplink = UplinkFacts {
            ifindex: 4_000_000,
            mtu: 1500,
            l3: false,
            v4: "198.18.0.1".parse().ok(),
            v6: None,
        };
        facts.uplinks.insert("up0".parse().unwrap(), uplink);
        facts.resolv_conf.servers = vec!["198.18.0.2".parse().unwrap()];
        facts.external_servers = facts.resolv_conf.servers.clone();
        let loopback = AddressFacts {
            link: "lo".parse().unwrap(),
            ifindex: 1,
            net: "::1/128".parse().unwrap(),
        };
        facts.addresses.insert(loopback.net.addr(), loopback);
        let mut kernel = FakeKernel::new(facts);
        kernel.add_foreign_link("up0");
        let mut agent = Agent::over(kernel, MemoryStore::default(), State::default());
        let report = agent.start();
        assert!(report.failures.is_empty(), "{:?}", report.failures);
        agent.check();
        agent
    }

    fn over(kernel: FakeKernel, store: MemoryStore, state: State) -> Agent {
        let ids = CountedIds::starting_at(store.meta.attaches * 1000 + 1);
        let control = Control::new(Parts {
            state,
            kernel,
            store,
            ids: Box::new(ids),
            settings: Settings::default(),
            table: Table::new(),
            namespaces: "/run/netd/netns".into(),
            upstreams: Vec::new(),
            events: EventLog::new(0),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        Agent {
            control,
            runtime: runtime.expect("a runtime"),
        }
    }

    /// Another agent over the same host and store, which has not started yet; what its kernel counts
    /// begins anew.
    fn successor(self) -> Agent {
        let (mut kernel, store) = (self.control.kernel, self.control.store);
        kernel.reset_counts();
        let state = store.replay();
        Agent::over(kernel, store, state)
    }

    fn start(&mut self) -> super::Report {
        let started = self.runtime.block_on(self.control.start(7));
        started.expect("the host can be read")
    }

    fn handle(&mut self, request: &Request) -> Result<Reply, Failure> {
        self.runtime.block_on(self.control.handle(request, 7))
    }

    fn does(&mut self, request: &Request) {
        self.handle(request).expect("the request is carried out");
        self.check();
    }

    fn settle(&mut self) {
        let settled = self.runtime.block_on(self.control.settle());
        settled.expect("the host can be read");
    }

    /// A whole round of the background walk.
    fn walk(&mut self) {
        for _ in 0..super::background::SLICES {
            let slice = self.runtime.block_on(self.control.background_slice());
            slice.expect("the host can be read");
        }
    }

    fn kernel(&mut self) -> &mut FakeKernel {
        self.control.kernel()
    }

    /// What a user sees.
    fn seen(&self) -> (Vec<NetworkView>, Vec<SandboxView>) {
        let state = self.control.state();
        (state.list_networks(), state.list_sandboxes())
    }

    /// State, store, kernel and names agree, and the kernel has nothing else.
    fn check(&mut self) {
        let control = &mut self.control;
        let saved = control.store.replay();
        assert!(saved == control.state, "the store's state differs");
        let subjects = Subjects::all(&control.state);
        let desired = control.desired(&subjects);
        assert!(
            desired.unidentified.is_empty(),
            "{:?}",
            desired.unidentified
        );
        let observed = &control.kernel.host;
        for stage in [Stage::Make, Stage::Finish] {
            let actions = diff(&desired, observed, stage);
            assert_eq!(actions, [], "what is missing or too much ({stage:?})");
        }
        let names = desired.names.len();
        let clients = desired.clients.len() + desired.insiders.len();
        assert_eq!(
            control.table.counts(),
            (names, clients),
            "the agent's names"
        );
    }
}
