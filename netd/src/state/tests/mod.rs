//! Requests against the state alone: Docker's behaviour, case by case, and random sequences.

mod addresses;
mod events;
mod ipam;
mod lifecycle;
mod links;
mod macvlan;
mod networks;
mod ports;
mod random;
mod sandboxes;
mod sharers;

use std::collections::BTreeMap;

use super::{
    Change, Context, IdSource, Refusal, Reply, Request, Settings, State,
    request::{DriverSpec, EndpointSpec, NetworkSpec, PortSpec, SandboxSpec, SubnetSpec},
};
use crate::model::{
    HostFacts, Id, Mac, PortRange, Protocol,
    network::{Ipam, Owner},
    sandbox::DnsSettings,
};

/// Ids that count up; their first digits differ, as random ones do.
#[derive(Default)]
pub struct CountedIds(u32);

impl CountedIds {
    /// Ids that an earlier source with fewer ids did not give.
    pub fn starting_at(first: u32) -> CountedIds {
        CountedIds(first)
    }
}

impl IdSource for CountedIds {
    fn next(&mut self) -> Id {
        self.0 += 1;
        let mut bytes = [0xab; 32];
        bytes[..4].copy_from_slice(&self.0.wrapping_mul(0x9e37_79b1).to_be_bytes());
        bytes[4..8].copy_from_slice(&self.0.to_be_bytes());
        Id(bytes)
    }
}

/// A state with its surroundings.
pub struct Host {
    pub state: State,
    pub ids: CountedIds,
    pub facts: HostFacts,
    pub settings: Settings,
    /// Of the sandbox that the next request is about.
    pub without_ipv6: bool,
}

impl Host {
    /// A host with the predefined networks.
    pub fn new() -> Host {
        Host::with(HostFacts::default(), Settings::default())
    }

    pub fn with(facts: HostFacts, settings: Settings) -> Host {
        let mut host = Host {
            state: State::default(),
            ids: CountedIds::default(),
            facts,
            settings,
            without_ipv6: false,
        };
        host.predefine().expect("predefined networks");
        host
    }

    pub fn predefine(&mut self) -> Result<Change, Refusal> {
        let mut context = Context {
            now: 1,
            ids: &mut self.ids,
            facts: &self.facts,
            settings: &self.settings,
            without_ipv6: self.without_ipv6,
        };
        self.state.predefine(&mut context)
    }

    pub fn apply(&mut self, request: &Request) -> Result<(Reply, Change), Refusal> {
        let mut context = Context {
            now: 1,
            ids: &mut self.ids,
            facts: &self.facts,
            settings: &self.settings,
            without_ipv6: self.without_ipv6,
        };
        self.state.apply(request, &mut context)
    }

    /// The refusal's text, or `ok`.
    pub fn says(&mut self, request: &Request) -> String {
        match self.apply(request) {
            Ok(_) => "ok".to_owned(),
            Err(refusal) => refusal.to_string(),
        }
    }
}

pub fn network(name: &str) -> NetworkSpec {
    NetworkSpec {
        name: name.parse().expect("a name"),
        id: None,
        owner: Owner::Netd,
        driver: DriverSpec::Bridge {
            name: None,
            icc: None,
            masquerade: None,
            mtu: None,
            host_binding: None,
            interface_prefix: None,
            gateway: Default::default(),
        },
        subnets: Vec::new(),
        ipam: Ipam::Default,
        ipv4: true,
        ipv6: false,
        internal: false,
        attachable: false,
        config_from: None,
        labels: BTreeMap::new(),
        options: BTreeMap::new(),
        announce: None,
        force: false,
    }
}

pub fn subnet(pool: &str) -> SubnetSpec {
    SubnetSpec {
        pool: pool.parse().expect("a subnet"),
        range: None,
        gateway: None,
        aux: BTreeMap::new(),
    }
}

pub fn network_with(name: &str, pool: &str) -> Request {
    Request::NetworkCreate(NetworkSpec {
        subnets: vec![subnet(pool)],
        ..network(name)
    })
}

pub fn sandbox(name: &str, networks: &[&str]) -> SandboxSpec {
    SandboxSpec {
        name: Some(name.parse().expect("a name")),
        id: None,
        owner: Owner::Netd,
        hostname: None,
        namespace: None,
        share: None,
        networks: networks
            .iter()
            .map(|name| ((*name).to_owned(), EndpointSpec::default()))
            .collect(),
        ports: Vec::new(),
        dns: DnsSettings::default(),
        exposed: Vec::new(),
        publish_all: false,
        env: Vec::new(),
        extra_hosts: Vec::new(),
        labels: BTreeMap::new(),
    }
}

/// On one network, with a MAC address of the user's.
pub fn sandbox_with_mac(name: &str, network: &str) -> SandboxSpec {
    let endpoint = EndpointSpec {
        mac: Some(Mac([2, 0, 0, 0, 0, 1])),
        ..EndpointSpec::default()
    };
    SandboxSpec {
        networks: vec![(network.to_owned(), endpoint)],
        ..sandbox(name, &[])
    }
}

pub fn create(spec: SandboxSpec) -> Request {
    Request::SandboxCreate(Box::new(spec))
}

pub fn remove_network(name: &str) -> Request {
    Request::NetworkRemove {
        network: name.to_owned(),
        force: false,
    }
}

pub fn remove_sandbox(name: &str) -> Request {
    Request::SandboxRemove {
        sandbox: name.to_owned(),
        force: false,
    }
}

pub fn connect(network: &str, sandbox: &str) -> Request {
    Request::Connect {
        network: network.to_owned(),
        sandbox: sandbox.to_owned(),
        endpoint: EndpointSpec::default(),
    }
}

pub fn disconnect(network: &str, sandbox: &str) -> Request {
    Request::Disconnect {
        network: network.to_owned(),
        sandbox: sandbox.to_owned(),
        force: false,
    }
}

pub fn port(host: Option<(u16, u16)>, target: (u16, u16)) -> PortSpec {
    let range = |(first, last)| PortRange { first, last };
    PortSpec {
        host_address: None,
        host: host.map(range),
        target: range(target),
        protocol: Protocol::Tcp,
    }
}
