//! Addresses of links.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use nix::errno::Errno;
use rtnetlink::{
    AddressMessageBuilder,
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        address::{
            AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol,
            AddressScope,
        },
    },
};

use super::{NetlinkError, Socket, error::Idempotent, link};
use crate::model::IfName;

/// An address as the kernel lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The link that has it.
    pub ifindex: u32,
    /// With its prefix length.
    pub net: IpNet,
    /// Usable outside this host and link.
    pub global: bool,
    /// Not (no longer, not yet) to be used as a source: deprecated, tentative, duplicate.
    pub unfit: bool,
    /// IPv4: not the first of its subnet; IPv6: temporary (RFC 8981).
    pub secondary: bool,
    /// Given by the kernel itself (IFA_PROTO, Linux 5.18): loopback, IPv6 link-local, and what
    /// routers announced.
    pub by_kernel: bool,
}

/// Adds an address; one that is there is success.
pub async fn add(socket: &Socket, name: &IfName, net: IpNet) -> Result<(), NetlinkError> {
    let ifindex = link::require(socket, name).await?.ifindex;
    let addresses = socket.handle().address();
    let mut request = addresses.add(ifindex, net.addr(), net.prefix_len());
    if net.addr().is_ipv6() {
        // Addresses are netd's to give: duplicate detection would only delay their use.
        let flags = AddressAttribute::Flags(AddressFlags::Nodad);
        request.message_mut().attributes.push(flags);
    }
    match socket.change(request.execute()).await {
        // IPv6 also says so of the same address with another prefix length.
        Err(error) if error.errno() == Some(Errno::EEXIST) => {
            let there = list(socket, Some(ifindex)).await?;
            match there.iter().any(|address| address.net == net) {
                true => Ok(()),
                false => Err(error),
            }
        }
        other => other,
    }
}

/// Removes an address; one that is not there, or a link that is not, is success.
pub async fn remove(socket: &Socket, name: &IfName, net: IpNet) -> Result<(), NetlinkError> {
    let Some(link) = link::find(socket, name).await? else {
        return Ok(());
    };
    let message = match net {
        IpNet::V4(net) => AddressMessageBuilder::<Ipv4Addr>::new()
            .index(link.ifindex)
            .address(net.addr(), net.prefix_len())
            .build(),
        IpNet::V6(net) => AddressMessageBuilder::<Ipv6Addr>::new()
            .index(link.ifindex)
            .address(net.addr(), net.prefix_len())
            .build(),
    };
    let request = socket.handle().address().del(message);
    let removed = socket.change(request.execute()).await;
    removed.or_fine(&[Errno::EADDRNOTAVAIL, Errno::ENODEV])
}

/// Addresses of one link (the kernel looks at no other), or of all.
pub async fn list(socket: &Socket, ifindex: Option<u32>) -> Result<Vec<Address>, NetlinkError> {
    let mut found = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = AddressMessage::default();
        message.header.family = family;
        message.header.index = ifindex.unwrap_or(0);
        let message = RouteNetlinkMessage::GetAddress(message);
        let answer = match socket.dump(message).await {
            // The link went away, or the kernel has no IPv6: no addresses.
            Err(error) if matches!(error.errno(), Some(Errno::ENODEV | Errno::EOPNOTSUPP)) => {
                Vec::new()
            }
            other => other?,
        };
        found.extend(answer.iter().filter_map(read));
    }
    Ok(found)
}

fn read(message: &RouteNetlinkMessage) -> Option<Address> {
    let RouteNetlinkMessage::NewAddress(message) = message else {
        return None;
    };
    let (mut local, mut address, mut protocol, mut flags) = (None, None, None, None);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Address(ip) => address = Some(*ip),
            AddressAttribute::Protocol(number) => protocol = Some(number),
            AddressAttribute::Flags(bits) => flags = Some(*bits),
            _ => {}
        }
    }
    // On point-to-point links IFA_ADDRESS is the other side; IPv6 has it alone otherwise.
    let ip = local.or(address)?;
    let header = flags_of(message.header.flags);
    let flags = flags.unwrap_or(header);
    Some(Address {
        ifindex: message.header.index,
        net: IpNet::new(ip, message.header.prefix_len).ok()?,
        global: matches!(
            message.header.scope,
            AddressScope::Universe | AddressScope::Site
        ),
        unfit: flags.intersects(
            AddressFlags::Deprecated | AddressFlags::Tentative | AddressFlags::Dadfailed,
        ),
        secondary: flags.contains(AddressFlags::Secondary),
        // 127.0.0.1 comes without IFA_PROTO (seen on 6.18).
        by_kernel: ip.is_loopback()
            || matches!(
                protocol,
                Some(
                    AddressProtocol::LinkLocal
                        | AddressProtocol::Loopback
                        | AddressProtocol::RouterAnnouncement
                )
            ),
    })
}

fn flags_of(header: AddressHeaderFlags) -> AddressFlags {
    AddressFlags::from_bits_retain(u32::from(header.bits()))
}
