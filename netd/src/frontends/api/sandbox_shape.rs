//! A sandbox as `inspect` shows it: the network part of Docker's JSON, with the fields of old and
//! new engines.

use std::{collections::BTreeMap, net::IpAddr, path::Path};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::timestamp::rfc3339;
use crate::{
    model::{
        Endpoint, ExposedPorts, Network, PublishedPort, Sandbox,
        sandbox::{Mode, Namespace},
    },
    state::view::{EndpointView, PortView, SandboxView},
};

/// A sandbox.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SandboxShape {
    /// 64 digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// As its processes see it.
    pub hostname: String,
    /// RFC 3339.
    pub created: String,
    /// `running`: namespace and connections are there.
    pub state: String,
    /// `netd`, `docker`, `podman` or `cni`.
    pub owner: String,
    /// The namespace's path.
    pub sandbox_key: String,
    /// Its /etc/hosts.
    pub hosts_path: String,
    /// Its /etc/hostname.
    pub hostname_path: String,
    /// Its /etc/resolv.conf.
    pub resolv_conf_path: String,
    /// User labels.
    pub labels: BTreeMap<String, String>,
    /// `80/tcp`: what it says that it serves.
    pub exposed_ports: BTreeMap<String, Exposed>,
    /// `NAME=VALUE`, as given.
    pub env: Vec<String>,
    /// `/TARGET:/NAME/ALIAS`: links on the default network; null if there are none.
    pub links: Option<Vec<String>>,
    /// As in `NetworkSettings`.
    pub ports: Bindings,
    /// As in `NetworkSettings`.
    pub networks: BTreeMap<String, EndpointShape>,
    /// As Docker has it.
    pub network_settings: NetworkSettings,
}

/// Nothing is told of an exposed port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Exposed {}

/// `80/tcp` → host addresses and ports; null where it is not published, or no network can carry it.
pub type Bindings = BTreeMap<String, Option<Vec<Binding>>>;

/// A host address and port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Binding {
    /// `0.0.0.0` or `::` for all.
    pub host_ip: String,
    /// The port as text.
    pub host_port: String,
}

/// Docker's `NetworkSettings`; the fields outside `Networks` and `Ports` are the default network's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkSettings {
    /// Always empty.
    pub bridge: String,
    /// The sandbox's id.
    #[serde(rename = "SandboxID")]
    pub sandbox_id: String,
    /// The namespace's path.
    pub sandbox_key: String,
    /// Published ports.
    pub ports: Bindings,
    /// Always false.
    pub hairpin_mode: bool,
    /// Always empty.
    #[serde(rename = "LinkLocalIPv6Address")]
    pub link_local_ipv6_address: String,
    /// Always 0.
    #[serde(rename = "LinkLocalIPv6PrefixLen")]
    pub link_local_ipv6_prefix_len: u8,
    /// Always null.
    #[serde(rename = "SecondaryIPAddresses")]
    pub secondary_ip_addresses: Option<Vec<String>>,
    /// Always null.
    #[serde(rename = "SecondaryIPv6Addresses")]
    pub secondary_ipv6_addresses: Option<Vec<String>>,
    /// On the default network.
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
    /// On the default network.
    pub gateway: String,
    /// On the default network.
    #[serde(rename = "GlobalIPv6Address")]
    pub global_ipv6_address: String,
    /// On the default network.
    #[serde(rename = "GlobalIPv6PrefixLen")]
    pub global_ipv6_prefix_len: u8,
    /// On the default network.
    #[serde(rename = "IPAddress")]
    pub ip_address: String,
    /// On the default network.
    #[serde(rename = "IPPrefixLen")]
    pub ip_prefix_len: u8,
    /// On the default network.
    #[serde(rename = "IPv6Gateway")]
    pub ipv6_gateway: String,
    /// On the default network.
    pub mac_address: String,
    /// Connections by network name.
    pub networks: BTreeMap<String, EndpointShape>,
}

