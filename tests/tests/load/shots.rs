//! Packets by the thousand over a raw socket, whose headers say whatever they are told to.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::{AsRawFd as _, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use netd_common::{
    Addr,
    packet::testing::{Frame, Payload},
};
use netd_tests::lab::Namespace;
use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket,
    },
};

use crate::SOON;

/// Octets of an Ethernet header, which a raw socket does not want.
const ETHERNET: usize = 14;
/// Packets at once: fewer than a device's queue takes (`net.core.netdev_max_backlog`), so that what is
/// missing was dropped by netd and by nobody else.
const BURST: u32 = 64;
const PAUSE: Duration = Duration::from_millis(1);

/// An IPv4 packet with right checksums.
pub fn packet(source: Ipv4Addr, destination: Ipv4Addr, payload: Payload) -> Vec<u8> {
    let frame = Frame {
        to: [0; 6],
        from: [0; 6],
        source: Addr::v4(source.octets()),
        destination: Addr::v4(destination.octets()),
        hops: 64,
        payload,
    };
    frame.bytes().split_off(ETHERNET)
}

/// A socket that sends IPv4 packets as they are (`raw(7)`).
pub struct Gun(OwnedFd);

impl Gun {
    /// One of the namespace's.
    pub fn of(namespace: &Namespace) -> Gun {
        let made = namespace.on(|| {
            socket(
                AddressFamily::Inet,
                SockType::Raw,
                SockFlag::empty(),
                SockProtocol::Raw,
            )
        });
        Gun(made.expect("a raw socket (as root)"))
    }

    /// Sends a packet; one that the own stack has no room for is sent again.
    pub fn shoot(&self, packet: &[u8]) {
        let octets: [u8; 4] = packet[16..20].try_into().expect("an address");
        let to = SockaddrIn::from(SocketAddrV4::new(octets.into(), 0));
        loop {
            match sendto(self.0.as_raw_fd(), packet, &to, MsgFlags::empty()) {
                Ok(_) => return,
                Err(Errno::ENOBUFS | Errno::EAGAIN) => std::thread::sleep(PAUSE),
                Err(error) => panic!("not sent: {error}"),
            }
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
