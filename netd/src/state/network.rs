//! Networks: create, remove, prune, and the three that always exist.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use super::{
    Refusal, Reply,
    apply::{Draft, bounds, next_index, own, within},
    change::Change,
    config_network::config_subnets,
    macvlan::reserve_for_host,
    request::{DriverSpec, NetworkSpec, SubnetSpec},
    settings::{Context, DefaultAddresses},
    subnets::{Rules, Wish},
    table::State,
};
use crate::model::{
    Id, IfName, Name, Network,
    network::{
        BridgeOptions, Driver, GatewayMode, GatewayOptions, Ipam, Lifetime, Owner, Scope, Subnet,
    },
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
                return self.set_icc(existing);
            }
            if self
                .state
                .endpoints_of_network(existing.id)
                .next()
                .is_some()
            {
                return Err(Refusal::Invalid(
                    "the default network has endpoints: its bridge, addresses and mtu cannot change now"
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
                icc: settings.icc,
                masquerade: true,
                mtu: settings.mtu,
                host_binding: None,
                interface_prefix: None,
                gateway: GatewayOptions::default(),
            }),
        );
        self.refuse_bridge_name(&settings.bridge)?;
        let addresses = settings.default_network;
        let given: Vec<SubnetSpec> = fixed_subnets(&addresses).into_iter().flatten().collect();
        network.ipv6 = addresses.ipv6;
        network.subnets = self.subnets(&Wish {
            specs: &given,
            families: [true, addresses.ipv6],
            rules: Rules::BRIDGE,
            ipam: Ipam::Default,
            force: false,
        })?;
        self.put_network(network)
    }

    /// What a network lets its endpoints do may change while they are there.
    fn set_icc(&mut self, mut network: Network) -> Result<(), Refusal> {
        let icc = self.context.settings.icc;
        match &mut network.driver {
            Driver::Bridge(options) if options.icc != icc => options.icc = icc,
            _ => return Ok(()),
        }
        self.put_network(network)
    }

    fn predefined(&self, name: &str) -> Option<&Network> {
        let name: Name = name.parse().ok()?;
        let id = self.state.index.network_names.get(&(name, Owner::Netd))?;
        self.state.networks.get(id)
    }

    /// Whether the default network is as the settings want it; where they say nothing, it stays.
    fn fits_settings(&self, network: &Network) -> bool {
        let settings = self.context.settings;
        let bridge = network
            .bridge()
            .is_some_and(|bridge| bridge.name == settings.bridge && bridge.mtu == settings.mtu);
        let wanted = fixed_subnets(&settings.default_network);
        let fits = |subnet: &Subnet| {
            let ipv6 = subnet.pool.addr().is_ipv6();
            match &wanted[usize::from(ipv6)] {
                None => subnet.range.is_none(),
                Some(spec) => {
                    let gateway = spec.gateway.is_none_or(|gw| subnet.gateway == Some(gw));
                    subnet.pool == spec.pool.trunc() && subnet.range == spec.range && gateway
                }
            }
        };
        bridge && network.ipv6 == settings.default_network.ipv6 && network.subnets.iter().all(fits)
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
            ipv4: true,
            ipv6: false,
            internal: false,
            attachable: false,
            config_from: None,
            labels: BTreeMap::new(),
            options: BTreeMap::new(),
            created: self.context.now,
            predefined: true,
            announce: None,
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
                check_modes(&options.gateway, spec)?;
                (Driver::Bridge(options), self.wished_subnets(spec)?)
            }
            macvlan @ DriverSpec::Macvlan { .. } => {
                let options = self.macvlan(id, macvlan)?;
                let mut subnets = self.wished_subnets(spec)?;
                if options.host_access.is_some() {
                    reserve_for_host(&mut subnets)?;
                }
                (Driver::Macvlan(options), subnets)
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
            ipam: spec.ipam,
            subnets,
            ipv4: spec.ipv4,
            ipv6: spec.ipv6,
            internal: spec.internal,
            attachable: spec.attachable,
            config_from: spec.config_from.clone(),
            labels: spec.labels.clone(),
            options: spec.options.clone(),
            created: self.context.now,
            predefined: false,
            announce: spec.announce,
        };
        self.put_network(network)?;
        let (limit, what) = bounds::SUBNETS;
        within(self.state.ipam.subnet_count(), limit, what)?;
        Ok(Reply::Created {
            id,
            warnings: Vec::new(),
        })
    }

    fn wished_subnets(&mut self, spec: &NetworkSpec) -> Result<Vec<Subnet>, Refusal> {
        self.subnets(&Wish {
            specs: &spec.subnets,
            families: [spec.ipv4, spec.ipv6],
            rules: spec.driver.rules(spec.internal),
            ipam: spec.ipam,
            // Macvlan sandboxes are on the host's own segment, and mostly in its subnet.
            force: spec.force || matches!(spec.driver, DriverSpec::Macvlan { .. }),
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
            interface_prefix,
            gateway,
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
            interface_prefix: interface_prefix.clone(),
            gateway: gateway.clone(),
        })
    }

    /// A bridge's name may be neither netd's nor an interface of the host.
    fn refuse_bridge_name(&self, name: &IfName) -> Result<(), Refusal> {
        let facts = self.context.facts;
        let taken = self.state.index.interfaces.contains_key(name)
            || ["lo", RESOLVER_INTERFACE].contains(&name.as_str())
            || facts.links.contains_key(name)
            || self.state.index.parents.contains_key(name);
        if taken {
            return Err(Refusal::BridgeNameInUse(name.to_string()));
        }
        Ok(())
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

/// The default network's subnets as far as they are fixed: IPv4, IPv6.
fn fixed_subnets(addresses: &DefaultAddresses) -> [Option<SubnetSpec>; 2] {
    [addresses.v4, addresses.v6].map(|fixed| {
        Some(SubnetSpec {
            pool: fixed.bip.or(fixed.range)?,
            range: fixed.range,
            gateway: fixed.bip.map(|bip| bip.addr()),
            aux: BTreeMap::new(),
        })
    })
}

/// Docker's rules about gateway modes.
fn check_modes(gateway: &GatewayOptions, spec: &NetworkSpec) -> Result<(), Refusal> {
    let refuse = |why: &str| Err(Refusal::Invalid(why.to_owned()));
    for (ipv6, mode) in [false, true].into_iter().zip(gateway.modes) {
        if mode != GatewayMode::Isolated {
            continue;
        }
        if !spec.internal {
            return refuse("gateway mode 'isolated' can only be used for an internal network");
        }
        let given = |subnet: &SubnetSpec| subnet.gateway.is_some_and(|g| g.is_ipv6() == ipv6);
        if spec.subnets.iter().any(given) {
            return refuse(
                "gateway mode 'isolated' leaves the bridge without an address: no gateway",
            );
        }
    }
    Ok(())
}

/// Where published ports are heard on a network by default; the wildcard says nothing.
pub(super) fn host_binding(network: &Network) -> Option<IpAddr> {
    let binding = network.bridge()?.host_binding?;
    (binding != IpAddr::from(Ipv4Addr::UNSPECIFIED)).then_some(binding)
}