/// A connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct EndpointShape {
    /// Addresses as given; null if none was.
    #[serde(rename = "IPAMConfig")]
    pub ipam_config: Option<GivenShape>,
    /// `TARGET:ALIAS` as given; null if none was.
    pub links: Option<Vec<String>>,
    /// As given, then the short id; null on predefined networks.
    pub aliases: Option<Vec<String>>,
    /// Of the interface inside.
    pub mac_address: String,
    /// The highest has the default gateway.
    pub gw_priority: i32,
    /// As given; null if none was.
    pub driver_opts: Option<BTreeMap<String, String>>,
    /// 64 digits.
    #[serde(rename = "NetworkID")]
    pub network_id: String,
    /// 64 digits.
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
    /// Empty on internal networks.
    pub gateway: String,
    /// IPv4.
    #[serde(rename = "IPAddress")]
    pub ip_address: String,
    /// Of the IPv4 subnet.
    #[serde(rename = "IPPrefixLen")]
    pub ip_prefix_len: u8,
    /// Empty where there is none.
    #[serde(rename = "IPv6Gateway")]
    pub ipv6_gateway: String,
    /// IPv6.
    #[serde(rename = "GlobalIPv6Address")]
    pub global_ipv6_address: String,
    /// Of the IPv6 subnet.
    #[serde(rename = "GlobalIPv6PrefixLen")]
    pub global_ipv6_prefix_len: u8,
    /// Names that resolve to this connection; null on predefined networks.
    #[serde(rename = "DNSNames")]
    pub dns_names: Option<Vec<String>>,
}

/// Addresses as given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GivenShape {
    /// `--ip`.
    #[serde(
        rename = "IPv4Address",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub ipv4_address: Option<String>,
    /// `--ip6`.
    #[serde(
        rename = "IPv6Address",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub ipv6_address: Option<String>,
    /// `--link-local-ip`.
    #[serde(
        rename = "LinkLocalIPs",
        default,
        skip_serializing_if = "Vec::is_empty"
    )]
    pub link_local_ips: Vec<String>,
}

impl EndpointShape {
    /// The connection as its sandbox shows it.
    pub fn new(view: &EndpointView) -> EndpointShape {
        let EndpointView {
            endpoint, network, ..
        } = view;
        let short_id = view.sandbox.iter().map(|(id, _)| id.short());
        let v4 = first(endpoint, IpAddr::is_ipv4);
        let v6 = first(endpoint, IpAddr::is_ipv6);
        let text = |net: Option<IpNet>| net.map(|net| net.addr().to_string()).unwrap_or_default();
        let given = &endpoint.given;
        let has_given =
            given.ip.is_some() || given.ip6.is_some() || !endpoint.link_local.is_empty();
        let aliases = endpoint.aliases.iter().map(ToString::to_string);
        // The default network has no names (Docker's rule).
        let named = !network.is_default();
        EndpointShape {
            ipam_config: has_given.then(|| GivenShape {
                ipv4_address: given.ip.map(|ip| ip.to_string()),
                ipv6_address: given.ip6.map(|ip| ip.to_string()),
                link_local_ips: endpoint
                    .link_local
                    .iter()
                    .map(|net| net.addr().to_string())
                    .collect(),
            }),
            links: (!endpoint.links.is_empty())
                .then(|| endpoint.links.iter().map(ToString::to_string).collect()),
            aliases: named.then(|| aliases.chain(short_id).collect()),
            mac_address: endpoint.mac.to_string(),
            gw_priority: endpoint.gateway_priority,
            driver_opts: (!endpoint.driver_opts.is_empty()).then(|| endpoint.driver_opts.clone()),
            network_id: network.id.to_string(),
            endpoint_id: endpoint.id.to_string(),
            gateway: gateway(network, v4),
            ip_address: text(v4),
            ip_prefix_len: v4.map_or(0, |net| net.prefix_len()),
            ipv6_gateway: gateway(network, v6),
            global_ipv6_address: text(v6),
            global_ipv6_prefix_len: v6.map_or(0, |net| net.prefix_len()),
            dns_names: named.then(|| view.dns_names.clone()),
        }
    }
}

impl SandboxShape {
    /// The sandbox with its connections. `run_dir` is where its files are.
    pub fn new(view: &SandboxView, run_dir: &Path) -> SandboxShape {
        let sandbox = &view.sandbox;
        let networks: BTreeMap<String, EndpointShape> = view
            .endpoints
            .iter()
            .map(|endpoint| {
                (
                    endpoint.network.name.to_string(),
                    EndpointShape::new(endpoint),
                )
            })
            .chain(predefined_mode(view))
            .collect();
        let key = sandbox_key(&view.holder, run_dir);
        let files = run_dir.join("sandboxes").join(view.holder.id.to_string());
        let file = |name| files.join(name).display().to_string();
        let exposed = exposed_ports(sandbox);
        let mut ports = bindings(&view.ports);
        if !view.endpoints.is_empty() {
            for port in exposed.keys() {
                ports.entry(port.clone()).or_insert(None);
            }
        }
        SandboxShape {
            id: sandbox.id.to_string(),
            name: sandbox.name.to_string(),
            hostname: sandbox.hostname.to_string(),
            created: rfc3339(sandbox.created),
            state: "running".to_owned(),
            owner: sandbox.owner.name().to_owned(),
            sandbox_key: key.clone(),
            hosts_path: file("hosts"),
            hostname_path: file("hostname"),
            resolv_conf_path: file("resolv.conf"),
            labels: sandbox.labels.clone(),
            exposed_ports: exposed,
            env: (sandbox
                .env
                .iter()
                .map(|(name, value)| format!("{name}={value}")))
            .collect(),
            links: (!view.links.is_empty()).then(|| view.links.clone()),
            ports: ports.clone(),
            networks: networks.clone(),
            network_settings: settings(sandbox, key, ports, networks),
        }
    }
}

