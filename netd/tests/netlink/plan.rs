//! What the pure layers plan, the real kernel takes, and then shows as planned: nothing is left to do,
//! also for an agent that starts anew, and again after every kind of damage.

use std::{collections::BTreeMap, rc::Rc};

use netd::{
    kernel::{HostKernel, HostOptions, Kernel, netns},
    model::{
        HostFacts, Id,
        network::{Ipam, Owner},
        sandbox::DnsSettings,
    },
    plan::{Action, Identities, Place, Scene, Stage, Subjects, diff, entries, links},
    state::{
        Context, IdSource, Request, Settings, State,
        request::{DriverSpec, EndpointSpec, NetworkSpec, SandboxSpec},
    },
};

use tokio::runtime::Runtime;

use crate::{
    guest::Guest,
    scratch::{Scratch, run, run_in, scratch},
};

struct Ids(u8);

impl IdSource for Ids {
    fn next(&mut self) -> Id {
        self.0 += 1;
        Id([self.0; 32])
    }
}

/// State and kernel, as the daemon joins them.
struct Agent {
    state: State,
    facts: HostFacts,
    settings: Settings,
    identities: Identities,
    kernel: HostKernel,
    runtime: Rc<Runtime>,
}

fn open(host: &Scratch) -> HostKernel {
    let options = HostOptions {
        run_dir: host.run_dir.clone(),
        bpffs: host.run_dir.join("bpf"),
        uplinks: Vec::new(),
        log: false,
    };
    HostKernel::open(&options).unwrap().0
}

impl Agent {
    fn start(host: &Scratch) -> Agent {
        let mut kernel = open(host);
        let runtime = host.runtime.clone();
        let facts = runtime.block_on(kernel.facts()).unwrap();
        let settings = Settings::default();
        let (state, identities) = (State::default(), Identities::default());
        Agent {
            state,
            facts,
            settings,
            identities,
            kernel,
            runtime,
        }
    }

    /// One round of the full comparison; what it did.
    fn converge(&mut self) -> Vec<Action> {
        let subjects = Subjects::all(&self.state);
        let mut done = Vec::new();
        let desired = links(&self.scene(), &subjects);
        let observed = self.runtime.block_on(self.kernel.observe_all()).unwrap();
        self.carry_out(diff(&desired, &observed, Stage::Make), &mut done);
        let observed = self.runtime.block_on(self.kernel.observe_all()).unwrap();
        self.identities.learn(&observed);
        let mut desired = links(&self.scene(), &subjects);
        entries(&self.scene(), &subjects, &mut desired);
        self.carry_out(diff(&desired, &observed, Stage::Finish), &mut done);
        done
    }

    fn carry_out(&mut self, actions: Vec<Action>, done: &mut Vec<Action>) {
        for action in actions {
            if let Err(error) = self.runtime.block_on(self.kernel.execute(&action)) {
                panic!("{error}");
            }
            done.push(action);
        }
    }

    fn scene(&self) -> Scene<'_> {
        Scene {
            state: &self.state,
            facts: &self.facts,
            settings: &self.settings,
            identities: &self.identities,
        }
    }

    fn apply(&mut self, ids: &mut Ids, request: Option<Request>) {
        let mut context = Context {
            now: 1,
            ids,
            facts: &self.facts,
            settings: &self.settings,
            without_ipv6: false,
        };
        match request {
            None => drop(self.state.predefine(&mut context).unwrap()),
            Some(request) => drop(self.state.apply(&request, &mut context).unwrap()),
        }
    }
}

fn network(name: &str) -> Request {
    Request::NetworkCreate(NetworkSpec {
        name: name.parse().unwrap(),
        id: None,
        owner: Owner::Netd,
        driver: DriverSpec::Bridge {
            name: None,
            icc: None,
            masquerade: None,
            mtu: Some(1400),
            host_binding: None,
            interface_prefix: None,
            gateway: Default::default(),
        },
        subnets: Vec::new(),
        ipam: Ipam::Default,
        ipv4: true,
        ipv6: true,
        config_from: None,
        internal: false,
        attachable: false,
        labels: BTreeMap::new(),
        options: BTreeMap::new(),
        announce: None,
        force: false,
    })
}

