//! Routes. netd's own carry [`PROTOCOL`]; only those are changed and removed.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{
        RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope,
        RouteType,
    },
};
use nix::errno::Errno;

use super::{NetlinkError, Socket, error::Idempotent, link};
use crate::plan::action::Route;

/// netd's number in `rtm_protocol` (`ip route` shows `proto 178`); in nobody else's list
/// (include/uapi/linux/rtnetlink.h, /etc/iproute2/rt_protos).
pub const PROTOCOL: RouteProtocol = RouteProtocol::Other(178);

const TABLE_LOCAL: u8 = 255;

/// A route as the kernel lists it; one entry per next hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Where to.
    pub destination: IpNet,
    /// Gateway.
    pub via: Option<IpAddr>,
    /// Through which link.
    pub ifindex: u32,
    /// Made by netd.
    pub ours: bool,
    /// Type `local`.
    pub local: bool,
    /// Type `unicast`.
    pub unicast: bool,
    /// `RTA_PREFSRC`.
    pub source: Option<IpAddr>,
    /// Metric; lower is better.
    pub metric: u32,
}

/// Adds or replaces a route.
pub fn add(socket: &mut Socket, route: &Route) -> Result<(), NetlinkError> {
    let ifindex = link::require(socket, &route.link)?.ifindex;
    let message = RouteNetlinkMessage::NewRoute(request(ifindex, route));
    socket.change(message, NLM_F_CREATE | NLM_F_REPLACE)
}

/// Removes a route of netd; one that is not there, or whose link is not, is success.
pub fn remove(socket: &mut Socket, route: &Route) -> Result<(), NetlinkError> {
    let Some(link) = link::find(socket, &route.link)? else {
        return Ok(());
    };
    let message = RouteNetlinkMessage::DelRoute(request(link.ifindex, route));
    socket
        .change(message, 0)
        .or_fine(&[Errno::ESRCH, Errno::ENODEV])
}

/// Routes of netd through one link; the kernel filters.
pub fn list_ours(socket: &mut Socket, ifindex: u32) -> Result<Vec<Listed>, NetlinkError> {
    let link = RouteAttribute::Oif(ifindex);
    dump(socket, PROTOCOL, vec![link])
}

/// All routes of netd (`all` false), or everybody's.
pub fn list(socket: &mut Socket, all: bool) -> Result<Vec<Listed>, NetlinkError> {
    let protocol = if all { RouteProtocol::Unspec } else { PROTOCOL };
    dump(socket, protocol, Vec::new())
}

/// The netlink family of an address.
pub(super) fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn dump(
    socket: &mut Socket,
    protocol: RouteProtocol,
    attributes: Vec<RouteAttribute>,
) -> Result<Vec<Listed>, NetlinkError> {
    let mut found = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        message.header.protocol = protocol;
        message.attributes.clone_from(&attributes);
        let answer = match socket.dump(RouteNetlinkMessage::GetRoute(message)) {
            Err(error)
                if matches!(
                    error.errno(),
                    Some(Errno::ENODEV | Errno::ENOENT | Errno::EOPNOTSUPP)
                ) =>
            {
                Vec::new()
            }
            other => other?,
        };
        for message in &answer {
            if let RouteNetlinkMessage::NewRoute(message) = message {
                read(message, &mut found);
            }
        }
    }
    Ok(found)
}

fn request(ifindex: u32, route: &Route) -> RouteMessage {
    let mut message = RouteMessage::default();
    let (table, scope, kind) = match (route.local, route.via) {
        (true, _) => (TABLE_LOCAL, RouteScope::Host, RouteType::Local),
        (false, Some(_)) => (
            RouteHeader::RT_TABLE_MAIN,
            RouteScope::Universe,
            RouteType::Unicast,
        ),
        (false, None) => (
            RouteHeader::RT_TABLE_MAIN,
            RouteScope::Link,
            RouteType::Unicast,
        ),
    };
    let destination = route.destination.network();
    message.header.address_family = family(destination);
    message.header.destination_prefix_length = route.destination.prefix_len();
    message.header.table = table;
    message.header.protocol = PROTOCOL;
    // IPv6 has no scopes (rtm_scope is ignored), IPv4 insists on the right one.
    message.header.scope = scope;
    message.header.kind = kind;
    message.attributes = vec![RouteAttribute::Oif(ifindex)];
    if route.destination.prefix_len() > 0 {
        let destination = RouteAddress::from(destination);
        message
            .attributes
            .push(RouteAttribute::Destination(destination));
    }
    if let Some(via) = route.via {
        message.attributes.push(RouteAttribute::Gateway(via.into()));
    }
    message
}

fn read(message: &RouteMessage, found: &mut Vec<Listed>) {
    let unspecified: IpAddr = match message.header.address_family {
        AddressFamily::Inet => std::net::Ipv4Addr::UNSPECIFIED.into(),
        _ => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let Ok(default) = IpNet::new(unspecified, message.header.destination_prefix_length) else {
        return;
    };
    let mut route = Listed {
        destination: default,
        via: None,
        ifindex: 0,
        ours: message.header.protocol == PROTOCOL,
        local: message.header.kind == RouteType::Local,
        unicast: message.header.kind == RouteType::Unicast,
        source: None,
        metric: 0,
    };
    let mut more = Vec::new();
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(to) => {
                let net = ip(to).map(|ip| IpNet::new(ip, default.prefix_len()));
                match net {
                    Some(Ok(net)) => route.destination = net,
                    _ => return,
                }
            }
            RouteAttribute::Gateway(to) => route.via = ip(to),
            RouteAttribute::Oif(ifindex) => route.ifindex = *ifindex,
            RouteAttribute::PrefSource(from) => route.source = ip(from),
            RouteAttribute::Priority(metric) => route.metric = *metric,
            RouteAttribute::MultiPath(hops) => more.clone_from(hops),
            _ => {}
        }
    }
    if more.is_empty() {
        found.push(route);
        return;
    }
    found.extend(more.iter().map(|hop| {
        let via = hop.attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Gateway(to) => ip(to),
            _ => None,
        });
        Listed {
            ifindex: hop.interface_index,
            via,
            ..route.clone()
        }
    }));
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some((*v4).into()),
        RouteAddress::Inet6(v6) => Some((*v6).into()),
        _ => None,
    }
}
