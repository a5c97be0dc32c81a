//! What the macvlan driver is told: which link of the host carries a network, and how the sandboxes on
//! it reach each other.

use serde::{Deserialize, Serialize};

use super::IfName;

/// Options of the macvlan driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MacvlanOptions {
    /// What carries the network (`parent`).
    pub parent: Parent,
    /// How its interfaces reach each other (`macvlan_mode`).
    pub mode: MacvlanMode,
    /// Octets (`com.docker.network.driver.mtu`); `None`: the parent's.
    pub mtu: Option<u32>,
    /// The host's own interface on the network ([`HOST_ACCESS`]); `None`: host and sandboxes do not
    /// reach each other by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_access: Option<IfName>,
}

/// The option that gives the host an interface of its own on the network, and the name that the host's
/// addresses have among the auxiliary ones of the subnets.
pub const HOST_ACCESS: &str = "netd.macvlan.host_access";

/// The link of the host that carries a macvlan network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Parent {
    /// One that the host has: netd leaves it as it is.
    Link(IfName),
    /// A VLAN of a link that the host has: netd makes it and removes it with the last network on it.
    Vlan(Vlan),
    /// A dummy link of netd's, one for each network that was given no parent: it leads nowhere.
    Dummy(IfName),
}

/// A VLAN interface of netd's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vlan {
    /// `eth0.10`.
    pub name: IfName,
    /// `eth0`.
    pub base: IfName,
    /// 1 to 4094.
    pub id: u16,
}

impl Parent {
    /// The link that macvlan interfaces are made on.
    pub fn name(&self) -> &IfName {
        match self {
            Parent::Link(name) | Parent::Dummy(name) => name,
            Parent::Vlan(vlan) => &vlan.name,
        }
    }

    /// The host's own link that all of it depends on.
    pub fn base(&self) -> Option<&IfName> {
        match self {
            Parent::Link(name) => Some(name),
            Parent::Vlan(vlan) => Some(&vlan.base),
            Parent::Dummy(_) => None,
        }
    }
}

/// How interfaces on one parent reach each other (Documentation/networking of the kernel has no page
/// on it; `ip-link(8)` has).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MacvlanMode {
    /// Directly.
    Bridge,
    /// Not at all.
    Private,
    /// By way of the switch outside, which has to send frames back where they came from.
    Vepa,
    /// There is only one: it has the parent to itself, and its address.
    Passthru,
}

impl MacvlanMode {
    /// All of them.
    pub const ALL: [MacvlanMode; 4] = [
        MacvlanMode::Bridge,
        MacvlanMode::Private,
        MacvlanMode::Vepa,
        MacvlanMode::Passthru,
    ];

    /// As Docker's option and `ip link` have it.
    pub const fn name(self) -> &'static str {
        match self {
            MacvlanMode::Bridge => "bridge",
            MacvlanMode::Private => "private",
            MacvlanMode::Vepa => "vepa",
            MacvlanMode::Passthru => "passthru",
        }
    }
}
