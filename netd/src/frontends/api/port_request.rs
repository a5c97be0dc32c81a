//! Ports in bodies: published, exposed, to be unpublished. Unknown fields are refused.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ApiError;
use crate::{
    model::{ExposedPorts, PortRange, Protocol},
    state::request::{PortName, PortSpec},
};

/// A port to be published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PortRequest {
    /// An address of the host; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub host_address: Option<IpAddr>,
    /// Host ports; none: any free one. A range for one port inside: its first free one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Ports>,
    /// Ports inside.
    pub target: Ports,
    /// `tcp` unless given.
    #[serde(default = "tcp")]
    pub protocol: Transport,
}

/// Ports that are exposed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExposedRequest {
    /// Ports inside.
    pub ports: Ports,
    /// `tcp` unless given.
    #[serde(default = "tcp")]
    pub protocol: Transport,
}

/// Asks for more published ports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishRequest {
    /// As at create.
    pub ports: Vec<PortRequest>,
}

/// Asks to end published ports, and the flows to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnpublishRequest {
    /// All of them, or nothing is done.
    pub ports: Vec<HostPort>,
}

/// A published port by its host side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostPort {
    /// Where it is published; none: wherever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub host_address: Option<IpAddr>,
    /// Host ports, a range as a whole.
    pub host: Ports,
    /// `tcp` unless given.
    #[serde(default = "tcp")]
    pub protocol: Transport,
}

impl PublishRequest {
    /// What is asked for.
    pub fn check(self) -> Result<Vec<PortSpec>, ApiError> {
        self.ports.into_iter().map(PortRequest::check).collect()
    }
}

impl UnpublishRequest {
    /// What is asked for.
    pub fn check(self) -> Result<Vec<PortName>, ApiError> {
        let check = |port: HostPort| {
            Ok(PortName {
                host_address: port.host_address,
                host: port.host.check("hostPort")?,
                protocol: port.protocol.into(),
            })
        };
        self.ports.into_iter().map(check).collect()
    }
}

impl From<Transport> for Protocol {
    fn from(transport: Transport) -> Protocol {
        match transport {
            Transport::Tcp => Protocol::Tcp,
            Transport::Udp => Protocol::Udp,
            Transport::Sctp => Protocol::Sctp,
        }
    }
}

/// One port or a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ports {
    /// From 1.
    pub first: u16,
    /// The first unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u16>,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP: host ports are those inside.
    Sctp,
}

fn tcp() -> Transport {
    Transport::Tcp
}

impl PortRequest {
    /// What is asked for.
    pub(super) fn check(self) -> Result<PortSpec, ApiError> {
        let target = self.target.check("containerPort")?;
        let host = match self.host {
            Some(ports) => Some(ports.check("hostPort")?),
            None => None,
        };
        if let Some(host) = host
            && target.count() > 1
            && host.count() != target.count()
        {
            return Err(ApiError::bad(format!(
                "invalid ranges specified for container and host Ports: {}-{} and {}-{}",
                target.first, target.last, host.first, host.last
            )));
        }
        Ok(PortSpec {
            host_address: self.host_address,
            host,
            target,
            protocol: self.protocol.into(),
        })
    }
}

impl ExposedRequest {
    /// What is asked for.
    pub(super) fn check(self) -> Result<ExposedPorts, ApiError> {
        Ok(ExposedPorts {
            protocol: self.protocol.into(),
            range: self.ports.check("exposed port")?,
        })
    }
}

impl Ports {
    fn check(self, what: &str) -> Result<PortRange, ApiError> {
        let range = PortRange {
            first: self.first,
            last: self.last.unwrap_or(self.first),
        };
        if range.first == 0 || range.last < range.first {
            let text = match self.last {
                Some(last) => format!("{}-{last}", self.first),
                None => self.first.to_string(),
            };
            return Err(ApiError::bad(format!("invalid {what}: {text}")));
        }
        Ok(range)
    }
}
