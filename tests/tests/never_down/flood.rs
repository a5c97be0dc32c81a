//! Traffic in one direction that is counted on the other side: not an octet may be missing.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{JoinHandle, spawn},
    time::{Duration, Instant},
};

use netd_tests::lab::Namespace;
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};

use crate::SOON;

/// What is under way when a sender stops arrives within this, on a busy machine.
const LAST: Duration = Duration::from_secs(20);

/// One direction, as fast as it goes or a thousand times a second; what arrives is counted by the other
/// side and has to be what was sent.
pub struct Flood {
    what: String,
    stop: Arc<AtomicBool>,
    sender: JoinHandle<u64>,
    arrived: Arc<AtomicU64>,
    receiver: JoinHandle<()>,
}

impl Flood {
    /// Numbered datagrams, one each millisecond.
    pub fn datagrams(from: &Namespace, to: SocketAddr, server: UdpSocket) -> Flood {
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = from.udp_bind(any.parse().expect("an address"));
        let socket = socket.expect("a socket");
        socket.connect(to).expect("connected");
        // So much that a receiver without its turn loses nothing.
        setsockopt(&server, RcvBufForce, &(64 << 20)).expect("a buffer");
        let poll = Some(Duration::from_millis(50));
        server.set_read_timeout(poll).expect("a socket option");
        let (stop, arrived) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (until, count) = (Arc::clone(&stop), Arc::clone(&arrived));
        let sender = spawn(move || {
            let (start, mut number) = (Instant::now(), 0_u64);
            while !until.load(Ordering::Relaxed) {
                // A thread that had no turn for a while catches up.
                while number < start.elapsed().as_millis() as u64 {
                    socket.send(&number.to_be_bytes()).expect("sent");
                    number += 1;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            number
        });
        let ended = Arc::clone(&stop);
        let receiver = spawn(move || {
            let (mut buffer, mut last) = ([0; 16], Instant::now());
            while !ended.load(Ordering::Relaxed) || last.elapsed() < Duration::from_secs(3) {
                if let Ok((8, _)) = server.recv_from(&mut buffer) {
                    count.fetch_add(1, Ordering::Relaxed);
                    last = Instant::now();
                }
            }
        });
        Flood {
            what: format!("datagrams from {} to {to}", from.name()),
            stop,
            sender,
            arrived,
            receiver,
        }
    }

    /// One TCP connection, full.
    pub fn bulk(from: &Namespace, to: SocketAddr, server: &TcpListener) -> Flood {
        let mut stream = from.tcp_connect(to, SOON).expect("a connection");
        let (mut other, _) = server.accept().expect("a connection");
        let (stop, arrived) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (until, count) = (Arc::clone(&stop), Arc::clone(&arrived));
        let sender = spawn(move || {
            let mut sent = 0_u64;
            let block: Vec<u8> = (0..65_521_u32).map(|at| (at % 251) as u8).collect();
            while !until.load(Ordering::Relaxed) {
                stream.write_all(&block).expect("the connection holds");
                sent += block.len() as u64;
                // Others want to run, too.
                std::thread::sleep(Duration::from_millis(2));
            }
            sent
        });
        let receiver = spawn(move || whole(&mut other, &count));
        Flood {
            what: format!("a connection from {} to {to}", from.name()),
            stop,
            sender,
            arrived,
            receiver,
        }
    }

    /// Waits until so much more has arrived.
    #[track_caller]
    pub fn flows_on(&self, more: u64) {
        let start = Instant::now();
        let target = self.arrived.load(Ordering::Relaxed) + more;
        while self.arrived.load(Ordering::Relaxed) < target {
            assert!(start.elapsed() < SOON, "{} has stopped", self.what);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it: all of it arrived.
    #[track_caller]
    pub fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.sender.join().expect("the sender");
        let start = Instant::now();
        while self.arrived.load(Ordering::Relaxed) < sent && start.elapsed() < LAST {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.receiver.join().expect("the receiver");
        let arrived = self.arrived.load(Ordering::Relaxed);
        assert_eq!(arrived, sent, "{}", self.what);
    }
}

/// Reads to the end, and sees that each octet is the one that was sent.
fn whole(stream: &mut TcpStream, count: &AtomicU64) {
    let (mut buffer, mut at) = (vec![0; 1 << 16], 0_u64);
    loop {
        let length = stream.read(&mut buffer).expect("the connection holds");
        if length == 0 {
            return;
        }
        for octet in &buffer[..length] {
            assert_eq!(u64::from(*octet), at % 65_521 % 251, "octet {at}");
            at += 1;
        }
        count.fetch_add(length as u64, Ordering::Relaxed);
    }
}
