//! The client: one connected socket, as resolvers in C libraries have, and no allocation while it
//! asks. For the rate it keeps many questions on the way; for the time that one takes, one.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::message::{Questions, check, id};
use crate::{load::Durations, record::Latency};

/// Questions on the way while the rate is measured: enough that a server always has the next one,
/// and far fewer than a socket's default buffer holds.
const WINDOW: usize = 32;
/// When a question counts as lost.
const LOST: Duration = Duration::from_secs(2);
/// Wrong answers after which measuring makes no sense.
const MOST_WRONG: u64 = 100;
/// The largest datagram that a question without EDNS is answered with (RFC 1035, 4.2.1), and room
/// to see that one is larger.
const BUFFER: usize = 1024;

/// What asking came to.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Questions with the right answer.
    pub answered: u64,
    /// Questions without an answer in time, or with a wrong one.
    pub lost: u64,
    /// How long it took.
    pub seconds: f64,
    /// What single questions took, where they were asked one by one.
    pub latency: Option<Latency>,
}

/// A client on a socket that is connected to its name server.
pub struct Client {
    socket: UdpSocket,
    questions: Questions,
    number: u32,
    slots: Vec<Slot>,
    buffer: Vec<u8>,
    wrong: u64,
}

/// A question on the way.
#[derive(Clone, Default)]
struct Slot {
    bytes: Vec<u8>,
    address: Option<Ipv4Addr>,
}

impl Client {
    /// A client that begins with question `number`. Fresh names stay fresh as long as callers never
    /// begin below where a former client of theirs ended.
    pub fn new(socket: UdpSocket, questions: Questions, number: u32) -> Result<Client> {
        socket.set_read_timeout(Some(LOST))?;
        Ok(Client {
            socket,
            questions,
            number,
            slots: vec![Slot::default(); WINDOW],
            buffer: vec![0; BUFFER],
            wrong: 0,
        })
    }

    /// The number of the next question.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Asks as fast as answers come, for about so long.
    pub fn rate(&mut self, during: Duration) -> Result<Asked> {
        self.ask(WINDOW, during, false)
    }

    /// Asks one question after the other, for about so long.
    pub fn latency(&mut self, during: Duration) -> Result<Asked> {
        self.ask(1, during, true)
    }

    /// Waits until the server answers at all.
    pub fn wait_until_answered(&mut self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let asked = self.batch(1);
            match asked {
                Ok(1) => {
                    self.wrong = 0;
                    return Ok(());
                }
                Ok(_) | Err(_) if Instant::now() < deadline => {
                    self.wrong = 0;
                    std::thread::sleep(Duration::from_millis(10));
                }
                Ok(_) => bail!("no right answer within {limit:?}"),
                Err(error) => return Err(error),
            }
        }
    }

    fn ask(&mut self, window: usize, during: Duration, each: bool) -> Result<Asked> {
        let mut asked = Asked::default();
        let mut times = Durations::new()?;
        let start = Instant::now();
        let mut before = start;
        loop {
            let answered = self.batch(window)?;
            let now = Instant::now();
            asked.answered += answered;
            asked.lost += window as u64 - answered;
            if each && answered > 0 {
                times.add(now - before);
            }
            if now - start >= during {
                asked.seconds = (now - start).as_secs_f64();
                asked.latency = times.summary();
                return Ok(asked);
            }
            before = now;
        }
    }

    /// Sends so many questions and takes their answers; how many had the right one.
    fn batch(&mut self, window: usize) -> Result<u64> {
        let first = self.number;
        for slot in &mut self.slots[..window] {
            slot.address = Some(self.questions.write(self.number, &mut slot.bytes));
            self.number = self.number.wrapping_add(1);
            send(&self.socket, &slot.bytes)?;
        }
        let mut answered = 0;
        while answered < window as u64 {
            let length = match self.socket.recv(&mut self.buffer) {
                Ok(length) => length,
                Err(error) if is_silence(&error) => break,
                Err(error) => return Err(error).context("receiving an answer"),
            };
            let answer = &self.buffer[..length];
            let Some(given) = answer.first_chunk().map(|id| u16::from_be_bytes(*id)) else {
                continue;
            };
            // Late answers to former questions are lost already.
            let place = usize::from(given.wrapping_sub(id(first)));
            let Some(slot) = self.slots[..window].get_mut(place) else {
                continue;
            };
            let Some(address) = slot.address.take() else {
                continue;
            };
            match check(answer, &slot.bytes, address) {
                Ok(()) => answered += 1,
                Err(error) => self.wrong(error)?,
            }
        }
        Ok(answered)
    }

    fn wrong(&mut self, error: anyhow::Error) -> Result<()> {
        self.wrong += 1;
        if self.wrong >= MOST_WRONG {
            return Err(error.context(format!("{MOST_WRONG} wrong answers; the last one")));
        }
        Ok(())
    }
}

/// Sends; a port that was closed a moment ago is told by the next call and means nothing here.
fn send(socket: &UdpSocket, bytes: &[u8]) -> Result<()> {
    match socket.send(bytes) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        result => result.map(drop).context("sending a question"),
    }
}

fn is_silence(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::ConnectionRefused
    )
}
