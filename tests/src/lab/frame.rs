//! Raw frames, for what no ordinary client would send.

use std::{
    net::{SocketAddrV4, SocketAddrV6},
    os::fd::AsRawFd as _,
};

use anyhow::Result;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, sendto,
    socket,
};

use super::Namespace;

/// An EtherType for local experiments (IEEE 802).
pub const EXPERIMENTAL: u16 = 0x88b5;

impl Namespace {
    /// The MAC of an interface of the namespace. (`/sys` shows the machine's interfaces in every one.)
    ///
    /// # Panics
    /// If there is no such interface, or it has none.
    #[track_caller]
    pub fn mac(&self, interface: &str) -> String {
        let shown = self.ok(&format!("ip -o link show dev {interface}"));
        let mut words = shown.split_whitespace();
        match words.find(|word| *word == "link/ether").and(words.next()) {
            Some(mac) => mac.to_owned(),
            None => panic!("no MAC: {shown}"),
        }
    }

    /// Sends a frame as it is, without the frame check sequence.
    pub fn send_frame(&self, interface: &str, frame: &[u8]) -> Result<()> {
        let octal: String = frame.iter().map(|byte| format!("\\{byte:03o}")).collect();
        let pipe = format!("printf '{octal}' | socat -u - INTERFACE:{interface}");
        self.spawn_words(vec!["sh".into(), "-c".into(), pipe])?
            .wait(std::time::Duration::from_secs(5))
            .and_then(|finished| {
                anyhow::ensure!(finished.succeeded(), "{}", finished.describe());
                Ok(())
            })
    }

    /// Sends IP packets as they are, one right after the other: each from its IP header on, to the
    /// destination in it.
    pub fn send_packets(&self, packets: &[Vec<u8>]) -> Result<()> {
        let packets = packets.to_vec();
        self.on(move || packets.iter().try_for_each(|packet| send_packet(packet)))
    }
}

/// Over a raw socket, which makes no header of its own (`raw(7)`).
fn send_packet(packet: &[u8]) -> Result<()> {
    let is_v4 = packet.first().is_some_and(|first| first >> 4 == 4);
    let family = if is_v4 {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let socket = socket(family, SockType::Raw, SockFlag::empty(), SockProtocol::Raw)?;
    let fd = socket.as_raw_fd();
    if is_v4 {
        let octets: [u8; 4] = packet[16..20].try_into()?;
        let to = SockaddrIn::from(SocketAddrV4::new(octets.into(), 0));
        sendto(fd, packet, &to, MsgFlags::empty())?;
    } else {
        let octets: [u8; 16] = packet[24..40].try_into()?;
        let to = SockaddrIn6::from(SocketAddrV6::new(octets.into(), 0, 0, 0));
        sendto(fd, packet, &to, MsgFlags::empty())?;
    }
    Ok(())
}

/// An Ethernet frame with a payload that is easy to see in a capture.
///
/// # Panics
/// If a MAC is none.
#[track_caller]
pub fn ethernet(to: &str, from: &str, ethertype: u16) -> Vec<u8> {
    let mut frame = octets(to).to_vec();
    frame.extend(octets(from));
    frame.extend(ethertype.to_be_bytes());
    frame.extend([0x6e; 46]);
    frame
}

/// A MAC as text, in octets.
///
/// # Panics
/// If it is none.
#[track_caller]
pub fn octets(mac: &str) -> [u8; 6] {
    let octets: Vec<u8> = mac
        .split(':')
        .map(|octet| match u8::from_str_radix(octet, 16) {
            Ok(octet) => octet,
            Err(error) => panic!("{mac}: {error}"),
        })
        .collect();
    match octets.try_into() {
        Ok(octets) => octets,
        Err(octets) => panic!("{mac}: {octets:x?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_its_addresses_first() {
        let frame = ethernet("ff:ff:ff:ff:ff:ff", "02:00:00:00:00:01", EXPERIMENTAL);
        assert_eq!(frame.len(), 60);
        assert_eq!(frame[..6], [0xff; 6]);
        assert_eq!(frame[6..14], [2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
    }
}
