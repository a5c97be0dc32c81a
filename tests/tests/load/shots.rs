//! Packets by the thousand over a raw socket, whose headers say whatever they are told to.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddrV4, SocketAddrV6},
    os::fd::{AsRawFd as _, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use netd_common::packet::testing::{Frame, Payload};
use netd_tests::lab::Namespace;
use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6,
        SockaddrLike, sendto, socket,
    },
};

use crate::SOON;

/// Octets of an Ethernet header, which a raw socket does not want.
const ETHERNET: usize = 14;
/// Packets at once: fewer than a device's queue takes (`net.core.netdev_max_backlog`), so that what is
/// missing was dropped by netd and by nobody else.
const BURST: u32 = 64;
const PAUSE: Duration = Duration::from_millis(1);

/// An IP packet with right checksums.
pub fn packet(
    source: impl Into<IpAddr>,
    destination: impl Into<IpAddr>,
    payload: Payload,
) -> Vec<u8> {
    let frame = Frame {
        to: [0; 6],
        from: [0; 6],
        source: source.into().into(),
        destination: destination.into().into(),
        hops: 64,
        payload,
    };
    frame.bytes().split_off(ETHERNET)
}

/// Sockets that send packets of IPv4 and IPv6 as they are (`raw(7)`).
pub struct Gun([OwnedFd; 2]);

impl Gun {
    /// One of the namespace's.
    pub fn of(namespace: &Namespace) -> Gun {
        let raw = |family| {
            let protocol = SockProtocol::Raw;
            let made = socket(family, SockType::Raw, SockFlag::empty(), protocol);
            made.expect("a raw socket (as root)")
        };
        Gun(namespace.on(move || [AddressFamily::Inet, AddressFamily::Inet6].map(raw)))
    }

    /// Sends a packet; one that the own stack has no room for is sent again.
    pub fn shoot(&self, packet: &[u8]) {
        let [v4, v6] = &self.0;
        if packet[0] >> 4 == 4 {
            let octets: [u8; 4] = packet[16..20].try_into().expect("an address");
            let to = SocketAddrV4::new(octets.into(), 0);
            shoot_by(v4, packet, &SockaddrIn::from(to));
        } else {
            let octets: [u8; 16] = packet[24..40].try_into().expect("an address");
            let to = SocketAddrV6::new(Ipv6Addr::from(octets), 0, 0, 0);
            shoot_by(v6, packet, &SockaddrIn6::from(to));
        }
    }
}

fn shoot_by(socket: &OwnedFd, packet: &[u8], to: &dyn SockaddrLike) {
    loop {
        match sendto(socket.as_raw_fd(), packet, to, MsgFlags::empty()) {
            Ok(_) => return,
            Err(Errno::ENOBUFS | Errno::EAGAIN) => std::thread::sleep(PAUSE),
            Err(error) => panic!("not sent: {error}"),
        }
    }
}

/// A flood that goes on until it is ended.
pub struct Flood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU32>,
    thread: JoinHandle<()>,
}

impl Flood {
    /// The packets that `make` makes, by number.
    pub fn start(from: &Namespace, mut make: impl FnMut(u32) -> Vec<u8> + Send + 'static) -> Flood {
        let gun = Gun::of(from);
        let (stop, sent) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU32::new(0)),
        );
        let (ended, count) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = std::thread::spawn(move || {
            let mut number = 0;
            while !ended.load(Ordering::Relaxed) {
                for _ in 0..BURST {
                    gun.shoot(&make(number));
                    number += 1;
                }
                count.store(number, Ordering::Relaxed);
                std::thread::sleep(PAUSE);
            }
        });
        Flood { stop, sent, thread }
    }

    /// Waits until so many were sent.
    #[track_caller]
    pub fn reaches(&self, number: u32) {
        let begin = Instant::now();
        while self.sent.load(Ordering::Relaxed) < number {
            assert!(begin.elapsed() < 2 * SOON, "the flood has stopped");
            std::thread::sleep(PAUSE);
        }
    }

    /// Ends it; how many packets it was.
    pub fn end(self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the sender");
        self.sent.load(Ordering::Relaxed)
    }
}
