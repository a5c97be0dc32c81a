//! Reading requests: JSON bodies of bounded size and query parameters, both without unknown fields.

use axum::{
    body::to_bytes,
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::request::Parts,
};
use serde::{Deserialize, de::DeserializeOwned};

use super::{ApiError, Code};

/// Octets of a body. A sandbox with ten thousand ports fits.
pub const MAX_BODY: usize = 1 << 20;

/// A JSON body.
pub struct Body<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Body<T>, ApiError> {
        let bytes = to_bytes(request.into_body(), MAX_BODY).await.map_err(|_| {
            let text = format!("the body is cut off or larger than {MAX_BODY} bytes");
            ApiError::new(Code::TooLarge, text)
        })?;
        // A body that may be left out has only optional fields.
        let bytes = if bytes.is_empty() { b"{}" } else { &bytes[..] };
        serde_json::from_slice(bytes)
            .map(Body)
            .map_err(|error| ApiError::bad(error.to_string()))
    }
}

/// `?dangling=true`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dangling {
    /// Only networks that nothing is connected to, or only the others.
    pub dangling: Option<bool>,
}

/// `?force=true`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Force {
    /// Whether it was given.
    pub force: bool,
}

/// Query parameters.
pub struct Parameters<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(parameters)| Parameters(parameters))
            .map_err(|error| ApiError::bad(error.body_text()))
    }
}
