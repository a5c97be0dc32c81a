//! Where a change's time went, told with its answer as `Server-Timing` (W3C Server Timing): shown by
//! `curl -v`, read by the benchmark.

use std::{convert::Infallible, fmt, time::Duration};

use axum::{
    http::{HeaderName, HeaderValue},
    response::{IntoResponseParts, ResponseParts},
};

const NAME: HeaderName = HeaderName::from_static("server-timing");

/// From when the agent took up a change until it was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// All of it, without the wait behind earlier changes.
    pub total: Duration,
    /// Netlink requests.
    pub netlink: Duration,
    /// Namespaces made, entered, left, and sysctls in them.
    pub namespaces: Duration,
    /// BPF maps, programs, links.
    pub bpf: Duration,
    /// The host's sysctls and sandboxes' files.
    pub files: Duration,
    /// The store's transaction.
    pub store: Duration,
}

/// Milliseconds, as the header has them.
impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("total", self.total),
            ("netlink", self.netlink),
            ("namespaces", self.namespaces),
            ("bpf", self.bpf),
            ("files", self.files),
            ("store", self.store),
        ];
        for (i, (name, duration)) in parts.into_iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            let milliseconds = duration.as_secs_f64() * 1e3;
            write!(f, "{comma}{name};dur={milliseconds:.3}")?;
        }
        Ok(())
    }
}

impl IntoResponseParts for Timing {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        if let Ok(value) = HeaderValue::from_str(&self.to_string()) {
            parts.headers_mut().insert(NAME, value);
        }
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_milliseconds() {
        let timing = Timing {
            total: Duration::from_micros(41_250),
            bpf: Duration::from_nanos(1_499),
            ..Timing::default()
        };
        expect_test::expect!["total;dur=41.250, netlink;dur=0.000, namespaces;dur=0.000, bpf;dur=0.001, files;dur=0.000, store;dur=0.000"]
            .assert_eq(&timing.to_string());
    }
}
