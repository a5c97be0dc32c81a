//! Asking upstreams what netd does not know: the question goes out as the client wrote it, but for
//! the id; the answer comes back whole. One upstream after another: the next is asked when one
//! fails, and besides it when one is silent for a second. Caches nothing.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};

use super::{
    answer::Transport,
    exchange::{self, Place},
    limits::{FORWARD_DEADLINE, FORWARD_HEDGE, MAX_ATTEMPTS, MAX_UPSTREAMS, UPSTREAM_PENALTY},
    message::{self, Question},
    table::{Client, Table, Upstreams},
};

/// Asks the upstreams of clients, and remembers which were silent of late.
#[derive(Debug)]
pub struct Forwarder {
    table: Table,
    silent: Mutex<HashMap<SocketAddr, Instant>>,
}

/// Whom an attempt asked, and what it gave.
type Attempt = (SocketAddr, io::Result<Vec<u8>>);

impl Forwarder {
    /// The host's upstreams are the table's.
    pub fn new(table: Table) -> Forwarder {
        Forwarder {
            table,
            silent: Mutex::default(),
        }
    }

    /// The answer of one of the client's upstreams as the client may have it, of any size; `None`
    /// where none has answered in time.
    pub async fn ask(
        &self,
        question: &Arc<Question>,
        client: &Client,
        transport: Transport,
    ) -> Option<Vec<u8>> {
        let (upstreams, place) = match &client.upstreams {
            Upstreams::Host => (self.table.upstreams(), Place::Host),
            Upstreams::Own { namespace, servers } => (
                servers.as_slice().into(),
                Place::Namespace(namespace.as_path().into()),
            ),
        };
        let mut race = Race {
            question,
            place,
            transport,
            upstreams: self.in_order(&upstreams),
            attempts: JoinSet::new(),
            asked: 0,
        };
        let mut answer = self.run(&mut race).await?;
        question.own(&mut answer);
        Some(answer)
    }

    async fn run(&self, race: &mut Race<'_>) -> Option<Vec<u8>> {
        let deadline = Instant::now() + FORWARD_DEADLINE;
        let mut hedge = Instant::now() + FORWARD_HEDGE;
        // An answer that says no more than that the upstream does not know either.
        let mut last_resort = None;
        race.ask_next();
        while !race.attempts.is_empty() {
            tokio::select! {
                Some(done) = race.attempts.join_next() => {
                    match self.judge(done) {
                        Judged::Good(answer) => return Some(answer),
                        Judged::Poor(answer) => {
                            last_resort.get_or_insert(answer);
                        }
                        Judged::Failed => {}
                    }
                    if race.asked < race.upstreams.len() {
                        race.ask_next();
                    }
                }
                () = sleep_until(hedge) => {
                    hedge += FORWARD_HEDGE;
                    self.penalise(race.latest());
                    race.ask_next();
                }
                () = sleep_until(deadline) => break,
            }
        }
        last_resort
    }

    fn judge(&self, done: Result<Attempt, JoinError>) -> Judged {
        // A task that panicked is a failed attempt.
        let Ok((upstream, result)) = done else {
            return Judged::Failed;
        };
        match result {
            Ok(answer) => {
                self.lock().remove(&upstream);
                match message::response_code(&answer) {
                    Some(rcode) if message::is_good(rcode) => Judged::Good(answer),
                    _ => Judged::Poor(answer),
                }
            }
            Err(error) => {
                tracing::debug!(%upstream, %error, "upstream name server");
                self.penalise(Some(upstream));
                Judged::Failed
            }
        }
    }

    /// The first upstreams, those that were silent of late last.
    fn in_order(&self, upstreams: &[SocketAddr]) -> Vec<SocketAddr> {
        let mut silent = self.lock();
        let now = Instant::now();
        silent.retain(|_, until| *until > now);
        let mut upstreams: Vec<SocketAddr> =
            upstreams.iter().copied().take(MAX_UPSTREAMS).collect();
        upstreams.sort_by_key(|upstream| silent.contains_key(upstream));
        upstreams
    }

    fn penalise(&self, upstream: Option<SocketAddr>) {
        if let Some(upstream) = upstream {
            let until = Instant::now() + UPSTREAM_PENALTY;
            self.lock().insert(upstream, until);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SocketAddr, Instant>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Judged {
    Good(Vec<u8>),
    Poor(Vec<u8>),
    Failed,
}

/// One question's attempts; dropping it ends them.
struct Race<'a> {
    question: &'a Arc<Question>,
    place: Place,
    transport: Transport,
    upstreams: Vec<SocketAddr>,
    attempts: JoinSet<Attempt>,
    asked: usize,
}

impl Race<'_> {
    /// Asks the next upstream, after the last one the first again: a datagram may be lost.
    fn ask_next(&mut self) {
        if self.asked >= MAX_ATTEMPTS {
            return;
        }
        let next = self.upstreams.iter().cycle().nth(self.asked).copied();
        let Some(upstream) = next else { return };
        self.asked += 1;
        let (place, transport) = (self.place.clone(), self.transport);
        let question = self.question.clone();
        self.attempts.spawn(async move {
            let result = exchange::ask(question, upstream, place, transport).await;
            (upstream, result)
        });
    }

    fn latest(&self) -> Option<SocketAddr> {
        let latest = self.asked.checked_sub(1)?;
        self.upstreams.iter().cycle().nth(latest).copied()
    }
}

#[cfg(test)]
#[path = "forward_tests.rs"]
mod tests;
