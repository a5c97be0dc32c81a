//! The flood's role: packets that belong to nobody's traffic, each the first of a flow of its own, at a
//! fixed rate until it is killed. It waits for no answer and reads none.

use std::{
    hash::{BuildHasher, RandomState},
    io::IoSlice,
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::{AsRawFd, OwnedFd},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use ipnet::Ipv4Net;
use netd_common::{
    Addr,
    packet::{
        testing::{Frame, Payload},
        transport::tcp,
    },
};
use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, ControlMessage, MsgFlags, MultiHeaders, SockFlag, SockProtocol, SockType,
        SockaddrStorage, sendmmsg, socket,
    },
};
use serde::{Deserialize, Serialize};

use super::{cpu, message::mix};

/// Packets handed to the kernel at once, at most.
const BATCH: usize = 64;
/// How long it sleeps between bursts.
const PAUSE: Duration = Duration::from_millis(1);
/// What could not be sent within this time, since it did not get to run, is not made up for: it would
/// come as one burst that overflows queues. What it told shows the rate that was reached.
const DEBT: Duration = Duration::from_millis(10);
/// How often it tells what it has sent.
const TELL: Duration = Duration::from_millis(20);
/// Octets of a datagram's payload, as of those of the client's.
const PAYLOAD: usize = super::message::SIZE;
/// Octets of an Ethernet header, which a raw socket does not want.
const ETHERNET: usize = 14;
/// Source ports are from here on.
const FIRST_PORT: u16 = 1024;

/// What it consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// TCP segments that would open connections.
    Syn,
    /// Datagrams.
    Udp,
    /// ICMP echo requests.
    Icmp,
}

impl Kind {
    /// As the command line names it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Syn => "syn",
            Kind::Udp => "udp",
            Kind::Icmp => "icmp",
        }
    }
}

/// The command line of a flood.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// What it consists of.
    #[arg(long)]
    pub kind: Kind,
    /// The addresses that packets come from, by chance; need not be the namespace's own.
    #[arg(long)]
    pub from: Ipv4Net,
    /// The addresses that they go to, by chance.
    #[arg(long)]
    pub to: Ipv4Net,
    /// The port that they go to, if they have ports.
    #[arg(long, default_value_t = 80)]
    pub port: u16,
    /// Packets a second.
    #[arg(long)]
    pub rate: u32,
    /// The CPU to run on.
    #[arg(long)]
    pub cpu: Option<usize>,
}

/// What a flood tells every now and then, as a line of JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Packets that were sent since it began.
    pub packets: u64,
    /// Seconds since then.
    pub seconds: f64,
}

/// Sends until it is killed, from the calling thread's network namespace.
///
/// # Errors
/// If the namespace's own stack refuses a packet.
pub fn run(options: &Options) -> Result<()> {
    if let Some(cpu) = options.cpu {
        cpu::pin(cpu)?;
    }
    let mut sender = Sender::open()?;
    // Others than those of an earlier one, which are in a table by now.
    let seed = RandomState::new().hash_one(options.to);
    let rate = f64::from(options.rate);
    let most = rate * DEBT.as_secs_f64();
    let begin = Instant::now();
    let (mut now, mut told) = (begin, begin);
    let (mut owed, mut packets) = (0.0, 0);
    loop {
        let before = now;
        now = Instant::now();
        owed = most.min(owed + rate * (now - before).as_secs_f64());
        while owed >= 1.0 {
            let burst = BATCH.min(owed as usize);
            let sent = sender.send((packets..).take(burst).map(|number| {
                let chance = mix(seed.wrapping_add(number));
                packet(options, chance)
            }))?;
            packets += sent as u64;
            owed -= sent as f64;
            if sent < burst {
                break;
            }
        }
        if now - told >= TELL {
            told = now;
            let seconds = begin.elapsed().as_secs_f64();
            println!("{}", serde_json::to_string(&Told { packets, seconds })?);
        }
        std::thread::sleep(PAUSE);
    }
}

