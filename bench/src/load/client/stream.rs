//! As many octets as go through a few connections. What counts is what the server found right, at
//! the moments when its word arrived.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Options, Outcome, tcp};
use crate::{
    load::{
        message::{Kind, Message, SIZE},
        pattern::{CHUNK, Pattern},
    },
    record::Unit,
};

/// How long the connections may stand still.
const STUCK: u16 = 2_000;
/// How long the rest may take when the time is over.
const REST: Duration = Duration::from_secs(5);

struct Connection {
    stream: TcpStream,
    sent: u64,
    right: u64,
    wrong: u64,
    /// Part of a report.
    heard: Vec<u8>,
}

/// Sends until the time is over, then waits for what is on its way.
pub fn run(options: &Options) -> Result<Outcome> {
    ensure!(options.connections > 0, "a stream needs a connection");
    let pattern = Pattern::new();
    let mut connections = (0..options.connections)
        .map(|_| Connection::open(options))
        .collect::<Result<Vec<_>>>()?;
    let clock = options.clock();
    let mut counted_from = None;
    // Until something counts, also where this process did not get to run in its time.
    while Instant::now() < clock.end || counted_from.is_none() {
        let mut told = false;
        for (at, ready) in ready(&connections)?.into_iter().enumerate() {
            let connection = &mut connections[at];
            told |= ready.contains(PollFlags::POLLIN) && connection.hear()?;
            if ready.contains(PollFlags::POLLOUT) {
                connection.send(&pattern)?;
            }
        }
        let now = Instant::now();
        if told && counted_from.is_none() && now >= clock.warm {
            counted_from = Some((now, right(&connections)));
        }
    }
    let (from, before) = counted_from.context("nothing was told in the time that counts")?;
    for connection in &mut connections {
        connection.finish()?;
    }
    let seconds = from.elapsed().as_secs_f64();
    let done = right(&connections) - before;
    let sent: u64 = connections.iter().map(|connection| connection.sent).sum();
    let wrong: u64 = connections.iter().map(|connection| connection.wrong).sum();
    Ok(Outcome {
        work: options.work,
        value: done as f64 * 8.0 / seconds,
        unit: Unit::BitsPerSecond,
        seconds,
        done,
        sent,
        lost: sent.saturating_sub(right(&connections) + wrong),
        wrong,
        retransmitted: 0,
        latency: None,
    })
}

fn right(connections: &[Connection]) -> u64 {
    connections.iter().map(|connection| connection.right).sum()
}

/// Waits for something to do; what, per connection.
fn ready(connections: &[Connection]) -> Result<Vec<PollFlags>> {
    let wanted = PollFlags::POLLIN | PollFlags::POLLOUT;
    let mut polled: Vec<PollFd<'_>> = connections
        .iter()
        .map(|connection| PollFd::new(connection.stream.as_fd(), wanted))
        .collect();
    let count = poll(&mut polled, PollTimeout::from(STUCK))?;
    ensure!(count > 0, "the stream stands still");
    Ok(polled
        .iter()
        .map(|polled| polled.revents().unwrap_or(PollFlags::empty()))
        .collect())
}

impl Connection {
    fn open(options: &Options) -> Result<Connection> {
        let mut stream = tcp::open(options)?;
        stream.write_all(&Message::new(Kind::Stream, 0).write())?;
        stream.set_nonblocking(true)?;
        Ok(Connection {
            stream,
            sent: 0,
            right: 0,
            wrong: 0,
            heard: Vec::new(),
        })
    }

    fn send(&mut self, pattern: &Pattern) -> Result<()> {
        match self.stream.write(&pattern.from(self.sent)[..CHUNK]) {
            Ok(length) => self.sent += length as u64,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Reads what the server told; whether it did.
    fn hear(&mut self) -> Result<bool> {
        let mut octets = [0; 16 * SIZE];
        match self.stream.read(&mut octets) {
            Ok(0) => bail!("the server ended the stream"),
            Ok(length) => self.heard.extend_from_slice(&octets[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        self.take_in()
    }

    fn take_in(&mut self) -> Result<bool> {
        let mut told = false;
        while self.heard.len() >= SIZE {
            let report: Vec<u8> = self.heard.drain(..SIZE).collect();
            let report = Message::read(&report).context("a damaged report")?;
            (self.right, self.wrong) = (report.counts.right, report.counts.wrong);
            told = true;
        }
        Ok(told)
    }

    /// Says that no more comes, and waits for the server's last word.
    fn finish(&mut self) -> Result<()> {
        self.stream.set_nonblocking(false)?;
        self.stream.set_read_timeout(Some(REST))?;
        self.stream.shutdown(Shutdown::Write)?;
        self.stream
            .read_to_end(&mut self.heard)
            .context("waiting for the rest of the stream")?;
        self.take_in().map(drop)
    }
}
