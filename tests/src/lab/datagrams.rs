//! Datagrams that take several packets, and what an echo server answers to them.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use netd_common::packet::testing::{Frame, Payload, cut};

use super::{Namespace, patience::patient};

/// Octets of a datagram that takes three fragments.
pub const LARGE: usize = 4_000;
/// The port of clients that send fragments by hand.
pub const OWN: u16 = 5_353;
const LIMIT: Duration = Duration::from_secs(10);

/// An identification of fragments: another one each time, as the kernel's are.
pub fn identification() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A socket of a family, with a port of its own if there is one, that waits a while for an answer.
///
/// # Panics
/// If the port is taken.
#[track_caller]
pub fn socket(at: &Namespace, family: IpAddr, port: u16) -> UdpSocket {
    let any = match family {
        IpAddr::V4(_) => IpAddr::from([0u8; 4]),
        IpAddr::V6(_) => IpAddr::from([0u16; 8]),
    };
    let socket = at.udp_bind(SocketAddr::new(any, port)).expect("a socket");
    socket
        .set_read_timeout(Some(patient(LIMIT)))
        .expect("a limit");
    socket
}

/// Who an [`super::EchoServer`] sees, which got all of what was sent.
///
/// # Panics
/// If there is no such answer, naming `what`.
#[track_caller]
pub fn answer(socket: &UdpSocket, what: &str, sent: &[u8]) -> IpAddr {
    let mut answer = vec![0; 65_535];
    let length = match socket.recv(&mut answer) {
        Ok(length) => length,
        Err(error) => panic!("no answer {what}: {error}"),
    };
    let bar = answer.iter().position(|octet| *octet == b'|');
    let (peer, text) = answer[..length].split_at(bar.expect("who asked"));
    assert!(text[1..] == *sent, "another datagram came back");
    let peer: SocketAddr = String::from_utf8_lossy(peer).parse().expect("an address");
    peer.ip()
}

/// Who an echo server sees that answers a large datagram over an ordinary socket, cut by the kernel.
///
/// # Panics
/// If there is no answer.
#[track_caller]
pub fn asks_much(from: &Namespace, to: SocketAddr) -> IpAddr {
    let socket = socket(from, to.ip(), 0);
    let text: Vec<u8> = (0..LARGE).map(|at| b'a' + (at % 23) as u8).collect();
    socket.send_to(&text, to).expect("to send");
    answer(&socket, &format!("from {} to {to}", from.name()), &text)
}

/// The same, cut by hand and sent in one of [`netd_common::packet::testing::ORDERS`]; each from a port of
/// its own, since a socket may live on for a moment in another thread's child.
///
/// # Panics
/// If there is no answer.
#[track_caller]
pub fn asks_in_order(from: &Namespace, source: IpAddr, to: SocketAddr, order: &[usize]) -> IpAddr {
    let socket = socket(from, source, 0);
    let port = socket.local_addr().expect("an address").port();
    let text: Vec<u8> = (0..LARGE).map(|at| b'a' + (at % 19) as u8).collect();
    let payload = Payload::Udp(port, to.port(), text.clone());
    send_in_order(from, &packet(source, to.ip(), payload), order);
    let what = format!("from {} to {to} in order {order:?}", from.name());
    answer(&socket, &what, &text)
}

/// A packet made by hand, from its Ethernet header on; [`Namespace::send_packets`] takes what is behind
/// that.
pub fn packet(source: IpAddr, destination: IpAddr, payload: Payload) -> Vec<u8> {
    let frame = Frame {
        to: [0; 6],
        from: [0; 6],
        source: source.into(),
        destination: destination.into(),
        hops: 64,
        payload,
    };
    frame.bytes()
}

/// Sends a [`packet`] of about [`LARGE`] octets in three fragments, in one of
/// [`netd_common::packet::testing::ORDERS`].
///
/// # Panics
/// If they cannot be sent.
#[track_caller]
pub fn send_in_order(from: &Namespace, packet: &[u8], order: &[usize]) {
    let pieces = cut(packet, 1_400, identification());
    assert_eq!(pieces.len(), 3);
    let packets: Vec<Vec<u8>> = order
        .iter()
        .map(|number| pieces[*number][14..].to_vec())
        .collect();
    from.send_packets(&packets).expect("to send");
}
