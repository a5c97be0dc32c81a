//! What a frontend may wish for, and what it gets. Values are checked when they get here; whether
//! they fit the state is decided by `state`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;

use crate::model::{
    ExposedPorts, Id, IfName, InterfaceSysctl, Mac, Name, PortRange, Protocol,
    endpoint::Link,
    macvlan::MacvlanMode,
    network::{Announce, GatewayOptions, Ipam, Owner},
    sandbox::{DnsSettings, Joined},
};

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `network create`.
    NetworkCreate(NetworkSpec),
    /// `network rm`: names, ids or id prefixes.
    NetworkRemove {
        /// One network.
        network: String,
        /// `-f`: no error where there is none.
        force: bool,
    },
    /// `network prune`: unused networks that are not predefined.
    NetworkPrune(PruneSpec),
    /// `network connect`.
    Connect {
        /// Name, id or id prefix.
        network: String,
        /// Name, id or id prefix.
        sandbox: String,
        /// Addresses, aliases, MAC.
        endpoint: EndpointSpec,
    },
    /// `network disconnect`.
    Disconnect {
        /// Name, id or id prefix.
        network: String,
        /// Name, id or id prefix.
        sandbox: String,
        /// `-f`.
        force: bool,
    },
    /// `sandbox create`.
    SandboxCreate(Box<SandboxSpec>),
    /// `sandbox publish`.
    Publish {
        /// Name, id or id prefix.
        sandbox: String,
        /// As at create.
        ports: Vec<PortSpec>,
    },
    /// `sandbox unpublish`.
    Unpublish {
        /// Name, id or id prefix.
        sandbox: String,
        /// Which.
        ports: Vec<PortName>,
    },
    /// `sandbox rm`.
    SandboxRemove {
        /// Name, id or id prefix.
        sandbox: String,
        /// `-f`: no error where there is none.
        force: bool,
    },
}

impl Request {
    /// Whether host ports are taken: then the host's sockets have to be known.
    pub fn publishes(&self) -> bool {
        match self {
            Request::SandboxCreate(spec) => !spec.ports.is_empty() || spec.publish_all,
            Request::Publish { ports, .. } => !ports.is_empty(),
            Request::NetworkCreate(_)
            | Request::NetworkRemove { .. }
            | Request::NetworkPrune(_)
            | Request::Connect { .. }
            | Request::Disconnect { .. }
            | Request::Unpublish { .. }
            | Request::SandboxRemove { .. } => false,
        }
    }
}

impl Request {
    /// Whether it names a link of the host, which may have been made a moment ago.
    pub fn names_link(&self) -> bool {
        let Request::NetworkCreate(spec) = self else {
            return false;
        };
        matches!(
            spec.driver,
            DriverSpec::Macvlan {
                parent: Some(_),
                ..
            }
        )
    }
}

/// A network as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkSpec {
    /// Its name.
    pub name: Name,
    /// Given by a frontend; else netd makes one.
    pub id: Option<Id>,
    /// Who asks.
    pub owner: Owner,
    /// Driver and its options, as far as they were given.
    pub driver: DriverSpec,
    /// `--config-from`: where the frontend has subnets, options and labels from.
    pub config_from: Option<Name>,
    /// `--subnet`, `--gateway`, `--ip-range`, `--aux-address`, matched up by the frontend.
    pub subnets: Vec<SubnetSpec>,
    /// Who gives addresses (`--ipam-driver`).
    pub ipam: Ipam,
    /// Unless `--ipv4=false`.
    pub ipv4: bool,
    /// `--ipv6`.
    pub ipv6: bool,
    /// `--internal`.
    pub internal: bool,
    /// `--attachable`.
    pub attachable: bool,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// `--opt` as given, for inspect.
    pub options: BTreeMap<String, String>,
    /// `com.docker.network.advertise_addr_…`, where one was given.
    pub announce: Option<Announce>,
    /// `--force`: a subnet may overlap a host route.
    pub force: bool,
}

/// Driver options as far as they were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DriverSpec {
    /// `-d bridge`.
    Bridge {
        /// `com.docker.network.bridge.name`.
        name: Option<IfName>,
        /// `com.docker.network.bridge.enable_icc`.
        icc: Option<bool>,
        /// `com.docker.network.bridge.enable_ip_masquerade`.
        masquerade: Option<bool>,
        /// `com.docker.network.driver.mtu`.
        mtu: Option<u32>,
        /// `com.docker.network.bridge.host_binding_ipv4`.
        host_binding: Option<IpAddr>,
        /// `com.docker.network.container_iface_prefix`.
        interface_prefix: Option<IfName>,
        /// Modes, trusted interfaces, addresses outside.
        gateway: GatewayOptions,
    },
    /// `-d macvlan`.
    Macvlan {
        /// `parent`; none: the network leads nowhere.
        parent: Option<IfName>,
        /// `macvlan_mode`; `bridge` unless given.
        mode: Option<MacvlanMode>,
        /// `com.docker.network.driver.mtu`; the parent's unless given.
        mtu: Option<u32>,
        /// `netd.macvlan.host_access`.
        host_access: bool,
    },
    /// `--config-only`.
    Config,
}

