//! What lists show of sandboxes, and nothing else: with thousands of them a tenth of the octets that
//! their whole shapes have. Made from the state without copies of it, and read from an answer without
//! copies of its texts.

use std::{borrow::Cow, collections::BTreeMap, net::IpAddr};

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
pub struct BriefList<'a> {
    /// Of the state that is shown.
    pub revision: u64,
    /// By name.
    #[serde(borrow)]
    pub sandboxes: Vec<SandboxBrief<'a>>,
}

/// A sandbox, as far as lists show it. Fields mean what those of a sandbox do; what is empty is left
/// out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SandboxBrief<'a> {
    /// 64 digits.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// Its name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// RFC 3339.
    #[serde(borrow)]
    pub created: Cow<'a, str>,
    /// As in the whole.
    #[serde(borrow)]
    pub state: Cow<'a, str>,
    /// `netd`, `docker`, `podman` or `cni`.
    #[serde(borrow)]
    pub owner: Cow<'a, str>,
    /// User labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Published ports.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: Bindings,
    /// Connections by network name.
    #[serde(borrow, with = "pairs")]
    #[schema(value_type = BTreeMap<String, EndpointBrief<'a>>)]
    pub networks: Networks<'a>,
}

/// Mostly one: a map of one takes a kilobyte, which thousands of sandboxes would have to fill.
pub type Networks<'a> = Vec<(Cow<'a, str>, EndpointBrief<'a>)>;

/// A connection, as far as lists show it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct EndpointBrief<'a> {
    /// 64 digits.
    #[serde(rename = "NetworkID", borrow)]
    pub network_id: Cow<'a, str>,
    /// IPv4.
    #[serde(
        rename = "IPAddress",
        borrow,
        default,
        skip_serializing_if = "str::is_empty"
    )]
    pub ip_address: Cow<'a, str>,
    /// IPv6.
    #[serde(
        rename = "GlobalIPv6Address",
        borrow,
        default,
        skip_serializing_if = "str::is_empty"
    )]
    pub global_ipv6_address: Cow<'a, str>,
}

impl BriefList<'static> {
    /// All sandboxes. Its texts are its own: it goes out when the state is no longer looked at.
    pub fn of(state: &State) -> BriefList<'static> {
        let modes = ["host", "none"].map(|name| {
            let network = state.find_network(name, Owner::Netd).ok();
            let network_id = network.map(|network| network.id.to_string());
            EndpointBrief {
                network_id: network_id.unwrap_or_default().into(),
                ..EndpointBrief::default()
            }
        });
        let sandboxes = state.sandboxes_by_name();
        BriefList {
            revision: state.revision(),
            sandboxes: sandboxes
                .map(|sandbox| brief(state, sandbox, &modes))
                .collect(),
        }
    }
}

fn brief(
    state: &State,
    sandbox: &Sandbox,
    [host, none]: &[EndpointBrief<'static>; 2],
) -> SandboxBrief<'static> {
    let mut ports = Bindings::new();
    if !sandbox.ports.is_empty() {
        let targets = state.port_targets(sandbox.id);
        let published = sandbox.ports.iter();
        ports = bindings_of(published.map(|port| (port, targets.of(port).is_some())));
    }
    let networks: Networks<'static> = match sandbox.mode {
        Mode::Host => vec![("host".into(), host.clone())],
        Mode::None => vec![("none".into(), none.clone())],
        Mode::Shared(_) => Vec::new(),
        Mode::Bridge => connections(state, sandbox),
    };
    let is_connected = sandbox.mode == Mode::Bridge && !networks.is_empty();
    for port in exposed_ports(sandbox).into_keys().filter(|_| is_connected) {
        ports.entry(port).or_default();
    }
    SandboxBrief {
        id: sandbox.id.to_string().into(),
        name: sandbox.name.to_string().into(),
        created: rfc3339(sandbox.created).into(),
        state: "running".into(),
        owner: sandbox.owner.name().into(),
        labels: sandbox.labels.clone(),
        ports,
        networks,
    }
}

fn connections(state: &State, sandbox: &Sandbox) -> Networks<'static> {
    let endpoints = state.endpoints_of_sandbox(sandbox.id).into_iter();
    let named = endpoints.filter_map(|endpoint| {
        let network = state.network(endpoint.network)?;
        let shown = connection(endpoint, network.id.to_string());
        Some((network.name.to_string().into(), shown))
    });
    let mut networks: Networks<'static> = named.collect();
    networks.sort_by(|(a, _), (b, _)| a.cmp(b));
    networks
}

fn connection(endpoint: &Endpoint, network_id: String) -> EndpointBrief<'static> {
    let first = |family: fn(&IpAddr) -> bool| {
        let mut addresses = endpoint.addresses.iter().map(|net| net.addr());
        let first = addresses.find(family);
        let text = first.map(|address| address.to_string());
        Cow::from(text.unwrap_or_default())
    };
    EndpointBrief {
        network_id: network_id.into(),
        ip_address: first(IpAddr::is_ipv4),
        global_ipv6_address: first(IpAddr::is_ipv6),
    }
}

/// A few pairs as the object that a map would be.
mod pairs {
    use std::fmt;

    use serde::{
        Deserializer, Serializer,
        de::{MapAccess, Visitor},
    };

    use super::Networks;

    pub(super) fn serialize<S: Serializer>(
        networks: &Networks<'_>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(networks.iter().map(|(name, shown)| (name, shown)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Networks<'de>, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Networks<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("networks by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut networks = Vec::new();
                // Names have no letters that JSON would have to write otherwise.
                while let Some((name, shown)) = map.next_entry::<&str, _>()? {
                    networks.push((name.into(), shown));
                }
                Ok(networks)
            }
        }

        deserializer.deserialize_map(Pairs)
    }
}