fn sandbox(name: &str, networks: &[&str]) -> SandboxSpec {
    let networks = networks
        .iter()
        .map(|name| ((*name).to_owned(), EndpointSpec::default()));
    SandboxSpec {
        name: Some(name.parse().unwrap()),
        id: None,
        owner: Owner::Netd,
        hostname: None,
        namespace: None,
        share: None,
        networks: networks.collect(),
        ports: Vec::new(),
        dns: DnsSettings::default(),
        exposed: Vec::new(),
        publish_all: false,
        env: Vec::new(),
        extra_hosts: Vec::new(),
        labels: BTreeMap::new(),
    }
}

#[test]
fn the_plan_converges_and_damage_is_repaired() {
    scratch(|host| {
        run("ip link add name up0 type veth peer name other");
        run("ip address add 198.51.100.7/24 dev up0");
        let mut agent = Agent::start(host);
        let mut ids = Ids(0);
        agent.apply(&mut ids, None);
        agent.apply(&mut ids, Some(network("web")));
        let guest = Guest::start();
        let joined = Some(netns::identify(&guest.path()).unwrap());
        for spec in [
            sandbox("one", &["web", "bridge"]),
            sandbox("two", &["bridge"]),
            SandboxSpec {
                namespace: joined,
                ..sandbox("three", &["web"])
            },
        ] {
            agent.apply(&mut ids, Some(Request::SandboxCreate(Box::new(spec))));
        }
        assert!(!agent.converge().is_empty());
        assert_eq!(agent.converge(), [], "made, and seen as it was made");
        agent.kernel = open(host);
        agent.identities = Identities::default();
        assert_eq!(
            agent.converge(),
            [],
            "an agent that starts anew has nothing to do"
        );

        let one = agent.state.find_sandbox("one", Owner::Netd).unwrap().id;
        let path = host.run_dir.join("netns").join(one.to_string());
        let web = agent.state.find_network("web", Owner::Netd).unwrap();
        let web = web.bridge().unwrap().name.to_string();
        let interface = agent.state.endpoints_of_sandbox(one)[0]
            .host_interface
            .to_string();
        let port = format!("bridge link set dev {interface} isolated off");
        for damage in [
            format!("ip link del {web}"),
            format!("ip link set {web} down"),
            format!("ip -4 address flush dev {web}"),
            format!("ip neighbour flush dev {web} nud permanent"),
            format!("ip link del {interface}"),
            format!("ip link set {interface} nomaster"),
            port,
            "ip link del netd-dns".to_owned(),
        ] {
            run(&damage);
            assert_ne!(agent.converge(), [], "{damage}");
            assert_eq!(agent.converge(), [], "{damage}");
        }
        for damage in [
            "ip address flush dev eth0",
            "ip route del default",
            "ip link set eth0 down",
            "ip link set eth0 address 02:00:00:00:00:01",
            "ip link del eth0",
        ] {
            run_in(&path, damage);
            assert_ne!(agent.converge(), [], "{damage}");
            assert_eq!(agent.converge(), [], "{damage}");
        }
        std::fs::remove_dir_all(host.run_dir.join("sandboxes")).unwrap();
        assert_ne!(agent.converge(), []);
        assert_eq!(agent.converge(), []);

        let name = "two".to_owned();
        let remove = Request::SandboxRemove {
            sandbox: name,
            force: true,
        };
        agent.apply(&mut ids, Some(remove));
        let done = agent.converge();
        assert!(
            done.iter()
                .any(|a| matches!(a, Action::RemoveNamespace(Place::Sandbox(_))))
        );
        assert_eq!(agent.converge(), []);
    });
}
