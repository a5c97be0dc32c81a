//! The client: one connected socket, as resolvers in C libraries have. For the rate it keeps many
//! questions on the way, sent and received by one call; for the time that one takes, one.

use std::{
    net::{Ipv4Addr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::{
    burst::{self, Burst},
    message::{Questions, check, id},
};
use crate::{load::Durations, record::Latency};

/// Questions on the way while the rate is measured: enough that a server always has the next one,
/// and far fewer than a socket's default buffer holds.
const WINDOW: usize = burst::MOST;
/// When a question counts as lost.
const LOST: Duration = Duration::from_secs(2);
/// Wrong answers after which measuring makes no sense.
const MOST_WRONG: u64 = 100;

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
    burst: Burst,
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
            burst: Burst::new(),
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
        }
        let questions = self.slots[..window]
            .iter()
            .map(|slot| slot.bytes.as_slice());
        self.burst.send(&self.socket, questions)?;
        let mut answered = 0;
        while answered < window as u64 {
            let came = self.burst.receive(&self.socket, window)?;
            if came == 0 {
                break;
            }
            for place in 0..came {
                answered += u64::from(self.judge(place, first, window)?);
            }
        }
        Ok(answered)
    }

    /// Whether a datagram that came is the right answer to a question that waits for one.
    fn judge(&mut self, place: usize, first: u32, window: usize) -> Result<bool> {
        let answer = self.burst.datagram(place);
        let Some(given) = answer.first_chunk().map(|id| u16::from_be_bytes(*id)) else {
            return Ok(false);
        };
        // Late answers to former questions are lost already.
        let asked = usize::from(given.wrapping_sub(id(first)));
        let Some(slot) = self.slots[..window].get_mut(asked) else {
            return Ok(false);
        };
        let Some(address) = slot.address.take() else {
            return Ok(false);
        };
        match check(answer, &slot.bytes, address) {
            Ok(()) => Ok(true),
            Err(error) => self.wrong(error).map(|()| false),
        }
    }

    fn wrong(&mut self, error: anyhow::Error) -> Result<()> {
        self.wrong += 1;
        if self.wrong >= MOST_WRONG {
            return Err(error.context(format!("{MOST_WRONG} wrong answers; the last one")));
        }
        Ok(())
    }
}
