//! Macvlan networks: what they stand on, and what their sandboxes get that others do not.

use super::{Refusal, apply::Draft, ipam::to_set_aside, request::DriverSpec};
use crate::model::{
    Id, IfName, Mac, Network,
    macvlan::{HOST_ACCESS, MacvlanMode, MacvlanOptions, Parent, Vlan},
    network::Subnet,
};

/// Sets an address of each subnet aside for the host, unless `--aux-address` has named one for it.
pub(super) fn reserve_for_host(subnets: &mut [Subnet]) -> Result<(), Refusal> {
    if subnets.is_empty() {
        return Err(Refusal::Invalid(format!(
            "{HOST_ACCESS} needs addresses: the null ipam driver gives none"
        )));
    }
    let named = |subnet: &&mut Subnet| !subnet.aux.contains_key(HOST_ACCESS);
    for subnet in subnets.iter_mut().filter(named) {
        let address = to_set_aside(subnet).ok_or_else(|| {
            let pool = subnet.range.unwrap_or(subnet.pool);
            Refusal::Invalid(format!(
                "{pool} has no addresses for both the host ({HOST_ACCESS}) and a sandbox"
            ))
        })?;
        subnet.aux.insert(HOST_ACCESS.to_owned(), address);
    }
    Ok(())
}

/// The name of the host's interface on a network. Only in mode bridge do two interfaces on a parent
/// reach each other without anybody's help.
fn access_interface(id: Id, mode: MacvlanMode) -> Result<IfName, Refusal> {
    let why = match mode {
        MacvlanMode::Bridge => return Ok(format!("mh-{}", id.short()).parse()?),
        MacvlanMode::Private => "interfaces on its parent do not reach each other",
        MacvlanMode::Vepa => "a switch that sends frames back reaches the host without it",
        MacvlanMode::Passthru => "its parent carries one interface, the sandbox's",
    };
    let mode = mode.name();
    Err(Refusal::Invalid(format!(
        "{HOST_ACCESS} is not for mode {mode}: {why}"
    )))
}

impl Draft<'_, '_> {
    /// The driver's options, with a parent that is there or can be made.
    pub(super) fn macvlan(&self, id: Id, spec: &DriverSpec) -> Result<MacvlanOptions, Refusal> {
        let DriverSpec::Macvlan {
            parent,
            mode,
            mtu,
            host_access,
        } = spec
        else {
            return Err(Refusal::Invalid("not a macvlan network".to_owned()));
        };
        let mode = mode.unwrap_or(MacvlanMode::Bridge);
        let parent = match parent {
            Some(name) => self.parent(name)?,
            None => Parent::Dummy(format!("dm-{}", id.short()).parse()?),
        };
        self.refuse_sharing(&parent, mode)?;
        self.check_mtu(&parent, *mtu)?;
        let host_access = host_access
            .then(|| access_interface(id, mode))
            .transpose()?;
        Ok(MacvlanOptions {
            parent,
            mode,
            mtu: *mtu,
            host_access,
        })
    }

    /// A link of the host's, or a VLAN of one. A VLAN that netd made for another network is shared.
    fn parent(&self, name: &IfName) -> Result<Parent, Refusal> {
        if name.as_str() == "lo" {
            let text = "loopback interface is not a valid macvlan parent link";
            return Err(Refusal::Invalid(text.to_owned()));
        }
        if self.state.index.interfaces.contains_key(name) {
            let text = format!("interface {name} is netd's own: it cannot be a parent");
            return Err(Refusal::Invalid(text));
        }
        let made = self.state.networks_on(name).find_map(|network| {
            let parent = &network.macvlan()?.parent;
            (parent.name() == name).then(|| parent.clone())
        });
        match made {
            Some(Parent::Vlan(vlan)) => Ok(Parent::Vlan(vlan)),
            _ if self.context.facts.links.contains_key(name) => Ok(Parent::Link(name.clone())),
            _ => self.vlan(name).map(Parent::Vlan),
        }
    }

