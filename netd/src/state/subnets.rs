//! The subnets of a new network: those asked for, and automatic ones for families without; checked
//! against each other, against other networks and against the host.

use std::collections::BTreeMap;

use ipnet::{IpNet, Ipv6Net};

use super::{
    Refusal,
    apply::Draft,
    ipam::{bounds, check_subnet},
    pool::{HostRanges, next_subnet},
    request::{DriverSpec, SubnetSpec},
    settings::AddressPool,
};
use crate::model::network::{GatewayMode, Ipam, Subnet};

/// What a driver makes of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// Several subnets of one family.
    pub several: bool,
    /// A gateway is taken where none was given: IPv4, IPv6.
    pub gateways: [bool; 2],
    /// A network without any address.
    pub bare: bool,
}

impl Rules {
    /// A configuration is checked by the driver of each network that is made from it.
    const CONFIG: Rules = Rules {
        several: true,
        gateways: [false; 2],
        bare: true,
    };

    /// A bridge has one gateway's address of each family, and endpoints are known by theirs.
    pub(super) const BRIDGE: Rules = Rules {
        several: false,
        gateways: [true; 2],
        bare: false,
    };
}

impl DriverSpec {
    pub(super) fn rules(&self, internal: bool) -> Rules {
        match self {
            DriverSpec::Bridge { gateway, .. } => Rules {
                gateways: (gateway.modes).map(|mode| mode != GatewayMode::Isolated),
                ..Rules::BRIDGE
            },
            DriverSpec::Macvlan { parent, .. } => Rules {
                several: true,
                // Where it would lead nowhere, none is set aside.
                gateways: [parent.is_some() && !internal; 2],
                bare: true,
            },
            DriverSpec::Config => Rules::CONFIG,
        }
    }
}

/// The subnets that a network is to have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    /// As they were asked for.
    pub specs: &'a [SubnetSpec],
    /// Which families the network speaks: IPv4, IPv6.
    pub families: [bool; 2],
    /// The driver's.
    pub rules: Rules,
    /// Who gives addresses.
    pub ipam: Ipam,
    /// A subnet may overlap with the host.
    pub force: bool,
}

impl Wish<'_> {
    fn of_family(&self, ipv6: bool) -> Vec<&SubnetSpec> {
        let specs = self.specs.iter();
        specs.filter(|spec| is_v6(&spec.pool) == ipv6).collect()
    }

    fn check(&self) -> Result<(), Refusal> {
        let refuse = |text: String| Err(Refusal::Invalid(text));
        let families = [(false, "IPv4", "--ipv4"), (true, "IPv6", "--ipv6")];
        for (ipv6, name, flag) in families {
            let specs = self.of_family(ipv6);
            if let (Some(spec), false) = (specs.first(), self.families[usize::from(ipv6)]) {
                let pool = spec.pool;
                return refuse(format!(
                    "subnet {pool} needs {name} enabled on the network ({flag})"
                ));
            }
            if specs.len() > 1 && !self.rules.several {
                return refuse("bridge driver doesn't support multiple subnets".to_owned());
            }
        }
        if self.ipam == Ipam::None && !self.specs.is_empty() {
            return refuse(
                "null ipam driver does not handle specific address pool requests".to_owned(),
            );
        }
        let without = self.ipam == Ipam::None || self.families == [false; 2];
        match without && !self.rules.bare {
            true if self.ipam == Ipam::None => refuse(
                "bridge networks need addresses: the null ipam driver is not for them".to_owned(),
            ),
            true => refuse("IPv4 or IPv6 must be enabled".to_owned()),
            false => Ok(()),
        }
    }
}

fn is_v6(pool: &IpNet) -> bool {
    matches!(pool, IpNet::V6(_))
}

impl Draft<'_, '_> {
    /// Chooses and checks a network's subnets, IPv4 first.
    pub(super) fn subnets(&mut self, wish: &Wish<'_>) -> Result<Vec<Subnet>, Refusal> {
        wish.check()?;
        let mut subnets = Vec::new();
        if wish.ipam == Ipam::None {
            return Ok(subnets);
        }
        let interfaces = &self.state.index.interfaces;
        let host = HostRanges::new(self.context.facts, |link| interfaces.contains_key(link));
        for (ipv6, gateway) in [false, true].into_iter().zip(wish.rules.gateways) {
            if !wish.families[usize::from(ipv6)] {
                continue;
            }
            let specs = wish.of_family(ipv6);
            let automatic = SubnetSpec::automatic(ipv6);
            let specs = if specs.is_empty() {
                vec![&automatic]
            } else {
                specs
            };
            for spec in specs {
                let subnet = self.subnet(spec, &subnets, &host, wish.force)?;
                subnets.push(check_subnet(subnet, gateway)?);
            }
        }
        Ok(subnets)
    }

