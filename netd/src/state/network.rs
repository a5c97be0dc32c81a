//! Networks: create, remove, prune, and the three that always exist.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use ipnet::IpNet;

use super::{
    Refusal, Reply,
    apply::{Draft, bounds, next_index, own, within},
    change::Change,
    config_network::config_subnets,
    ipam::check_subnet,
    pool::{HostRanges, next_subnet, unique_local},
    request::{DriverSpec, NetworkSpec, SubnetSpec},
    settings::Context,
    table::State,
};
use crate::model::{
    Id, IfName, Name, Network,
    network::{BridgeOptions, Driver, Ipam, Lifetime, Owner, Scope, Subnet},
};

/// Names that only the predefined networks have; `default` is Docker's word for `bridge`.
const RESERVED_NAMES: [&str; 4] = ["bridge", "host", "none", "default"];

/// The resolver's host-side interface: no bridge may have its name.
pub const RESOLVER_INTERFACE: &str = "netd-dns";

impl State {
    /// Makes `bridge`, `host` and `none` where they are missing, and fits an unused default network
    /// to the settings. An empty change: all is there.
    pub fn predefine(&mut self, context: &mut Context<'_>) -> Result<Change, Refusal> {
        let ((), change) = self.draft(context, |draft| draft.predefine())?;
        Ok(change)
    }
}

impl Draft<'_, '_> {
    fn predefine(&mut self) -> Result<(), Refusal> {
        for (name, driver) in [("host", Driver::Host), ("none", Driver::None)] {
            if self.predefined(name).is_none() {
                let network = self.plain_network(name.parse()?, driver);
                self.put_network(network)?;
            }
        }
        let existing = self.predefined("bridge").cloned();
        if let Some(existing) = existing {
            if self.fits_settings(&existing) {
                return Ok(());
            }
            if self
                .state
                .endpoints_of_network(existing.id)
                .next()
                .is_some()
            {
                return Err(Refusal::Invalid(
                    "the default network has endpoints: its bridge, bip and mtu cannot change now"
                        .to_owned(),
                ));
            }
            self.delete_network(existing.id);
        }
        let settings = self.context.settings;
        let mut network = self.plain_network(
            "bridge".parse()?,
            Driver::Bridge(BridgeOptions {
                name: settings.bridge.clone(),
                icc: true,
                masquerade: true,
                mtu: settings.mtu,
                host_binding: None,
            }),
        );
        self.refuse_bridge_name(&settings.bridge)?;
        let given = settings.bip.map(|bip| SubnetSpec {
            pool: bip,
            range: None,
            gateway: Some(bip.addr()),
            aux: BTreeMap::new(),
        });
        network.subnets = self.subnets(network.id, given.as_slice(), false, false)?;
        self.put_network(network)
    }

    fn predefined(&self, name: &str) -> Option<&Network> {
        let name: Name = name.parse().ok()?;
        let id = self.state.index.network_names.get(&(name, Owner::Netd))?;
        self.state.networks.get(id)
    }

    fn fits_settings(&self, network: &Network) -> bool {
        let settings = self.context.settings;
        let gateway = network.gateways().next();
        network
            .bridge()
            .is_some_and(|bridge| bridge.name == settings.bridge && bridge.mtu == settings.mtu)
            && settings.bip.is_none_or(|bip| Some(bip) == gateway)
    }

    fn plain_network(&mut self, name: Name, driver: Driver) -> Network {
        let id = self.fresh_id();
        Network {
            id,
            index: self.network_index(),
            name,
            owner: Owner::Netd,
            driver,
            scope: Scope::Local,
            lifetime: Lifetime::UntilRemoved,
            ipam: Ipam::Default,
            subnets: Vec::new(),
            ipv6: false,
            internal: false,
            attachable: false,
            config_from: None,
            labels: BTreeMap::new(),
            options: BTreeMap::new(),
            created: self.context.now,
            predefined: true,
        }
    }

