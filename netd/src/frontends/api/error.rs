//! Errors of the API: a closed list of codes, each with its HTTP status; the message is Docker's
//! where Docker has the same thing, the hint says what to do.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::state::Refusal;

/// The body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiError {
    /// What kind of refusal this is.
    pub code: Code,
    /// For people.
    pub message: String,
    /// What to do about it, where that helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Every code there is. Additions are no breaking change: treat an unknown one by its HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Malformed JSON, an unknown field, a value that is none, a combination that is none.
    BadRequest,
    /// A body over the limit.
    TooLarge,
    /// No such path.
    NoSuchPath,
    /// The path does not take this method.
    BadMethod,
    /// No network of this name or id.
    NoSuchNetwork,
    /// No sandbox of this name or id.
    NoSuchSandbox,
    /// No endpoint of this id.
    NoSuchEndpoint,
    /// An id prefix that fits several objects.
    Ambiguous,
    /// The name belongs to another object.
    NameInUse,
    /// The id belongs to another object, or the same id came with another body.
    IdInUse,
    /// The object is in use and cannot go.
    InUse,
    /// A predefined network, which stays as it is.
    Predefined,
    /// The subnet belongs to another network or to the host.
    SubnetOverlaps,
    /// The address or MAC is not of the network's, or in use.
    AddressUnavailable,
    /// The host port is published already or in use by the host.
    PortAllocated,
    /// The sandbox is connected to the network already.
    AlreadyConnected,
    /// The sandbox is not connected to the network.
    NotConnected,
    /// The object belongs to another owner.
    Foreign,
    /// No subnet, address or port is left, or a limit is reached.
    Exhausted,
    /// The host refused a step; what was begun has been undone.
    HostFailure,
    /// The change could not be saved; it has been undone.
    StoreFailure,
    /// What is asked for is kept no more.
    Gone,
    /// The agent is stopping.
    Stopping,
}