/// Which unused networks go; by default all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneSpec {
    /// Only those made before; nanoseconds of Unix time.
    pub until: Option<u64>,
    /// Only those with all of these.
    pub labels: Vec<LabelMatch>,
    /// Only those with none of these.
    pub without_labels: Vec<LabelMatch>,
}

/// A label that is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelMatch {
    /// Its name.
    pub key: String,
    /// `None`: any.
    pub value: Option<String>,
}

impl LabelMatch {
    /// Whether it is there.
    pub fn is_in(&self, labels: &BTreeMap<String, String>) -> bool {
        let found = labels.get(&self.key);
        found.is_some_and(|found| self.value.as_ref().is_none_or(|value| value == found))
    }
}

/// One subnet as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubnetSpec {
    /// The subnet; with the unspecified address (`0.0.0.0/24`) any free one of that size.
    pub pool: IpNet,
    /// Where automatic addresses come from.
    pub range: Option<IpNet>,
    /// The gateway; else the first free address, where the driver wants one.
    pub gateway: Option<IpAddr>,
    /// Never given out.
    pub aux: BTreeMap<String, IpAddr>,
}

/// An endpoint as asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointSpec {
    /// `--ip`.
    pub ip: Option<Ipv4Addr>,
    /// `--ip6`.
    pub ip6: Option<Ipv6Addr>,
    /// `--link-local-ip`: link-local addresses.
    pub link_local: Vec<IpAddr>,
    /// `--mac-address`.
    pub mac: Option<Mac>,
    /// The interface's name inside; else the next number.
    pub interface: Option<IfName>,
    /// Sysctls of the interface inside (`com.docker.network.endpoint.sysctls`).
    pub sysctls: Vec<InterfaceSysctl>,
    /// `--driver-opt` as given, for inspect.
    pub driver_opts: BTreeMap<String, String>,
    /// `--alias`.
    pub aliases: Vec<Name>,
    /// `--link`.
    pub links: Vec<Link>,
    /// `--gw-priority`.
    pub gateway_priority: i32,
}

/// A sandbox as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxSpec {
    /// `--name`; else the 12-digit id.
    pub name: Option<Name>,
    /// `--id`; else netd makes one.
    pub id: Option<Id>,
    /// Who asks.
    pub owner: Owner,
    /// `--hostname`; else the 12-digit id.
    pub hostname: Option<Name>,
    /// `--netns`, `--pid`: identified by the daemon before the change; `None`: netd makes one.
    pub namespace: Option<Joined>,
    /// `--network container:NAME`: name, id or id prefix of the sandbox whose namespace it has too.
    pub share: Option<String>,
    /// `--network`, in order; empty: the default network. `host` and `none` stand alone.
    pub networks: Vec<(String, EndpointSpec)>,
    /// `-p`.
    pub ports: Vec<PortSpec>,
    /// `--expose`.
    pub exposed: Vec<ExposedPorts>,
    /// `-P`: exposed ports that `-p` does not name are published at automatic host ports.
    pub publish_all: bool,
    /// `--env`, each name once.
    pub env: Vec<(String, String)>,
    /// `--dns…`.
    pub dns: DnsSettings,
    /// `--add-host`; `None` is `host-gateway`.
    pub extra_hosts: Vec<(String, Option<IpAddr>)>,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
}

/// A published port as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortSpec {
    /// `None`: `0.0.0.0` and, where the sandbox has IPv6, `::`.
    pub host_address: Option<IpAddr>,
    /// `None`: any free port. A range for one container port picks the first free.
    pub host: Option<PortRange>,
    /// Ports inside.
    pub target: PortRange,
    /// Its protocol.
    pub protocol: Protocol,
}

/// A published port as it is named to end it: by its host side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortName {
    /// `None`: at every address.
    pub host_address: Option<IpAddr>,
    /// The host ports, all of a range.
    pub host: PortRange,
    /// Its protocol.
    pub protocol: Protocol,
}

/// What a change gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The new object's id, and warnings for the user.
    Created {
        /// 64 digits.
        id: Id,
        /// For stderr.
        warnings: Vec<String>,
    },
    /// Done.
    Done,
    /// Ports are published; warnings for the user.
    Published {
        /// For stderr.
        warnings: Vec<String>,
    },
    /// Names of what `prune` removed.
    Pruned(Vec<Name>),
}