    fn network_index(&mut self) -> u32 {
        let meta = &mut self.state.meta;
        meta.last_network = next_index(&self.state.index.network_numbers, meta.last_network);
        meta.last_network
    }

    pub(super) fn create_network(&mut self, spec: &NetworkSpec) -> Result<Reply, Refusal> {
        let name = &spec.name;
        if RESERVED_NAMES.contains(&name.as_str()) {
            return Err(Refusal::PredefinedName(name.to_string()));
        }
        let key = (name.clone(), spec.owner);
        if self.state.index.network_names.contains_key(&key) {
            return Err(Refusal::NetworkExists(name.to_string()));
        }
        self.check_config_from(spec)?;
        let id = self.given_or_fresh(spec.id)?;
        let (driver, subnets) = match &spec.driver {
            bridge @ DriverSpec::Bridge { .. } => {
                let options = self.bridge_options(id, bridge)?;
                let subnets = self.subnets(id, &spec.subnets, spec.ipv6, spec.force)?;
                (Driver::Bridge(options), subnets)
            }
            DriverSpec::Config => (Driver::Config(config_subnets(spec)?), Vec::new()),
        };
        let network = Network {
            id,
            index: self.network_index(),
            name: name.clone(),
            owner: spec.owner,
            driver,
            scope: Scope::Local,
            lifetime: Lifetime::UntilRemoved,
            ipam: Ipam::Default,
            subnets,
            ipv6: spec.ipv6,
            internal: spec.internal,
            attachable: spec.attachable,
            config_from: spec.config_from.clone(),
            labels: spec.labels.clone(),
            options: spec.options.clone(),
            created: self.context.now,
            predefined: false,
        };
        self.put_network(network)?;
        let (limit, what) = bounds::SUBNETS;
        within(self.state.ipam.subnet_count(), limit, what)?;
        Ok(Reply::Created {
            id,
            warnings: Vec::new(),
        })
    }

    pub(super) fn given_or_fresh(&mut self, given: Option<Id>) -> Result<Id, Refusal> {
        let Some(id) = given else {
            return Ok(self.fresh_id());
        };
        let used = self.state.networks.contains_key(&id) || self.state.sandboxes.contains_key(&id);
        if used {
            return Err(Refusal::IdExists(id));
        }
        Ok(id)
    }

    fn bridge_options(&self, id: Id, spec: &DriverSpec) -> Result<BridgeOptions, Refusal> {
        let DriverSpec::Bridge {
            name,
            icc,
            masquerade,
            mtu,
            host_binding,
        } = spec
        else {
            return Err(Refusal::Invalid(
                "no options of the bridge driver".to_owned(),
            ));
        };
        let name = match name {
            Some(name) => name.clone(),
            None => format!("br-{}", id.short()).parse()?,
        };
        self.refuse_bridge_name(&name)?;
        let mtu = mtu.unwrap_or(self.context.settings.mtu);
        if !(68..=65_535).contains(&mtu) {
            return Err(Refusal::Invalid(format!("invalid MTU number: {mtu}")));
        }
        Ok(BridgeOptions {
            name,
            icc: icc.unwrap_or(true),
            masquerade: masquerade.unwrap_or(true),
            mtu,
            host_binding: *host_binding,
        })
    }

    /// A bridge's name may be neither netd's nor an interface of the host.
    fn refuse_bridge_name(&self, name: &IfName) -> Result<(), Refusal> {
        let facts = self.context.facts;
        let taken = self.state.index.interfaces.contains_key(name)
            || ["lo", RESOLVER_INTERFACE].contains(&name.as_str())
            || facts.uplinks.contains_key(name);
        if taken {
            return Err(Refusal::BridgeNameInUse(name.to_string()));
        }
        Ok(())
    }

