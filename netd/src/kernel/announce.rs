//! Sends announcements of addresses from inside a sandbox, as packets of its own interface. The kernel
//! has sysctls for that (arp_notify, ndisc_notify), but sends one message only, and at once: behind a
//! veth pair before the other side is up.

use std::{
    fs::File,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::AsRawFd,
};

use netd_common::packet::checksum;
use nix::{
    errno::Errno,
    ifaddrs::getifaddrs,
    sys::socket::{AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, sendto, socket},
};

use super::netns;
use crate::{model::Mac, plan::Announcement};

/// ff02::1, all nodes, and its MAC (RFC 2464 section 7).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];

/// Sends one round; false where the interface is not there, is down, or has another MAC by now: then
/// there is nothing to tell any more.
pub fn send(namespace: &File, announcement: &Announcement) -> Result<bool, anyhow::Error> {
    Ok(netns::in_namespace(namespace, || inside(announcement))??)
}

fn inside(announcement: &Announcement) -> io::Result<bool> {
    let Some(link) = find(announcement)? else {
        return Ok(false);
    };
    // Of no protocol: nothing is received.
    let socket = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    for address in &announcement.addresses {
        let sent = match address {
            IpAddr::V4(v4) => {
                let frame = gratuitous_arp(announcement.mac, *v4);
                sendto(socket.as_raw_fd(), &frame, &link, MsgFlags::empty())
            }
            IpAddr::V6(v6) => {
                let frame = advertisement(announcement.mac, *v6);
                sendto(socket.as_raw_fd(), &frame, &link, MsgFlags::empty())
            }
        };
        match sent {
            Ok(_) => {}
            Err(Errno::ENETDOWN | Errno::ENXIO | Errno::ENODEV) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// The interface's number and address, as sockets name it.
fn find(announcement: &Announcement) -> io::Result<Option<LinkAddr>> {
    let mut all = getifaddrs()?;
    let found = all.find_map(|one| {
        let link = *one.address?.as_link_addr()?;
        let named = one.interface_name == announcement.link.as_str();
        (named && link.addr() == Some(announcement.mac.0)).then_some(link)
    });
    Ok(found)
}

/// A broadcast question for the sender's own address, with its frame.
fn gratuitous_arp(Mac(mac): Mac, address: Ipv4Addr) -> [u8; 42] {
    let mut frame = [0; 42];
    let parts: [&[u8]; 8] = [
        &[0xff; 6],
        &mac,
        &[0x08, 0x06],
        // Ethernet, IPv4, their lengths, a request.
        &[0, 1, 0x08, 0, 6, 4, 0, 1],
        &mac,
        &address.octets(),
        &[0; 6],
        &address.octets(),
    ];
    fill(&mut frame, &parts);
    frame
}

/// An advertisement to all nodes that nobody asked for and that overrides what they know, with its
/// frame.
fn advertisement(Mac(mac): Mac, address: Ipv6Addr) -> [u8; 86] {
    const ICMPV6: u8 = 58;
    const OVERRIDE: u8 = 0x20;
    let message: [&[u8]; 4] = [
        &[136, 0, 0, 0, OVERRIDE, 0, 0, 0],
        &address.octets(),
        // Option: target link-layer address, one unit of eight octets.
        &[2, 1],
        &mac,
    ];
    // Addresses and message; length and protocol complete the pseudo header.
    let mut covered = [0; 64];
    fill(&mut covered[..16], &[&address.octets()]);
    fill(&mut covered[16..32], &[&ALL_NODES.octets()]);
    fill(&mut covered[32..], &message);
    let pseudo = checksum::sum(&[0, 32, 0, ICMPV6]);
    let sum = checksum::finish(checksum::add(pseudo, checksum::sum(&covered)));
    covered[34..36].copy_from_slice(&sum);
    let mut frame = [0; 86];
    let parts: [&[u8]; 5] = [
        &ALL_NODES_MAC,
        &mac,
        &[0x86, 0xdd],
        // Version 6, 32 octets, hop limit 255 (RFC 4861 section 7.1.2).
        &[0x60, 0, 0, 0, 0, 32, ICMPV6, 255],
        &covered,
    ];
    fill(&mut frame, &parts);
    frame
}

fn fill(into: &mut [u8], parts: &[&[u8]]) {
    let octets = parts.iter().flat_map(|part| part.iter());
    for (slot, octet) in into.iter_mut().zip(octets) {
        *slot = *octet;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([2, 0x42, 10, 9, 0, 2]);

    #[test]
    fn a_request_for_the_own_address() {
        let frame = gratuitous_arp(MAC, Ipv4Addr::new(10, 9, 0, 2));
        let expected = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0x42, 10, 9, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
            2, 0x42, 10, 9, 0, 2, 10, 9, 0, 2, 0, 0, 0, 0, 0, 0, 10, 9, 0, 2,
        ];
        assert_eq!(frame, expected);
    }

    #[test]
    fn an_advertisement_that_overrides() {
        let frame = advertisement(MAC, "fd00:9::2".parse().unwrap());
        assert_eq!(frame[..6], ALL_NODES_MAC);
        assert_eq!(frame[12..22], [0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255]);
        assert_eq!(frame[38..54], ALL_NODES.octets());
        assert_eq!((frame[54], frame[58]), (136, 0x20));
        assert_eq!(frame[22..38], frame[62..78]);
        assert_eq!(frame[78..], [2, 1, 2, 0x42, 10, 9, 0, 2]);
        // The sum over everything that it covers, itself included, is nothing.
        let covered: [u8; 64] = frame[22..].try_into().unwrap();
        let whole = checksum::add(checksum::sum(&[0, 32, 0, 58]), checksum::sum(&covered));
        assert_eq!(checksum::finish(whole), [0, 0]);
    }
}
