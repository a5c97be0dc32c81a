//! Random histories of one network's addresses, played against a list of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;
use proptest::prelude::*;

use super::{Host, create, ipam::counters, network, sandbox};
use crate::state::{
    Request,
    request::{EndpointSpec, NetworkSpec, SandboxSpec, SubnetSpec},
};

/// A step of a history.
#[derive(Clone, Copy, Debug)]
enum Step {
    Automatic,
    /// The address with this number in the subnet.
    Fixed(u8),
    /// The sandbox with this number among those there are.
    Remove(u8),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Automatic),
        2 => (0u8..16).prop_map(Step::Fixed),
        3 => any::<u8>().prop_map(Step::Remove),
    ]
}

fn nth(net: &IpNet, n: u8) -> IpAddr {
    match net.network() {
        IpAddr::V4(first) => (first.to_bits() + u32::from(n)).to_be_bytes().into(),
        IpAddr::V6(first) => (first.to_bits() + u128::from(n)).to_be_bytes().into(),
    }
}

proptest! {
    /// No address twice, none outside of the range, no gateway's, no reserved one; refused if and
    /// only if none is left; a released one is not given out while another is free; the counters
    /// agree.
    #[test]
    fn addresses_are_given_out_once(
        ipv6 in any::<bool>(),
        bits in 0u8..=4,
        range in prop::option::of((0u8..=4, 0u8..16)),
        gateway in prop::option::of(0u8..16),
        aux in prop::collection::vec(0u8..16, 0..3),
        steps in prop::collection::vec(any_step(), 1..60),
    ) {
        let (base, all_bits) = if ipv6 { ("fd00:7::", 128) } else { ("10.7.0.0", 32) };
        let pool: IpNet = format!("{base}/{}", all_bits - bits).parse().unwrap();
        let inside = |n: u8| nth(&pool, n % (1 << bits));
        let range = range.map(|(range_bits, at)| {
            let length = all_bits - range_bits.min(bits);
            IpNet::new(inside(at), length).unwrap().trunc()
        });
        let aux: BTreeMap<String, IpAddr> =
            aux.iter().map(|n| (format!("aux{n}"), inside(*n))).collect();
        let mut host = Host::new();
        let spec = NetworkSpec {
            ipv4: !ipv6,
            ipv6,
            subnets: vec![SubnetSpec { pool, range, gateway: gateway.map(inside), aux: aux.clone() }],
            ..network("x")
        };
        // Some wishes cannot be had: what was reserved twice, no room for a gateway.
        if host.apply(&Request::NetworkCreate(spec)).is_err() {
            return Ok(());
        }
        let gateway = host.state.inspect_network("x").unwrap().network.subnets[0].gateway.unwrap();
        let reserved: BTreeSet<IpAddr> = match bits {
            0 | 1 => BTreeSet::new(),
            _ if ipv6 => [pool.network()].into(),
            _ => [pool.network(), pool.broadcast()].into(),
        };
        let never: BTreeSet<IpAddr> =
            reserved.into_iter().chain(aux.into_values()).chain([gateway]).collect();
        let range = range.unwrap_or(pool);
        let mut held: Vec<(String, IpAddr)> = Vec::new();
        let (mut last_released, mut last_automatic) = (None, None);
        for (i, step) in steps.into_iter().enumerate() {
            let name = format!("s{i}");
            let taken = |address: &IpAddr| {
                never.contains(address) || held.iter().any(|(_, other)| other == address)
            };
            let free: Vec<IpAddr> = (0..16u8)
                .map(|n| nth(&pool, n))
                .filter(|address| range.contains(address) && !taken(address))
                .collect();
            match step {
                Step::Automatic => {
                    let made = host.apply(&create(sandbox(&name, &["x"])));
                    prop_assert_eq!(made.is_ok(), !free.is_empty(), "{:?}", made);
                    if made.is_ok() {
                        let view = host.state.inspect_sandbox(&name).unwrap();
                        let address = view.endpoints[0].endpoint.address(ipv6).unwrap();
                        prop_assert!(free.contains(&address), "{address} of {free:?}");
                        let others = free.iter().any(|other| *other != address);
                        let again = last_released == Some(address) && last_automatic == Some(address);
                        prop_assert!(!again || !others, "{address} was released just now");
                        last_automatic = Some(address);
                        held.push((name, address));
                    }
                }
                Step::Fixed(n) => {
                    let address = inside(n);
                    let endpoint = match address {
                        IpAddr::V4(ip) => EndpointSpec { ip: Some(ip), ..EndpointSpec::default() },
                        IpAddr::V6(ip6) => EndpointSpec { ip6: Some(ip6), ..EndpointSpec::default() },
                    };
                    let made = host.apply(&create(SandboxSpec {
                        networks: vec![("x".to_owned(), endpoint)],
                        ..sandbox(&name, &[])
                    }));
                    prop_assert_eq!(made.is_ok(), !taken(&address), "{:?}", made);
                    if made.is_ok() {
                        held.push((name, address));
                    }
                }
                Step::Remove(n) if !held.is_empty() => {
                    let (sandbox, address) = held.remove(usize::from(n) % held.len());
                    let removed = host.apply(&Request::SandboxRemove { sandbox, force: false });
                    prop_assert!(removed.is_ok());
                    last_released = Some(address);
                }
                Step::Remove(_) => {}
            }
            let used = never.len() + held.len();
            let taken = |address: &IpAddr| {
                never.contains(address) || held.iter().any(|(_, other)| other == address)
            };
            let free = (0..1u8 << bits)
                .map(|n| nth(&pool, n))
                .filter(|address| range.contains(address) && !taken(address))
                .count();
            prop_assert_eq!(counters(&host, "x"), [(used as u64, free as u64)]);
        }
    }
}