    /// The network's subnets: those asked for, and automatic ones for families without.
    fn subnets(
        &mut self,
        id: Id,
        specs: &[SubnetSpec],
        ipv6: bool,
        force: bool,
    ) -> Result<Vec<Subnet>, Refusal> {
        let is_v6 = |spec: &SubnetSpec| matches!(spec.pool, IpNet::V6(_));
        for family in [false, true] {
            if specs.iter().filter(|spec| is_v6(spec) == family).count() > 1 {
                return Err(Refusal::Invalid(
                    "bridge driver doesn't support multiple subnets".to_owned(),
                ));
            }
        }
        let (v4, v6) = (
            specs.iter().find(|spec| !is_v6(spec)),
            specs.iter().find(|spec| is_v6(spec)),
        );
        if let (Some(v6), false) = (v6, ipv6) {
            return Err(Refusal::Invalid(format!(
                "subnet {} needs IPv6 enabled on the network (--ipv6)",
                v6.pool
            )));
        }
        let interfaces = &self.state.index.interfaces;
        let host = HostRanges::new(self.context.facts, |link| interfaces.contains_key(link));
        let mut subnets = vec![match v4 {
            Some(spec) => self.given_subnet(spec, &host, force)?,
            None => self.automatic_subnet(id, false, &host)?,
        }];
        match v6 {
            Some(spec) => subnets.push(self.given_subnet(spec, &host, force)?),
            None if ipv6 => subnets.push(self.automatic_subnet(id, true, &host)?),
            None => {}
        }
        Ok(subnets)
    }

    fn given_subnet(
        &self,
        spec: &SubnetSpec,
        host: &HostRanges,
        force: bool,
    ) -> Result<Subnet, Refusal> {
        let subnet = check_subnet(Subnet {
            pool: spec.pool.trunc(),
            range: spec.range.map(|range| range.trunc()),
            gateway: spec.gateway,
            aux: spec.aux.clone(),
            automatic: false,
            last: None,
        })?;
        if self.state.ipam.overlapping(&subnet.pool).is_some() {
            return Err(Refusal::PoolOverlaps);
        }
        match host.overlapping(&subnet.pool) {
            Some(what) if !force => Err(Refusal::HostOverlap {
                pool: subnet.pool.to_string(),
                what: what.to_owned(),
            }),
            _ => Ok(subnet),
        }
    }

    fn automatic_subnet(
        &mut self,
        id: Id,
        ipv6: bool,
        host: &HostRanges,
    ) -> Result<Subnet, Refusal> {
        let pools = &self.context.settings.address_pools;
        let (ipam, last) = (
            &self.state.ipam,
            &mut self.state.meta.last_pool[usize::from(ipv6)],
        );
        let found = next_subnet(pools, ipv6, *last, ipam, host);
        if found.is_some() {
            *last = found;
        }
        let derived = || ipv6.then(|| unique_local(id, ipam, host)).flatten();
        let family = if ipv6 { "IPv6" } else { "IPv4" };
        let pool = found
            .or_else(derived)
            .ok_or(Refusal::PoolsExhausted(family))?;
        check_subnet(Subnet {
            pool,
            range: None,
            gateway: None,
            aux: BTreeMap::new(),
            automatic: true,
            last: None,
        })
    }

    pub(super) fn remove_network(&mut self, text: &str, force: bool) -> Result<Reply, Refusal> {
        let network = match self.state.find_network(text, Owner::Netd) {
            Err(Refusal::NoSuchNetwork(_)) if force => return Ok(Reply::Done),
            found => found?,
        };
        let (id, name) = (network.id, network.name.to_string());
        if network.predefined {
            return Err(Refusal::Predefined(name));
        }
        own(&name, network.owner, Owner::Netd)?;
        if self.state.is_in_use(network) {
            return Err(Refusal::ActiveEndpoints { name, id });
        }
        self.delete_network(id);
        Ok(Reply::Done)
    }
}

/// Where published ports are heard on a network by default; the wildcard says nothing.
pub(super) fn host_binding(network: &Network) -> Option<IpAddr> {
    let binding = network.bridge()?.host_binding?;
    (binding != IpAddr::from(Ipv4Addr::UNSPECIFIED)).then_some(binding)
}
