//! What lists show of sandboxes, and nothing else: with thousands of them a tenth of the octets that
//! their whole shapes have. Made from the state without copies of it.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    sandbox_shape::{Bindings, bindings_of, exposed_ports},
    timestamp::rfc3339,
};
use crate::{
    model::{Endpoint, Sandbox, network::Owner, sandbox::Mode},
    state::State,
};

/// Sandboxes, as far as lists show them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BriefList {
    /// Of the state that is shown.
    pub revision: u64,
    /// By name.
    pub sandboxes: Vec<SandboxBrief>,
}

/// A sandbox, as far as lists show it. Fields mean what those of a sandbox do; what is empty is left
/// out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SandboxBrief {
    /// 64 digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// RFC 3339.
    pub created: String,
    /// As in the whole.
    pub state: String,
    /// `netd`, `docker`, `podman` or `cni`.
    pub owner: String,
    /// User labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Published ports.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: Bindings,
    /// Connections by network name.
    pub networks: BTreeMap<String, EndpointBrief>,
}

/// A connection, as far as lists show it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct EndpointBrief {
    /// 64 digits.
    #[serde(rename = "NetworkID")]
    pub network_id: String,
    /// IPv4.
    #[serde(
        rename = "IPAddress",
        default,
        skip_serializing_if = "String::is_empty"
    )]
    pub ip_address: String,
    /// IPv6.
    #[serde(
        rename = "GlobalIPv6Address",
        default,
        skip_serializing_if = "String::is_empty"
    )]
    pub global_ipv6_address: String,
}

impl BriefList {
    /// All sandboxes.
    pub fn of(state: &State) -> BriefList {
        let modes = ["host", "none"].map(|name| {
            let network = state.find_network(name, Owner::Netd).ok();
            let network_id = network.map(|network| network.id.to_string());
            EndpointBrief {
                network_id: network_id.unwrap_or_default(),
                ..EndpointBrief::default()
            }
        });
        let mut sandboxes: Vec<SandboxBrief> = state
            .sandboxes()
            .map(|sandbox| brief(state, sandbox, &modes))
            .collect();
        sandboxes.sort_by(|a, b| a.name.cmp(&b.name));
        BriefList {
            revision: state.revision(),
            sandboxes,
        }
    }
}

fn brief(state: &State, sandbox: &Sandbox, [host, none]: &[EndpointBrief; 2]) -> SandboxBrief {
    let targets = state.port_targets(sandbox.id);
    let ports = sandbox.ports.iter();
    let ports = ports.map(|port| (port, targets.of(port).is_some()));
    let networks: BTreeMap<String, EndpointBrief> = match sandbox.mode {
        Mode::Host => [("host".to_owned(), host.clone())].into(),
        Mode::None => [("none".to_owned(), none.clone())].into(),
        Mode::Shared(_) => BTreeMap::new(),
        Mode::Bridge => state
            .endpoints_of_sandbox(sandbox.id)
            .into_iter()
            .filter_map(|endpoint| {
                let network = state.network(endpoint.network)?;
                let id = network.id.to_string();
                Some((network.name.to_string(), connection(endpoint, id)))
            })
            .collect(),
    };
    let mut ports = bindings_of(ports);
    let is_connected = sandbox.mode == Mode::Bridge && !networks.is_empty();
    for port in exposed_ports(sandbox).into_keys().filter(|_| is_connected) {
        ports.entry(port).or_default();
    }
    SandboxBrief {
        id: sandbox.id.to_string(),
        name: sandbox.name.to_string(),
        created: rfc3339(sandbox.created),
        state: "running".to_owned(),
        owner: sandbox.owner.name().to_owned(),
        labels: sandbox.labels.clone(),
        ports,
        networks,
    }
}

fn connection(endpoint: &Endpoint, network_id: String) -> EndpointBrief {
    let first = |family: fn(&IpAddr) -> bool| {
        let mut addresses = endpoint.addresses.iter().map(|net| net.addr());
        let first = addresses.find(family);
        first.map(|address| address.to_string()).unwrap_or_default()
    };
    EndpointBrief {
        network_id,
        ip_address: first(IpAddr::is_ipv4),
        global_ipv6_address: first(IpAddr::is_ipv6),
    }
}