    /// One subnet that overlaps with nothing; not yet with its gateway.
    fn subnet(
        &mut self,
        spec: &SubnetSpec,
        siblings: &[Subnet],
        host: &HostRanges,
        force: bool,
    ) -> Result<Subnet, Refusal> {
        let automatic = spec.pool.addr().is_unspecified();
        let pool = if automatic {
            self.automatic_pool(&spec.pool, siblings, host)?
        } else {
            let pool = spec.pool.trunc();
            let overlaps = |sibling: &Subnet| end_of_overlap(&pool, &sibling.pool).is_some();
            if self.state.ipam.overlapping(&pool).is_some() || siblings.iter().any(overlaps) {
                return Err(Refusal::PoolOverlaps);
            }
            match host.overlapping(&pool) {
                Some(what) if !force => {
                    return Err(Refusal::HostOverlap {
                        pool: pool.to_string(),
                        what: what.to_owned(),
                    });
                }
                _ => pool,
            }
        };
        Ok(Subnet {
            pool,
            range: spec.range.map(|range| range.trunc()),
            gateway: spec.gateway,
            aux: spec.aux.clone(),
            automatic,
            last: None,
        })
    }

    /// The next free piece of the default pools. A wish for a size (`0.0.0.0/24`) takes the first
    /// free piece of that size and leaves the cursor alone, so that small subnets stay together.
    fn automatic_pool(
        &mut self,
        wish: &IpNet,
        siblings: &[Subnet],
        host: &HostRanges,
    ) -> Result<IpNet, Refusal> {
        let ipv6 = is_v6(wish);
        let size = Some(wish.prefix_len()).filter(|size| *size > 0);
        let pools = self.pools(ipv6, size);
        if let (Some(size), true) = (size, pools.is_empty()) {
            return Err(Refusal::Invalid(format!(
                "invalid address pool: no default pool has subnets of /{size}"
            )));
        }
        let last = self.state.meta.last_pool[usize::from(ipv6)].filter(|_| size.is_none());
        let ipam = &self.state.ipam;
        let blocked = |net: &IpNet| {
            let siblings = siblings.iter();
            let sibling = siblings.filter_map(|subnet| end_of_overlap(net, &subnet.pool));
            let others = [ipam.end_of_overlap(net), host.end_of_overlap(net)];
            sibling.chain(others.into_iter().flatten()).max()
        };
        let found = next_subnet(&pools, last, blocked);
        let family = if ipv6 { "IPv6" } else { "IPv4" };
        let found = found.ok_or(Refusal::PoolsExhausted(family))?;
        if size.is_none() {
            self.state.meta.last_pool[usize::from(ipv6)] = Some(found);
        }
        Ok(found)
    }

    /// The default pools of a family that have pieces of the size. Without a setting IPv6 has one:
    /// a private /48 (RFC 4193) whose random bits are drawn once and kept in the store, cut into /64s.
    fn pools(&mut self, ipv6: bool, size: Option<u8>) -> Vec<AddressPool> {
        let settings = self.context.settings.address_pools.iter();
        let mut pools: Vec<AddressPool> = settings
            .filter(|pool| is_v6(&pool.base) == ipv6)
            .copied()
            .collect();
        if ipv6 && pools.is_empty() {
            let global_id = match self.state.meta.global_id {
                Some(global_id) => global_id,
                None => {
                    let [a, b, c, d, e, ..] = self.context.ids.next().0;
                    *self.state.meta.global_id.insert([a, b, c, d, e])
                }
            };
            pools.push(unique_local(global_id));
        }
        if let Some(size) = size {
            pools.retain(|pool| pool.base.prefix_len() <= size);
            pools.iter_mut().for_each(|pool| pool.size = size);
        }
        pools
    }
}

impl SubnetSpec {
    /// Any free piece of the default pools.
    fn automatic(ipv6: bool) -> SubnetSpec {
        let any = match ipv6 {
            false => IpNet::new_assert(std::net::Ipv4Addr::UNSPECIFIED.into(), 0),
            true => IpNet::new_assert(std::net::Ipv6Addr::UNSPECIFIED.into(), 0),
        };
        SubnetSpec {
            pool: any,
            range: None,
            gateway: None,
            aux: BTreeMap::new(),
        }
    }
}

fn unique_local([a, b, c, d, e]: [u8; 5]) -> AddressPool {
    let mut octets = [0; 16];
    octets[..6].copy_from_slice(&[0xfd, a, b, c, d, e]);
    AddressPool {
        base: IpNet::V6(Ipv6Net::new_assert(octets.into(), 48)),
        size: 64,
    }
}

/// The last number of `other` if the two overlap.
fn end_of_overlap(net: &IpNet, other: &IpNet) -> Option<u128> {
    let ((a, b), (c, d)) = (bounds(net), bounds(other));
    (a <= d && c <= b).then_some(d)
}