impl Code {
    /// The HTTP status that goes with it.
    pub const fn status(self) -> StatusCode {
        match self {
            Code::BadRequest => StatusCode::BAD_REQUEST,
            Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Code::NoSuchPath
            | Code::NoSuchNetwork
            | Code::NoSuchSandbox
            | Code::NoSuchEndpoint
            | Code::NotConnected => StatusCode::NOT_FOUND,
            Code::BadMethod => StatusCode::METHOD_NOT_ALLOWED,
            Code::Ambiguous
            | Code::NameInUse
            | Code::IdInUse
            | Code::InUse
            | Code::SubnetOverlaps
            | Code::AddressUnavailable
            | Code::PortAllocated
            | Code::AlreadyConnected => StatusCode::CONFLICT,
            Code::Predefined | Code::Foreign => StatusCode::FORBIDDEN,
            Code::Exhausted => StatusCode::INSUFFICIENT_STORAGE,
            Code::HostFailure | Code::StoreFailure => StatusCode::INTERNAL_SERVER_ERROR,
            Code::Gone => StatusCode::GONE,
            Code::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl ApiError {
    /// An error without a hint.
    pub fn new(code: Code, message: impl Into<String>) -> ApiError {
        ApiError {
            code,
            message: message.into(),
            hint: None,
        }
    }

    /// A request that makes no sense as it is.
    pub fn bad(message: impl Into<String>) -> ApiError {
        ApiError::new(Code::BadRequest, message)
    }

    /// The agent is stopping: nothing is begun, and what takes long ends.
    pub fn stopping() -> ApiError {
        ApiError::new(Code::Stopping, "the agent is stopping")
    }

    /// The same with a hint.
    pub fn hint(self, hint: impl Into<String>) -> ApiError {
        ApiError {
            hint: Some(hint.into()),
            ..self
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.code.status(), axum::Json(self)).into_response()
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> ApiError {
        let error = ApiError::new(code(&refusal), refusal.to_string());
        match hint(&refusal) {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

fn code(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::NoSuchNetwork(_) => Code::NoSuchNetwork,
        Refusal::NoSuchSandbox(_) => Code::NoSuchSandbox,
        Refusal::NoSuchEndpoint(_) => Code::NoSuchEndpoint,
        // Docker's answer, too: the sandbox that is asked for is not the one that is missing.
        Refusal::NoSuchLinked(_) | Refusal::NotOnDefault(_) | Refusal::SctpPort { .. } => {
            Code::BadRequest
        }
        Refusal::NoSuchConfig(_) => Code::NoSuchNetwork,
        Refusal::Ambiguous(_) | Refusal::AmbiguousNetwork { .. } => Code::Ambiguous,
        Refusal::NetworkExists(_)
        | Refusal::SandboxExists { .. }
        | Refusal::BridgeNameInUse(_)
        | Refusal::NamespaceInUse(_) => Code::NameInUse,
        Refusal::IdExists(_) => Code::IdInUse,
        Refusal::ActiveEndpoints { .. } | Refusal::Shared { .. } => Code::InUse,
        Refusal::Predefined(_) | Refusal::PredefinedName(_) => Code::Predefined,
        Refusal::PoolOverlaps | Refusal::HostOverlap { .. } => Code::SubnetOverlaps,
        Refusal::PoolsExhausted(_)
        | Refusal::AddressesExhausted { .. }
        | Refusal::PortsExhausted
        | Refusal::Limit { .. } => Code::Exhausted,
        Refusal::NoSubnetForGateway(_)
        | Refusal::NoSubnetForRange(_)
        | Refusal::NoSubnetForAux(_)
        | Refusal::Invalid(_)
        | Refusal::BadName(_)
        | Refusal::HostNetwork
        | Refusal::SharedNetwork
        | Refusal::NoneNetwork => Code::BadRequest,
        Refusal::AddressInUse(_) | Refusal::AddressOutside { .. } | Refusal::MacInUse(_) => {
            Code::AddressUnavailable
        }
        Refusal::AlreadyConnected { .. } => Code::AlreadyConnected,
        Refusal::NotConnected { .. } => Code::NotConnected,
        Refusal::PortAllocated { .. } => Code::PortAllocated,
        Refusal::Foreign { .. } => Code::Foreign,
    }
}

fn hint(refusal: &Refusal) -> Option<&'static str> {
    match refusal {
        Refusal::NoSuchNetwork(_) => Some("netd network ls"),
        Refusal::NoSuchSandbox(_) | Refusal::NoSuchLinked(_) => Some("netd sandbox ls"),
        Refusal::NoSuchEndpoint(_) => Some("netd network inspect shows the ids of endpoints"),
        Refusal::NotOnDefault(_) => Some("a network of both, where --link is a name"),
        Refusal::SctpPort { .. } => Some("the same port on the host: -p PORT:PORT/sctp"),
        Refusal::NoSuchConfig(_) => Some("netd network create --config-only"),
        Refusal::Ambiguous(_) | Refusal::AmbiguousNetwork { .. } => {
            Some("more digits of the id, or the name")
        }
        Refusal::ActiveEndpoints { .. } => {
            Some("netd network inspect shows them; netd network disconnect -f removes one")
        }
        Refusal::Shared { .. } => Some("remove those first, or -f to remove them with it"),
        Refusal::PoolOverlaps => Some("netd network inspect shows the subnets in use"),
        Refusal::HostOverlap { .. } => Some("another --subnet, or --force to insist"),
        Refusal::PoolsExhausted(_) => {
            Some("--subnet, more address-pool in netd.toml, or netd network prune")
        }
        Refusal::PortAllocated { .. } => Some("netd sandbox ls shows who publishes it"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Code;

    const ALL: [Code; 23] = [
        Code::BadRequest,
        Code::TooLarge,
        Code::NoSuchPath,
        Code::BadMethod,
        Code::NoSuchNetwork,
        Code::NoSuchSandbox,
        Code::NoSuchEndpoint,
        Code::Ambiguous,
        Code::NameInUse,
        Code::IdInUse,
        Code::InUse,
        Code::Predefined,
        Code::SubnetOverlaps,
        Code::AddressUnavailable,
        Code::PortAllocated,
        Code::AlreadyConnected,
        Code::NotConnected,
        Code::Foreign,
        Code::Exhausted,
        Code::HostFailure,
        Code::StoreFailure,
        Code::Gone,
        Code::Stopping,
    ];

    #[test]
    fn the_table_in_docs_is_the_list() {
        let documented: BTreeSet<(u16, String)> = include_str!("../../../../docs/api.md")
            .lines()
            .filter_map(|line| {
                let (status, codes) = line.strip_prefix("| ")?.split_once(" | ")?;
                Some((status.parse().ok()?, codes))
            })
            .flat_map(|(status, codes)| {
                let names = codes.split('`').skip(1).step_by(2);
                names.map(move |name| (status, name.to_owned()))
            })
            .collect();
        let known: BTreeSet<(u16, String)> = ALL
            .iter()
            .map(|code| {
                let name = serde_json::to_value(code).unwrap();
                (code.status().as_u16(), name.as_str().unwrap().to_owned())
            })
            .collect();
        assert_eq!(documented, known);
    }
}