/// What stands for the host's namespace, which has no file below the run directory.
pub const HOST_NAMESPACE: &str = "/proc/1/ns/net";

/// Where the namespace is found: netd's own below its run directory, others' as they were given.
fn sandbox_key(sandbox: &Sandbox, run_dir: &Path) -> String {
    match &sandbox.namespace {
        Namespace::Made => run_dir.join("netns").join(sandbox.id.to_string()),
        Namespace::Joined(joined) => joined.path.clone(),
        // Who shares with a sandbox is shown that one's.
        Namespace::Host | Namespace::Shared(_) => HOST_NAMESPACE.into(),
    }
    .display()
    .to_string()
}

/// Docker lists `host` and `none` among the networks.
fn predefined_mode(view: &SandboxView) -> Option<(String, EndpointShape)> {
    let name = match view.sandbox.mode {
        Mode::Bridge | Mode::Shared(_) => return None,
        Mode::Host => "host",
        Mode::None => "none",
    };
    let network_id = view.mode_network.map(|id| id.to_string());
    let shape = EndpointShape {
        network_id: network_id.unwrap_or_default(),
        ..EndpointShape::default()
    };
    Some((name.to_owned(), shape))
}

pub(super) fn exposed_ports(sandbox: &Sandbox) -> BTreeMap<String, Exposed> {
    let single = |ports: &ExposedPorts| {
        let protocol = ports.protocol.name();
        (ports.range.first..=ports.range.last).map(move |port| format!("{port}/{protocol}"))
    };
    let all = sandbox.exposed.iter().flat_map(single);
    all.map(|port| (port, Exposed {})).collect()
}

fn bindings(ports: &[PortView]) -> Bindings {
    bindings_of(ports.iter().map(|view| (&view.port, view.target.is_some())))
}

/// Published ports, and whether they lead somewhere.
pub(super) fn bindings_of<'a>(ports: impl Iterator<Item = (&'a PublishedPort, bool)>) -> Bindings {
    let mut bindings = Bindings::new();
    for (port, is_carried) in ports {
        for offset in 0..port.target.count() as u16 {
            let inside = format!("{}/{}", port.target.first + offset, port.protocol.name());
            let held = bindings.entry(inside).or_default();
            if is_carried {
                held.get_or_insert_default().push(Binding {
                    host_ip: port.host_address.to_string(),
                    host_port: (port.host.first + offset).to_string(),
                });
            }
        }
    }
    bindings.values_mut().flatten().for_each(|held| held.sort());
    bindings
}

fn settings(
    sandbox: &Sandbox,
    sandbox_key: String,
    ports: Bindings,
    networks: BTreeMap<String, EndpointShape>,
) -> NetworkSettings {
    let default = networks.get("bridge").cloned().unwrap_or_default();
    NetworkSettings {
        sandbox_id: sandbox.id.to_string(),
        sandbox_key,
        ports,
        endpoint_id: default.endpoint_id,
        gateway: default.gateway,
        global_ipv6_address: default.global_ipv6_address,
        global_ipv6_prefix_len: default.global_ipv6_prefix_len,
        ip_address: default.ip_address,
        ip_prefix_len: default.ip_prefix_len,
        ipv6_gateway: default.ipv6_gateway,
        mac_address: default.mac_address,
        networks,
        ..NetworkSettings::default()
    }
}

fn first(endpoint: &Endpoint, family: fn(&IpAddr) -> bool) -> Option<IpNet> {
    let mut nets = endpoint.addresses.iter();
    nets.find(|net| family(&net.addr())).copied()
}

/// The gateway of the subnet that the address is from; where it leads nowhere there is none.
fn gateway(network: &Network, address: Option<IpNet>) -> String {
    let subnet = address.filter(|_| network.leads_out()).and_then(|net| {
        network
            .subnets
            .iter()
            .find(|s| s.pool.contains(&net.addr()))
    });
    let gateway = subnet.and_then(|subnet| subnet.gateway);
    gateway
        .map(|address| address.to_string())
        .unwrap_or_default()
}
