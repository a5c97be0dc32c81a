//! Routes. netd's own carry [`PROTOCOL`]; only those are changed and removed.

use std::{fmt::Display, net::IpAddr};

use ipnet::IpNet;
use nix::errno::Errno;
use rtnetlink::{
    RouteMessageBuilder,
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        route::{
            RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol,
            RouteScope, RouteType,
        },
    },
};

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

/// Adds a route, or replaces one to the same destination. Where nothing is to be replaced, one that is
/// there is success if it is the same.
pub async fn add(socket: &Socket, route: &Route, replace: bool) -> Result<(), NetlinkError> {
    let ifindex = link::require(socket, &route.link).await?.ifindex;
    let request = socket.handle().route().add(message(ifindex, route)?);
    if replace {
        return socket.change(request.replace().execute()).await;
    }
    match socket.change(request.execute()).await {
        Err(error) if error.errno() == Some(Errno::EEXIST) => {
            let there = find(socket, ifindex, route.destination).await?;
            let same = |there: &Listed| (there.via, there.source) == (route.via, route.source);
            match there.is_some_and(|there| same(&there)) {
                true => Ok(()),
                false => Err(error),
            }
        }
        other => other,
    }
}

/// netd's route to a destination through a link; the kernel looks at nothing else.
pub async fn find(
    socket: &Socket,
    ifindex: u32,
    destination: IpNet,
) -> Result<Option<Listed>, NetlinkError> {
    let mut message = RouteMessage::default();
    message.header.address_family = family(destination.addr());
    message.header.destination_prefix_length = destination.max_prefix_len();
    // The entry that a packet would take, not what comes of it.
    message.header.flags = RouteFlags::FibMatch;
    let to = match destination.addr() {
        IpAddr::V4(v4) => RouteAddress::Inet(v4),
        IpAddr::V6(v6) => RouteAddress::Inet6(v6),
    };
    message.attributes.push(RouteAttribute::Destination(to));
    message.attributes.push(RouteAttribute::Oif(ifindex));
    let mut found = Vec::new();
    match socket.get(RouteNetlinkMessage::GetRoute(message)).await {
        Ok(RouteNetlinkMessage::NewRoute(message)) => read(&message, &mut found),
        Ok(_) => {}
        Err(error) if error.errno().is_some_and(leads_nowhere) => {}
        Err(error) => return Err(error),
    }
    found
        .retain(|route| route.ours && route.ifindex == ifindex && route.destination == destination);
    Ok(found.pop())
}

/// What the kernel says of a destination without a route: none at all, one that forbids it, a link
/// that is down or gone, no IPv6.
fn leads_nowhere(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::ENETUNREACH
            | Errno::EHOSTUNREACH
            | Errno::EACCES
            | Errno::EINVAL
            | Errno::ESRCH
            | Errno::ENETDOWN
            | Errno::ENODEV
            | Errno::EOPNOTSUPP
            | Errno::EAFNOSUPPORT
    )
}

/// Removes a route of netd; one that is not there, or whose link is not, is success.
pub async fn remove(socket: &Socket, route: &Route) -> Result<(), NetlinkError> {
    let Some(link) = link::find(socket, &route.link).await? else {
        return Ok(());
    };
    let request = socket.handle().route().del(message(link.ifindex, route)?);
    let removed = socket.change(request.execute()).await;
    removed.or_fine(&[Errno::ESRCH, Errno::ENODEV])
}

/// Routes of netd through one link; the kernel filters.
pub async fn list_ours(socket: &Socket, ifindex: u32) -> Result<Vec<Listed>, NetlinkError> {
    dump(socket, PROTOCOL, vec![RouteAttribute::Oif(ifindex)]).await
}

/// All routes of netd (`all` false), or everybody's.
pub async fn list(socket: &Socket, all: bool) -> Result<Vec<Listed>, NetlinkError> {
    let protocol = if all { RouteProtocol::Unspec } else { PROTOCOL };
    dump(socket, protocol, Vec::new()).await
}

/// The netlink family of an address.
pub(super) fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

async fn dump(
    socket: &Socket,
    protocol: RouteProtocol,
    attributes: Vec<RouteAttribute>,
) -> Result<Vec<Listed>, NetlinkError> {
    let mut found = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        message.header.protocol = protocol;
        message.header.table = RouteHeader::RT_TABLE_UNSPEC;
        message.attributes.clone_from(&attributes);
        let message = RouteNetlinkMessage::GetRoute(message);
        let answer = match socket.dump(message).await {
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

fn message(ifindex: u32, route: &Route) -> Result<RouteMessage, NetlinkError> {
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
    // The type of the builder's errors is not public.
    let inexpressible = |error: &dyn Display| NetlinkError::Inexpressible(error.to_string());
    let builder = RouteMessageBuilder::<IpAddr>::new()
        .table_id(table.into())
        .protocol(PROTOCOL)
        // IPv6 has no scopes (rtm_scope is ignored), IPv4 insists on the right one.
        .scope(scope)
        .kind(kind)
        .output_interface(ifindex)
        .destination_prefix(route.destination.network(), route.destination.prefix_len())
        .map_err(|error| inexpressible(&error))?;
    let builder = match route.via {
        Some(via) => builder
            .gateway(via)
            .map_err(|error| inexpressible(&error))?,
        None => builder,
    };
    let builder = match route.source {
        Some(source) => builder
            .pref_source(source)
            .map_err(|error| inexpressible(&error))?,
        None => builder,
    };
    Ok(builder.build())
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
