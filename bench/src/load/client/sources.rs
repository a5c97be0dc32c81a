//! Where operations come from that need an address and port of their own each.
//!
//! Every pair is used once, so that each operation is a new flow to whoever tracks flows. The ports
//! are those that the kernel would choose by default (`ip_local_port_range`): fewer than a
//! masquerading host has for one destination (28,232 of netd's 36,280 and of netfilter's 64,512), so
//! no mode runs out of ports and none gets others than a real client would use. Ports are bound,
//! which spares the kernel's search for a free one. The server closes connections first, so no port
//! here waits in TIME_WAIT.

use std::{
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use super::unspecified;

/// The default of `ip_local_port_range`.
const FIRST_PORT: u16 = 32_768;
/// See [`FIRST_PORT`].
const PORTS: u64 = 60_999 - FIRST_PORT as u64 + 1;

/// Addresses and ports, each once.
pub struct Sources {
    first: IpAddr,
    /// All there are.
    total: u64,
    /// Where the round began: another place each time, so that what an earlier run left in a table
    /// is met as late as possible.
    begin: u64,
    used: u64,
    limit: u64,
}

impl Sources {
    /// Ports of `addresses` addresses from `first` on.
    pub fn new(first: Option<IpAddr>, to: SocketAddr, addresses: u32, limit: u64) -> Sources {
        let total = u64::from(addresses.max(1)) * PORTS;
        Sources {
            first: first.unwrap_or(unspecified(to)),
            total,
            begin: RandomState::new().hash_one(to) % total,
            used: 0,
            limit,
        }
    }
}

impl Iterator for Sources {
    type Item = SocketAddr;

    fn next(&mut self) -> Option<SocketAddr> {
        if self.used >= self.total.min(self.limit) {
            return None;
        }
        let at = (self.begin + self.used) % self.total;
        self.used += 1;
        let address = plus(self.first, at / PORTS);
        Some(SocketAddr::new(address, FIRST_PORT + (at % PORTS) as u16))
    }
}

fn plus(address: IpAddr, more: u64) -> IpAddr {
    match address {
        IpAddr::V4(v4) => Ipv4Addr::from(u32::from(v4).wrapping_add(more as u32)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6).wrapping_add(more.into())).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_pair_has_one_turn() {
        let to = "203.0.113.10:80".parse().unwrap();
        let first = "198.19.0.255".parse().unwrap();
        let all: HashSet<SocketAddr> = Sources::new(Some(first), to, 3, u64::MAX).collect();
        assert_eq!(all.len(), 3 * PORTS as usize);
        assert!(all.contains(&"198.19.1.1:60999".parse().unwrap()));
        assert!(all.contains(&"198.19.0.255:32768".parse().unwrap()));
        assert_eq!(Sources::new(None, to, 1, 10).count(), 10);
    }
}
