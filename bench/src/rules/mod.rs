//! The rule sets that netd is compared with: what Docker writes, and the strongest form that
//! nftables has for the same. Text that `iptables-restore` and `nft -f` load; nothing here runs them.

mod docker;
mod history;
mod nft;

#[cfg(test)]
mod tests;

pub use docker::docker;
pub use history::{History, Network, Port, Protocol};
pub use nft::nftables;