/// A packet whose addresses and ports are those of this chance.
fn packet(options: &Options, chance: u64) -> Vec<u8> {
    let [low, high] = [chance as u32, (chance >> 32) as u32];
    let port = FIRST_PORT + (mix(chance) % u64::from(u16::MAX - FIRST_PORT)) as u16;
    let address = |address: Ipv4Addr| Addr::v4(address.octets());
    let frame = Frame {
        to: [0; 6],
        from: [0; 6],
        source: address(any_of(options.from, low)),
        destination: address(any_of(options.to, high)),
        hops: 64,
        payload: match options.kind {
            Kind::Syn => Payload::Tcp(port, options.port, tcp::SYN),
            Kind::Udp => Payload::Udp(port, options.port, vec![0x6e; PAYLOAD]),
            Kind::Icmp => Payload::EchoRequest(port, 1),
        },
    };
    frame.bytes().split_off(ETHERNET)
}

fn any_of(net: Ipv4Net, chance: u32) -> Ipv4Addr {
    let within = chance & u32::from(net.hostmask());
    Ipv4Addr::from(u32::from(net.network()) | within)
}

/// A socket that sends IPv4 packets as they are (`raw(7)`).
struct Sender {
    socket: OwnedFd,
    headers: MultiHeaders<SockaddrStorage>,
}

impl Sender {
    fn open() -> Result<Sender> {
        let socket = socket(
            AddressFamily::Inet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::Raw,
        );
        Ok(Sender {
            socket: socket.context("no raw socket (needs root)")?,
            headers: MultiHeaders::preallocate(BATCH, None),
        })
    }

    /// Sends up to a batch; how many the own stack had room for.
    fn send(&mut self, packets: impl Iterator<Item = Vec<u8>>) -> Result<usize> {
        let packets: Vec<Vec<u8>> = packets.collect();
        let slices: Vec<[IoSlice<'_>; 1]> = packets
            .iter()
            .map(|packet| [IoSlice::new(packet)])
            .collect();
        let to: Vec<Option<SockaddrStorage>> = packets
            .iter()
            .map(|packet| destination(packet).map(|to| SocketAddrV4::new(to, 0).into()))
            .collect();
        let control: [ControlMessage<'_>; 0] = [];
        let sent = sendmmsg(
            self.socket.as_raw_fd(),
            &mut self.headers,
            &slices,
            to,
            control,
            MsgFlags::empty(),
        );
        match sent {
            Ok(sent) => Ok(sent.count()),
            Err(Errno::ENOBUFS | Errno::EAGAIN) => Ok(0),
            Err(error) => Err(error).context("not sent"),
        }
    }
}

/// Of an IPv4 header.
fn destination(packet: &[u8]) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = *packet.get(16..)?.first_chunk()?;
    Some(octets.into())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn options(kind: Kind) -> Options {
        Options {
            kind,
            from: "100.64.0.0/10".parse().unwrap(),
            to: "198.18.0.2/32".parse().unwrap(),
            port: 443,
            rate: 1,
            cpu: None,
        }
    }

    #[test]
    fn every_packet_is_a_flow_of_its_own() {
        for kind in [Kind::Syn, Kind::Udp, Kind::Icmp] {
            let options = options(kind);
            let packets = (0..1000).map(|number| packet(&options, mix(number)));
            let packets: HashSet<Vec<u8>> = packets.collect();
            assert_eq!(packets.len(), 1000, "{kind:?}");
            for packet in packets {
                assert_eq!(packet[12], 100, "{kind:?}: a source of those");
                assert_eq!(packet[13] & 0xc0, 64, "{kind:?}: a source of those");
                assert_eq!(destination(&packet), Some(Ipv4Addr::new(198, 18, 0, 2)));
                if kind != Kind::Icmp {
                    assert_eq!(packet[22..24], 443_u16.to_be_bytes(), "{kind:?}");
                }
            }
        }
    }
}