    /// `eth0.10`, with Docker's words for what is wrong with it.
    fn vlan(&self, name: &IfName) -> Result<Vlan, Refusal> {
        let text = name.as_str();
        let Some((base, id)) = text.split_once('.') else {
            return Err(Refusal::Invalid(format!(
                "invalid subinterface vlan name {text}, example formatting is eth0.10"
            )));
        };
        if id.contains('.') {
            return Err(Refusal::Invalid(format!(
                "required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received {text}"
            )));
        }
        let number: i64 = id.parse().map_err(|_| {
            Refusal::Invalid(format!(
                "unable to parse a valid vlan id from: {id} (ex. eth0.10 for vlan 10)"
            ))
        })?;
        let base = base.parse::<IfName>().ok();
        let base = base.filter(|base| self.context.facts.links.contains_key(base));
        let base = base.ok_or_else(|| {
            let base = text.split('.').next().unwrap_or_default();
            Refusal::Invalid(format!(
                "-o parent interface was not found on the host: {base}"
            ))
        })?;
        let id = u16::try_from(number)
            .ok()
            .filter(|id| (1..=4094).contains(id));
        let id = id.ok_or_else(|| {
            Refusal::Invalid(format!(
                "vlan id must be between 1-4094, received: {number}"
            ))
        })?;
        Ok(Vlan {
            name: name.clone(),
            base,
            id,
        })
    }

    /// Networks may share a parent, unless one of them has it to itself.
    fn refuse_sharing(&self, parent: &Parent, mode: MacvlanMode) -> Result<(), Refusal> {
        let name = parent.name();
        for network in self.state.networks_on(name) {
            let Some(other) = network.macvlan().filter(|o| o.parent.name() == name) else {
                continue;
            };
            let id = network.id;
            if mode == MacvlanMode::Passthru {
                return Err(Refusal::Invalid(format!(
                    "cannot use mode passthru, macvlan network {id} is already using parent interface {name}"
                )));
            }
            if other.mode == MacvlanMode::Passthru {
                return Err(Refusal::Invalid(format!(
                    "macvlan network {id} is already using parent interface {name} in mode passthru"
                )));
            }
        }
        Ok(())
    }

    /// The kernel takes no more than the parent's.
    fn check_mtu(&self, parent: &Parent, mtu: Option<u32>) -> Result<(), Refusal> {
        let Some(mtu) = mtu else {
            return Ok(());
        };
        if !(68..=65_535).contains(&mtu) {
            return Err(Refusal::Invalid(format!("invalid MTU number: {mtu}")));
        }
        let base = parent.base();
        let link = base.and_then(|base| Some((base, self.context.facts.links.get(base)?)));
        match link {
            Some((base, link)) if link.mtu < mtu => Err(Refusal::Invalid(format!(
                "invalid MTU number: {mtu}: its parent {base} has {}",
                link.mtu
            ))),
            _ => Ok(()),
        }
    }

    /// With mode passthru on a link of the host, the address of the sandbox's interface is the
    /// link's: another one would change the link's too. `None`: it is netd's to choose.
    pub(super) fn passthru_mac(
        &self,
        network: &Network,
        given: Option<Mac>,
    ) -> Result<Option<Mac>, Refusal> {
        let Some(MacvlanOptions {
            parent: Parent::Link(parent),
            mode: MacvlanMode::Passthru,
            ..
        }) = network.macvlan()
        else {
            return Ok(None);
        };
        let link = self.context.facts.links.get(parent);
        let link = link.ok_or_else(|| {
            Refusal::Invalid(format!(
                "the requested parent interface {parent} was not found on the host"
            ))
        })?;
        match given {
            Some(mac) if mac != link.mac => Err(Refusal::Invalid(format!(
                "with mode passthru the interface has the MAC address of its parent {parent}, {}",
                link.mac
            ))),
            _ => Ok(Some(link.mac)),
        }
    }

    /// A parent in mode passthru carries one interface, and the kernel's text for a second one does
    /// not say why.
    pub(super) fn refuse_second_of_passthru(&self, network: &Network) -> Result<(), Refusal> {
        let passthru = network
            .macvlan()
            .filter(|o| o.mode == MacvlanMode::Passthru);
        let other = self.state.endpoints_of_network(network.id).next();
        match (passthru, other) {
            (Some(options), Some(other)) => {
                let sandbox = other.sandbox.and_then(|id| self.state.sandbox(id));
                let sandbox = sandbox.map_or(String::new(), |sandbox| sandbox.name.to_string());
                Err(Refusal::Invalid(format!(
                    "network {} is in mode passthru: sandbox {sandbox} has its parent {} to itself",
                    network.name,
                    options.parent.name()
                )))
            }
            _ => Ok(()),
        }
    }
}
