//! More flows to one destination than there are source ports.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use netd_common::packet::testing::Payload;
use netd_tests::lab::{App, Lab, addresses::*};
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};

use crate::{
    PORT, SOON, at, is_well,
    junk::established,
    shots::{Gun, packet},
};

/// Flows that are tried, half of each of two containers, by the ports that sockets have by default.
const TRIED: u32 = 40_000;
/// The first of them (`net.ipv4.ip_local_port_range`), which netd's range does not have: each flow
/// gets another port.
const FIRST: u16 = 32_768;
/// Source ports by default: those from 1024 up that are outside of 32768–60999.
const PORTS: usize = 36_280;
/// A flow tries sixteen ports by chance; the last few per cent of the range find none.
const ABOUT: usize = 35_000;
/// Datagrams in a row: fewer than a device's queue takes.
const BATCH: usize = 400;
/// After which nothing more comes of a batch.
const QUIET: Duration = Duration::from_millis(300);

/// Answers each datagram, which holds its flow's number; the flows by that, with what they look like.
struct Server {
    seen: Arc<Mutex<BTreeMap<u32, SocketAddr>>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Server {
    fn start(socket: UdpSocket) -> Server {
        setsockopt(&socket, RcvBufForce, &(64 << 20)).expect("a buffer");
        let poll = Some(Duration::from_millis(20));
        socket.set_read_timeout(poll).expect("a socket option");
        let seen: Arc<Mutex<BTreeMap<u32, SocketAddr>>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (flows, ended) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut number = [0; 4];
            while !ended.load(Ordering::Relaxed) {
                if let Ok((4, peer)) = socket.recv_from(&mut number) {
                    // One that is gone by now says so by ICMP, which is no matter.
                    let _ = socket.send_to(&number, peer);
                    let mut flows = flows.lock().expect("nobody panics with it");
                    flows.insert(u32::from_be_bytes(number), peer);
                }
            }
        });
        Server { seen, stop, thread }
    }

    fn count(&self) -> usize {
        self.seen.lock().expect("nobody panics with it").len()
    }

    fn end(self) -> BTreeMap<u32, SocketAddr> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the server");
        std::mem::take(&mut self.seen.lock().expect("nobody panics with it"))
    }
}

/// Where flows come from.
struct Clients(Vec<(Gun, Ipv4Addr)>);

impl Clients {
    fn of(lab: &Lab) -> Clients {
        let client = |name: &&str| {
            let address = lab.address(name, "app").to_string();
            let address = address.parse().expect("an IPv4 address");
            (Gun::of(&lab.sandbox(name)), address)
        };
        Clients(["web", "client"].iter().map(client).collect())
    }

    /// A datagram of each of the flows.
    fn send(&self, flows: &[u32]) {
        for number in flows {
            let (gun, source) = &self.0[*number as usize % 2];
            let port = FIRST + (number / 2) as u16;
            let data = number.to_be_bytes().to_vec();
            let to: Ipv4Addr = PUBLIC.parse().expect("an IPv4 address");
            gun.shoot(&packet(*source, to, Payload::Udp(port, PORT, data)));
        }
    }

    /// The same for all, in batches, each of which has arrived as far as it does when the next begins.
    fn send_all(&self, server: &Server, flows: &[u32]) {
        for batch in flows.chunks(BATCH) {
            let (mut last, mut since) = (server.count(), Instant::now());
            let target = last + batch.len();
            self.send(batch);
            while last < target && since.elapsed() < QUIET {
                std::thread::sleep(Duration::from_millis(2));
                let now = server.count();
                if now != last {
                    (last, since) = (now, Instant::now());
                }
            }
        }
    }
}

#[test]
fn a_destination_has_as_many_flows_as_there_are_ports_and_gets_them_back() {
    let mut app = App::start("many-flows");
    let lab = &app.lab;
    // None is over before all have begun.
    app.agent.stop();
    app.agent = lab.agent("--flow-udp-new 3600 --flow-udp-established 3600");
    let serve = || Server::start(lab.outside().udp_bind(at(PUBLIC, PORT)).expect("a server"));
    let clients = Clients::of(lab);
    let server = serve();
    let all: Vec<u32> = (0..TRIED).collect();
    // An answered flow that goes on is established, and evicts nobody: each goes on when the next ones
    // have begun.
    let mut former: &[u32] = &[];
    for batch in all.chunks(BATCH) {
        clients.send_all(&server, batch);
        clients.send(former);
        former = batch;
    }
    clients.send_all(&server, former);
    let flows = server.end();
    let count = flows.len();
    println!("{count} of {TRIED} flows");
    assert!((ABOUT..=PORTS).contains(&count), "{count} flows");
    // Each has a port of its own.
    let ports: BTreeSet<SocketAddr> = flows.values().copied().collect();
    assert_eq!(ports.len(), count);
    // The rest are counted drops, with each of their two datagrams; some had one on the second try.
    let dropped = lab.drops("ports-exhausted");
    let rest = u64::from(TRIED) - count as u64;
    assert!(dropped >= 2 * rest, "{dropped} drops, {rest} flows failed");
    // Another destination has ports of its own.
    let elsewhere = lab.outside().udp_bind(at(OUTSIDE, PORT)).expect("a server");
    elsewhere.set_read_timeout(Some(SOON)).expect("a limit");
    let socket = app.client.udp_bind(at("0.0.0.0", 0)).expect("a socket");
    socket.send_to(b"x", (OUTSIDE, PORT)).expect("sent");
    elsewhere.recv_from(&mut [0; 8]).expect("it arrives");
    drop(elsewhere);

    // What is over makes room: the agent collects it, here at once.
    app.agent.stop();
    app.agent = lab.agent("--flow-udp-new 1 --flow-udp-established 1");
    let to = PORT.to_be_bytes();
    lab.wait_until("all of them are collected", 2 * SOON, || {
        established(lab)
            .iter()
            .all(|key| key.destination_port != to && key.source_port != to)
    });
    let server = serve();
    let failed: Vec<u32> = all
        .iter()
        .filter(|number| !flows.contains_key(number))
        .copied()
        .collect();
    clients.send_all(&server, &failed);
    assert_eq!(server.end().len(), failed.len());
    is_well(&app.agent);
}
