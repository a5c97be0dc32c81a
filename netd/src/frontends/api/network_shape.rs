//! A network as `inspect` shows it: Docker's JSON, with the fields of old and new engines.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::timestamp::rfc3339;
use crate::{
    model::{
        Id, Network,
        network::{Driver, Ipam, Subnet},
    },
    state::{
        ipam::Usage,
        view::{EndpointView, NetworkView},
    },
};

/// A network in Docker's shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkShape {
    /// Its name.
    pub name: String,
    /// 64 digits.
    pub id: String,
    /// RFC 3339.
    pub created: String,
    /// `local`.
    pub scope: String,
    /// `bridge`, `macvlan`, `host` or `null`.
    pub driver: String,
    /// Endpoints get IPv4 addresses.
    #[serde(rename = "EnableIPv4")]
    pub enable_ipv4: bool,
    /// Endpoints get IPv6 addresses.
    #[serde(rename = "EnableIPv6")]
    pub enable_ipv6: bool,
    /// Who gives addresses, and from where.
    #[serde(rename = "IPAM")]
    pub ipam: IpamShape,
    /// Nothing goes out, nothing comes in from outside.
    pub internal: bool,
    /// As given.
    pub attachable: bool,
    /// Always false.
    pub ingress: bool,
    /// The configuration that it was made from.
    pub config_from: ConfigFrom,
    /// No network, but what others are made from.
    pub config_only: bool,
    /// Connected sandboxes by id; empty in lists.
    pub containers: BTreeMap<String, ConnectedShape>,
    /// As given.
    pub options: BTreeMap<String, String>,
    /// As given.
    pub labels: BTreeMap<String, String>,
    /// `netd`, `docker`, `podman` or `cni`.
    pub owner: String,
    /// Counters; not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusShape>,
}

/// What changes without a change of the network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatusShape {
    /// Addresses in use and free.
    #[serde(rename = "IPAM")]
    pub ipam: IpamStatus,
}

/// Counters of addresses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct IpamStatus {
    /// By subnet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub subnets: BTreeMap<String, SubnetStatus>,
}

/// Counters of a subnet's addresses; both end at 2⁶⁴ − 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SubnetStatus {
    /// In use or reserved, in the whole subnet.
    #[serde(rename = "IPsInUse")]
    pub ips_in_use: u64,
    /// That can be given out automatically: those of the IP range, where there is one.
    #[serde(rename = "DynamicIPsAvailable")]
    pub dynamic_ips_available: u64,
}

/// Address management.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct IpamShape {
    /// `default`, or `null` where nobody gives addresses.
    pub driver: String,
    /// Always empty; null where Docker has null, on predefined networks.
    pub options: Option<BTreeMap<String, String>>,
    /// The subnets.
    pub config: Vec<SubnetShape>,
}

/// A subnet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SubnetShape {
    /// With its prefix length.
    pub subnet: String,
    /// Where automatic addresses come from.
    #[serde(rename = "IPRange", default, skip_serializing_if = "Option::is_none")]
    pub ip_range: Option<String>,
    /// The bridge's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// Never given out, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub auxiliary_addresses: BTreeMap<String, String>,
}

/// Which network the configuration is from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ConfigFrom {
    /// Its name; empty if there is none.
    pub network: String,
}

/// A connected sandbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ConnectedShape {
    /// The sandbox's name.
    pub name: String,
    /// 64 digits.
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
    /// Of the interface inside.
    pub mac_address: String,
    /// With its prefix length; empty if it has none.
    #[serde(rename = "IPv4Address")]
    pub ipv4_address: String,
    /// With its prefix length; empty if it has none.
    #[serde(rename = "IPv6Address")]
    pub ipv6_address: String,
}

