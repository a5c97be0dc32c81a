//! An endpoint by itself, as `inspect` shows it: what its sandbox shows of it, whose it is, and its
//! interfaces. Docker has no such object; its fields are Docker's where a sandbox or network has them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::sandbox_shape::EndpointShape;
use crate::state::view::EndpointView;

/// An endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct EndpointObject {
    /// 64 digits.
    pub id: String,
    /// The network's name.
    pub network: String,
    /// The sandbox's name; empty while it is not joined.
    pub sandbox: String,
    /// 64 digits; empty while it is not joined.
    #[serde(rename = "SandboxID")]
    pub sandbox_id: String,
    /// The interface inside.
    pub interface: String,
    /// Its far end on the host; of macvlan the interface has none, and this is its name meanwhile.
    pub host_interface: String,
    /// The sandbox's default route leads through it, of IPv4 or IPv6.
    pub is_gateway: bool,
    /// As the sandbox shows it.
    #[serde(flatten)]
    pub settings: EndpointShape,
}

impl EndpointObject {
    /// The endpoint with what surrounds it.
    pub fn new(view: &EndpointView) -> EndpointObject {
        let (id, name) = view.sandbox.clone().unzip();
        EndpointObject {
            id: view.endpoint.id.to_string(),
            network: view.network.name.to_string(),
            sandbox: name.unwrap_or_default(),
            sandbox_id: id.map(|id| id.to_string()).unwrap_or_default(),
            interface: view.endpoint.interface.to_string(),
            host_interface: view.endpoint.host_interface.to_string(),
            is_gateway: view.is_gateway.contains(&true),
            settings: EndpointShape::new(view),
        }
    }
}
