//! Bridges and routing alone, without rules, translation or tracking: the limit to approach. What
//! other modes publish is dialled at the container's own address, and the outside has routes to the
//! containers.

use std::{net::SocketAddr, path::Path as FilePath};

use anyhow::Result;

use super::Mode;
use crate::topology::{HOST, Network, Path, Place};

/// The mode `none`.
pub struct None(Place);

impl None {
    /// Sets it up.
    pub fn start(netd: &FilePath) -> Result<None> {
        let place = Place::bridged("bench-none", netd)?;
        for network in [Network::One, Network::Two] {
            let subnet = network.subnet();
            place
                .outside
                .run_checked(&format!("ip route add {subnet} via {HOST}"))?;
        }
        Ok(None(place))
    }
}

impl Mode for None {
    fn name(&self) -> &'static str {
        "none"
    }

    fn place(&self) -> &Place {
        &self.0
    }

    fn dial(&self, path: Path, port: u16) -> Result<SocketAddr> {
        Ok(path.routed(port))
    }

    fn flows(&self) -> Result<u64> {
        Ok(0)
    }
}
