//! Who is asked what netd does not know, and from where. Asks nobody itself.

use std::{net::SocketAddr, path::Path, sync::Arc};

/// Name servers that are asked for the same clients from the same place. What they answer is kept
/// apart from other sets' answers: servers of another network may know other names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstreams {
    /// Where questions go out.
    pub place: Place,
    /// In order of preference.
    pub servers: Vec<SocketAddr>,
}

/// Where a question goes out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The agent's own namespace.
    Host,
    /// The namespace at a path.
    Namespace(Arc<Path>),
}

impl Default for Upstreams {
    /// The host, without servers.
    fn default() -> Upstreams {
        Upstreams {
            place: Place::Host,
            servers: Vec::new(),
        }
    }
}