impl NetworkShape {
    /// The network with what is connected to it.
    pub fn new(view: &NetworkView) -> NetworkShape {
        let network = &view.network;
        let subnets = network.subnets.iter().chain(network.config_subnets());
        let config_from = network.config_from.as_ref().map(ToString::to_string);
        let connected = view.endpoints.iter().filter_map(connection);
        let members = view.members.iter().map(member);
        NetworkShape {
            name: network.name.to_string(),
            id: network.id.to_string(),
            created: rfc3339(network.created),
            scope: "local".to_owned(),
            driver: network.driver.name().to_owned(),
            enable_ipv4: network.ipv4,
            enable_ipv6: network.ipv6,
            ipam: IpamShape {
                driver: ipam_driver(network.ipam).to_owned(),
                options: (!network.predefined).then(BTreeMap::new),
                config: subnets.map(subnet).collect(),
            },
            internal: network.internal,
            attachable: network.attachable,
            ingress: false,
            config_from: ConfigFrom {
                network: config_from.unwrap_or_default(),
            },
            config_only: matches!(network.driver, Driver::Config(_)),
            containers: connected.chain(members).collect(),
            options: options(network),
            labels: network.labels.clone(),
            owner: network.owner.name().to_owned(),
            status: None,
        }
    }

    /// The same with what is counted.
    pub fn inspected(view: &NetworkView) -> NetworkShape {
        let subnets = view.network.subnets.iter().zip(&view.usage);
        let status = |(subnet, usage): (&Subnet, &Usage)| {
            let status = SubnetStatus {
                ips_in_use: usage.used,
                dynamic_ips_available: usage.free,
            };
            (subnet.pool.to_string(), status)
        };
        let ipam = IpamStatus {
            subnets: subnets.map(status).collect(),
        };
        NetworkShape {
            status: Some(StatusShape { ipam }),
            ..NetworkShape::new(view)
        }
    }

    /// `bridge`, `host` or `none` (their names are nobody else's).
    pub fn is_predefined(&self) -> bool {
        ["bridge", "host", "none"].contains(&self.name.as_str())
    }
}

/// As given; of the default network, which nobody gave any, what Docker shows of its own.
fn options(network: &Network) -> BTreeMap<String, String> {
    let Some(bridge) = network.bridge().filter(|_| network.is_default()) else {
        return network.options.clone();
    };
    let binding = bridge.host_binding.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    let options = [
        ("bridge.default_bridge", true.to_string()),
        ("bridge.enable_icc", bridge.icc.to_string()),
        ("bridge.enable_ip_masquerade", bridge.masquerade.to_string()),
        ("bridge.host_binding_ipv4", binding.to_string()),
        ("bridge.name", bridge.name.to_string()),
        ("driver.mtu", bridge.mtu.to_string()),
    ];
    options
        .into_iter()
        .map(|(key, value)| (format!("com.docker.network.{key}"), value))
        .collect()
}

/// A sandbox that is the host, or has no network: it is listed, and has neither endpoint nor address.
fn member((id, name): &(Id, String)) -> (String, ConnectedShape) {
    let shape = ConnectedShape {
        name: name.clone(),
        endpoint_id: String::new(),
        mac_address: String::new(),
        ipv4_address: String::new(),
        ipv6_address: String::new(),
    };
    (id.to_string(), shape)
}

/// Docker's names of IPAM drivers; addresses that came with the request are nobody's here.
fn ipam_driver(ipam: Ipam) -> &'static str {
    match ipam {
        Ipam::Default => "default",
        Ipam::Given | Ipam::Remote => "remote",
        Ipam::None => "null",
    }
}

fn subnet(subnet: &Subnet) -> SubnetShape {
    let aux = subnet.aux.iter();
    SubnetShape {
        subnet: subnet.pool.to_string(),
        ip_range: subnet.range.map(|range| range.to_string()),
        gateway: subnet.gateway.map(|gateway| gateway.to_string()),
        auxiliary_addresses: aux
            .map(|(name, address)| (name.clone(), address.to_string()))
            .collect(),
    }
}

fn connection(view: &EndpointView) -> Option<(String, ConnectedShape)> {
    let (id, name) = view.sandbox.clone()?;
    let endpoint = &view.endpoint;
    let first = |family: fn(&IpAddr) -> bool| {
        let net = endpoint.addresses.iter().find(|net| family(&net.addr()));
        net.map(ToString::to_string).unwrap_or_default()
    };
    let shape = ConnectedShape {
        name,
        endpoint_id: endpoint.id.to_string(),
        mac_address: endpoint.mac.to_string(),
        ipv4_address: first(IpAddr::is_ipv4),
        ipv6_address: first(IpAddr::is_ipv6),
    };
    Some((id.to_string(), shape))
}
