//! As many small packets as arrive. A window bounds what is on its way, so that no queue on it
//! overflows; the server says now and then what it has counted, and its last word is the outcome.

use std::{
    io::{ErrorKind, IoSlice},
    net::UdpSocket,
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg, setsockopt, sockopt,
};

use super::{Options, Outcome, udp};
use crate::{
    load::message::{Counts, Kind, Message, SIZE},
    record::Unit,
};

/// Packets handed to the kernel at once; the last one asks for the counts.
const BATCH: usize = 32;
/// Packets on their way, at most. Their buffers are a fraction of a socket's and a CPU's queue.
const WINDOW: u64 = 128;
/// How long the server's word may take before it is asked again.
const LATE: Duration = Duration::from_millis(50);
/// Questions for the counts have numbers from here on: the answer is none to an earlier packet.
const TELL: u64 = 1 << 62;
/// How often it is asked.
const TRIES: u32 = 20;

struct Sender {
    socket: UdpSocket,
    headers: MultiHeaders<SockaddrStorage>,
    sent: u64,
    /// Packets before this number have arrived or are lost.
    known: u64,
    counts: Counts,
}

/// Sends until the time is over.
pub fn run(options: &Options) -> Result<Outcome> {
    let socket = udp::open(options, Kind::Begin)?;
    socket.set_read_timeout(Some(LATE))?;
    // The server's word is small; it must not be lost here.
    setsockopt(&socket, sockopt::RcvBuf, &(1 << 20))?;
    let mut sender = Sender {
        socket,
        headers: MultiHeaders::preallocate(BATCH, None),
        sent: 0,
        known: 0,
        counts: Counts::default(),
    };
    let clock = options.clock();
    let mut counted_from = None;
    let mut now = Instant::now();
    // At least one batch counts, also where this process did not get to run in its time.
    let mut counted = 0;
    while now < clock.end || counted == 0 {
        sender.send_batch()?;
        counted += u32::from(counted_from.is_some());
        while sender.sent - sender.known > WINDOW - BATCH as u64 {
            sender.listen()?;
        }
        now = Instant::now();
        if now >= clock.warm && counted_from.is_none() {
            // All that is on its way has arrived: what is counted from here on was sent from here on.
            sender.ask()?;
            now = Instant::now();
            counted_from = Some((now, sender.counts.right));
        }
    }
    sender.ask()?;
    let (from, before) = counted_from.context("over before it counted")?;
    let seconds = from.elapsed().as_secs_f64();
    let done = sender.counts.right - before;
    let Counts { right, wrong } = sender.counts;
    Ok(Outcome {
        work: options.work,
        value: done as f64 / seconds,
        unit: Unit::PerSecond,
        seconds,
        done,
        sent: sender.sent,
        lost: sender.sent.saturating_sub(right + wrong),
        wrong,
        retransmitted: 0,
        latency: None,
    })
}

impl Sender {
    fn send_batch(&mut self) -> Result<()> {
        let mut octets = [[0; SIZE]; BATCH];
        for (number, octets) in (self.sent..).zip(&mut octets) {
            let last = number + 1 == self.sent + BATCH as u64;
            let kind = if last { Kind::PacketTell } else { Kind::Packet };
            *octets = Message::new(kind, number).write();
        }
        let slices = octets.each_ref().map(|octets| [IoSlice::new(octets)]);
        let mut from = 0;
        while from < BATCH {
            let to = [None::<SockaddrStorage>; BATCH];
            let control: [ControlMessage<'_>; 0] = [];
            let sent = sendmmsg(
                self.socket.as_raw_fd(),
                &mut self.headers,
                &slices[from..],
                to,
                control,
                MsgFlags::empty(),
            )
            .context("sendmmsg")?;
            from += sent.count();
        }
        self.sent += BATCH as u64;
        Ok(())
    }

    /// Waits for the server's word; asks for it when it does not come.
    fn listen(&mut self) -> Result<()> {
        match self.hear()? {
            true => Ok(()),
            false => self.ask(),
        }
    }

    /// Asks for the counts after all that was sent; packets do not overtake each other, so what is
    /// missing then is lost.
    fn ask(&mut self) -> Result<()> {
        for _ in 0..TRIES {
            let number = TELL + self.sent;
            self.socket
                .send(&Message::new(Kind::Tell, number).write())?;
            while self.hear()? {
                if self.known == self.sent {
                    return Ok(());
                }
            }
        }
        bail!("the server no longer says what it counted")
    }

    /// Whether something was heard in time.
    fn hear(&mut self) -> Result<bool> {
        let mut octets = [0; SIZE + 1];
        let length = match self.socket.recv(&mut octets) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        match Message::read(&octets[..length]) {
            Some(told) if told.kind == Kind::Answer => {
                // Else it is the answer to a first question that had been given up.
                if told.number <= TELL + self.sent {
                    self.counts = told.counts;
                    let known = told.number.checked_sub(TELL).unwrap_or(told.number + 1);
                    self.known = self.known.max(known);
                }
                Ok(true)
            }
            // Damaged on its way: as if it had not come.
            _ => Ok(true),
        }
    }
}
