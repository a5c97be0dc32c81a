//! The strongest form that netfilter has: see `rules`.

use std::path::Path as FilePath;

use anyhow::Result;

use super::{
    Mode,
    iptables::{history, load, prepare},
};
use crate::{
    rules::{Port, nftables},
    topology::Place,
};

/// The mode `nftables`.
pub struct Nftables(Place);

impl Nftables {
    /// Sets it up. With `counters` its rules count, for tests; each then costs more.
    pub fn start(netd: &FilePath, ports: &[Port], counters: bool) -> Result<Nftables> {
        let place = Place::bridged("bench-nftables", netd)?;
        prepare(&place)?;
        load(&place, "nft -f", &nftables(&history(ports), counters))?;
        Ok(Nftables(place))
    }
}

impl Mode for Nftables {
    fn name(&self) -> &'static str {
        "nftables"
    }

    fn place(&self) -> &Place {
        &self.0
    }
}
