//! What is compared: each mode is a lab of its own with the same shape (`topology`), and its own way
//! to publish ports and to let containers out.

mod iptables;
mod netd;
mod nftables;
mod none;

use std::{net::SocketAddr, path::Path as FilePath};

use anyhow::{Result, bail};

use crate::{
    rules::Port,
    topology::{Path, Place},
};

pub use self::{
    iptables::{Iptables, Kind},
    netd::Netd,
    nftables::Nftables,
    none::None,
};

/// Names of all modes, in the order in which they take turns.
pub const ALL: [&str; 5] = [
    "none",
    "iptables-nft",
    "iptables-legacy",
    "nftables",
    "netd",
];

/// A mode that is set up.
pub trait Mode {
    /// As records name it.
    fn name(&self) -> &'static str;

    /// Its namespaces.
    fn place(&self) -> &Place;

    /// What a path's client dials for a published port.
    ///
    /// # Errors
    /// If the mode does not have the path; the text says why.
    fn dial(&self, path: Path, port: u16) -> Result<SocketAddr> {
        Ok(path.published(port))
    }

    /// Flows in its table now: what a look-up for a packet looks through.
    fn flows(&self) -> Result<u64> {
        let count = self
            .place()
            .host()
            .read_sysctl("net.netfilter.nf_conntrack_count")?;
        Ok(count.parse()?)
    }
}

/// Sets a mode up with these ports published.
///
/// # Errors
/// If it cannot be had on this machine, such as without the program that loads its rules.
pub fn start(mode: &str, netd: &FilePath, ports: &[Port]) -> Result<Box<dyn Mode>> {
    Ok(match mode {
        "none" => Box::new(None::start(netd)?),
        "iptables-nft" => Box::new(Iptables::start(Kind::Nft, netd, ports)?),
        "iptables-legacy" => Box::new(Iptables::start(Kind::Legacy, netd, ports)?),
        "nftables" => Box::new(Nftables::start(netd, ports, false)?),
        "netd" => Box::new(Netd::start(netd, ports)?),
        _ => bail!("no mode has the name {mode}"),
    })
}
