//! netd's mark on a link of the host namespace, or on a macvlan interface in a sandbox: its alias is `netd:<kind>:<name>`, which
//! `ip link` shows. Nothing is changed or deleted that does not carry it.

use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};

/// The interface group of a link that was made but has no alias yet: the kernel takes the group
/// with the creation and the alias only afterwards, so an agent that dies between the two still
/// recognises its own. "netd" in ASCII; taken away again with the alias.
pub const HALF_MADE: u32 = 0x6e65_7464;

const PREFIX: &str = "netd:";

/// What a marked link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A network's bridge.
    Bridge,
    /// Host side of an endpoint's veth pair, or its macvlan interface.
    Endpoint,
    /// Host side of the resolver's.
    Resolver,
    /// What macvlan interfaces stand on.
    Parent,
    /// The host's own interface on a macvlan network.
    HostAccess,
}

/// The alias of a link.
pub fn alias(purpose: Purpose, name: &str) -> String {
    let kind = match purpose {
        Purpose::Bridge => "bridge",
        Purpose::Endpoint => "endpoint",
        Purpose::Resolver => "resolver",
        Purpose::Parent => "parent",
        Purpose::HostAccess => "host-access",
    };
    format!("{PREFIX}{kind}:{name}")
}

/// Whether a link carries the mark.
pub fn is_ours(message: &LinkMessage) -> bool {
    message.attributes.iter().any(|attribute| match attribute {
        LinkAttribute::IfAlias(alias) => alias.starts_with(PREFIX),
        LinkAttribute::Group(group) => *group == HALF_MADE,
        _ => false,
    })
}
