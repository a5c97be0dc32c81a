//! netd: its agent runs in the lab's host, and everything is made through its command line.

use std::path::Path as FilePath;

use anyhow::{Context, Result};

use super::Mode;
use crate::{rules::Port, topology::Place};

/// The mode `netd`.
pub struct Netd(Place);

impl Netd {
    /// Sets it up.
    pub fn start(netd: &FilePath, ports: &[Port]) -> Result<Netd> {
        Ok(Netd(Place::with_netd("bench-netd", netd, ports)?))
    }
}

impl Mode for Netd {
    fn name(&self) -> &'static str {
        "netd"
    }

    fn place(&self) -> &Place {
        &self.0
    }

    /// Established ones. Both halves of a flow are entries.
    fn flows(&self) -> Result<u64> {
        let text = self.0.host().run_checked("netd status -f json")?;
        let status: serde_json::Value = serde_json::from_str(&text)?;
        let maps = status["maps"].as_array().into_iter().flatten();
        let used = maps
            .filter(|map| map["name"] == "FLOWS")
            .find_map(|map| map["used"].as_u64());
        Ok(used.context("netd's status tells nothing of FLOWS")? / 2)
    }
}
