//! What `apply` needs besides the state: the agent's settings, the clock, ids, facts of the host.

use std::net::IpAddr;

use ipnet::IpNet;
use netd_common::{limits, packet::flow::Timeouts};

use crate::model::{HostFacts, Id, IfName};

/// The agent's settings as far as state and plan depend on them; checked by the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Interface of the default network.
    pub bridge: IfName,
    /// Addresses of the default network.
    pub default_network: DefaultAddresses,
    /// Where automatic subnets come from, in order.
    pub address_pools: Vec<AddressPool>,
    /// MTU of networks that give none, in octets.
    pub mtu: u32,
    /// Whether endpoints of the default network may talk to each other without a link.
    pub icc: bool,
    /// Name servers for the default network where the host has none that sandboxes can reach.
    pub dns_fallback: Vec<IpAddr>,
    /// Host address of ports that are published without one; `None`: all.
    pub publish_address: Option<IpAddr>,
    /// Published container ports may be dialled directly from anywhere.
    pub allow_direct_routing: bool,
    /// What flows are allowed.
    pub flows: FlowSettings,
}

/// The agent's settings about flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowSettings {
    /// Source ports of masqueraded flows: two closed intervals, one with low > high is empty. `None`:
    /// what the host's own sockets never pick by themselves.
    pub ports: Option<[[u16; 2]; 2]>,
    /// Established flows that an endpoint may have; 0: as many as there is room for.
    pub per_endpoint: u32,
    /// How long they may be silent.
    pub timeouts: Timeouts,
}

impl Default for FlowSettings {
    fn default() -> FlowSettings {
        FlowSettings {
            ports: None,
            per_endpoint: limits::ENDPOINT_FLOWS,
            timeouts: Timeouts::default(),
        }
    }
}

impl Default for Settings {
    /// `netd0`, Docker's default pools, 1500 octets, Google's public name servers as in Docker.
    fn default() -> Settings {
        Settings {
            bridge: "netd0"
                .parse()
                .expect("a constant that is checked by tests"),
            default_network: DefaultAddresses::default(),
            address_pools: AddressPool::docker(),
            mtu: 1500,
            icc: true,
            dns_fallback: vec![IpAddr::from([8, 8, 8, 8]), IpAddr::from([8, 8, 4, 4])],
            publish_address: None,
            allow_direct_routing: false,
            flows: FlowSettings::default(),
        }
    }
}

/// What is fixed of the default network's addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DefaultAddresses {
    /// IPv4.
    pub v4: Fixed,
    /// IPv6, where the network speaks it.
    pub v6: Fixed,
    /// Whether it speaks IPv6.
    pub ipv6: bool,
}

/// What is fixed of one family. Nothing: the first free piece of the default pools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fixed {
    /// Gateway and subnet (`bip`).
    pub bip: Option<IpNet>,
    /// Where automatic addresses come from (`fixed-cidr`), and the subnet without `bip`.
    pub range: Option<IpNet>,
}

/// A pool that is cut into subnets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressPool {
    /// All of it.
    pub base: IpNet,
    /// Prefix length of the subnets; not shorter than the base's.
    pub size: u8,
}

impl AddressPool {
    /// Docker's defaults: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/16 in /20s.
    pub fn docker() -> Vec<AddressPool> {
        let pool = |a, b, size| AddressPool {
            base: IpNet::new_assert(IpAddr::from([a, b, 0, 0]), 16),
            size,
        };
        (17..=31)
            .map(|second| pool(172, second, 16))
            .chain([pool(192, 168, 20)])
            .collect()
    }
}

/// Where ids come from: random in the agent, counted in tests.
pub trait IdSource {
    /// An id that was not given out before.
    fn next(&mut self) -> Id;
}

/// The arguments of a change that are not the caller's.
pub struct Context<'a> {
    /// Nanoseconds of Unix time.
    pub now: u64,
    /// New ids.
    pub ids: &'a mut dyn IdSource,
    /// The host.
    pub facts: &'a HostFacts,
    /// The agent's settings.
    pub settings: &'a Settings,
    /// The namespace of the sandbox that the request is about has IPv6 switched off: its endpoints
    /// get no IPv6 address.
    pub without_ipv6: bool,
}
