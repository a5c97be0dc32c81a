//! A network as `inspect` shows it: Docker's JSON, with the fields of old and new engines.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::timestamp::rfc3339;
use crate::{
    model::network::Subnet,
    state::view::{EndpointView, NetworkView},
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
    /// `bridge`, `host` or `null`.
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
    /// Always empty.
    pub config_from: ConfigFrom,
    /// Always false.
    pub config_only: bool,
    /// Connected sandboxes by id; empty in lists.
    pub containers: BTreeMap<String, ConnectedShape>,
    /// As given.
    pub options: BTreeMap<String, String>,
    /// As given.
    pub labels: BTreeMap<String, String>,
}

/// Address management.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct IpamShape {
    /// `default`.
    pub driver: String,
    /// Always empty.
    pub options: BTreeMap<String, String>,
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
    /// Always empty.
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
        NetworkShape {
            name: network.name.to_string(),
            id: network.id.to_string(),
            created: rfc3339(network.created),
            scope: "local".to_owned(),
            driver: network.driver.name().to_owned(),
            enable_ipv4: network.subnets.is_empty()
                || network
                    .subnets
                    .iter()
                    .any(|subnet| subnet.pool.addr().is_ipv4()),
            enable_ipv6: network.ipv6,
            ipam: IpamShape {
                driver: "default".to_owned(),
                options: BTreeMap::new(),
                config: network.subnets.iter().map(subnet).collect(),
            },
            internal: network.internal,
            attachable: network.attachable,
            ingress: false,
            config_from: ConfigFrom::default(),
            config_only: false,
            containers: view.endpoints.iter().filter_map(connection).collect(),
            options: network.options.clone(),
            labels: network.labels.clone(),
        }
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
