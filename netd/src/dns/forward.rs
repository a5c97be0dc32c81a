//! Asking upstreams what netd does not know: the question goes out as the client wrote it, but for
//! the id; the answer comes back whole, and is kept. One upstream after another: the next is asked
//! when one fails, and besides it when one is silent.

use std::{io, net::SocketAddr, sync::Arc, time::Instant};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{sleep_until, timeout};

use super::{
    answer::Transport,
    cache::{Cache, Key},
    exchange,
    health::{Health, Order},
    limits::{FORWARD_AGAIN, FORWARD_DEADLINE, FORWARD_HEDGE, MAX_ATTEMPTS},
    message::{self, Question},
    table::{Client, Table},
    upstreams::Upstreams,
};

/// Asks the upstreams of clients; remembers what they said, and which were silent of late.
#[derive(Debug)]
pub struct Forwarder {
    table: Table,
    cache: Cache,
    health: Arc<Health>,
}

/// Whom an attempt asked, and what it gave.
type Attempt = (SocketAddr, io::Result<Vec<u8>>);

impl Forwarder {
    /// The host's upstreams are the table's.
    pub fn new(table: Table) -> Forwarder {
        Forwarder {
            table,
            cache: Cache::default(),
            health: Arc::default(),
        }
    }

    /// The answer as the client may have it, of any size, if it is known already.
    pub fn known(&self, question: &Question, client: &Client) -> Option<Vec<u8>> {
        let key = Key::of(question, &self.table.upstreams(client))?;
        let mut answer = self.cache.get(&key, Instant::now())?;
        question.own(&mut answer);
        Some(answer)
    }

    /// The answer of one of the client's upstreams as the client may have it, of any size; `None`
    /// where none has answered in time.
    pub async fn ask(
        &self,
        question: &Question,
        client: &Client,
        transport: Transport,
    ) -> Option<Vec<u8>> {
        let upstreams = self.table.upstreams(client);
        let mut race = Race {
            question,
            transport,
            upstreams: &upstreams,
            order: self.health.order(&upstreams, Instant::now()),
            attempts: FuturesUnordered::new(),
            asked: 0,
        };
        let mut answer = self.run(&mut race).await?;
        if let Some(key) = Key::of(question, &upstreams) {
            self.cache.keep(key, &answer, Instant::now());
        }
        question.own(&mut answer);
        Some(answer)
    }

    async fn run(&self, race: &mut Race<'_>) -> Option<Vec<u8>> {
        let start = tokio::time::Instant::now();
        let deadline = start + FORWARD_DEADLINE;
        let mut hedge = start + FORWARD_HEDGE;
        // An answer that says no more than that the upstream does not know either.
        let mut last_resort = None;
        race.ask_next();
        if let Some(server) = race.order.probe {
            self.probe(server, race);
        }
        while !race.attempts.is_empty() {
            tokio::select! {
                Some(done) = race.attempts.next() => {
                    match self.judge(race.upstreams, done) {
                        Judged::Good(answer) => return Some(answer),
                        Judged::Poor(answer) => {
                            last_resort.get_or_insert(answer);
                        }
                        Judged::Failed => {}
                    }
                    if race.asked < race.order.servers.len() {
                        race.ask_next();
                    }
                }
                () = sleep_until(hedge) => {
                    hedge += FORWARD_AGAIN;
                    if let Some(server) = race.latest() {
                        self.health.is_silent(&race.upstreams.place, server, Instant::now());
                    }
                    race.ask_next();
                }
                () = sleep_until(deadline) => break,
            }
        }
        last_resort
    }

    /// Finds out whether a silent upstream answers again; nobody waits for it.
    fn probe(&self, server: SocketAddr, race: &Race<'_>) {
        let (question, transport) = (race.question.clone(), race.transport);
        let (place, health) = (race.upstreams.place.clone(), self.health.clone());
        tokio::spawn(async move {
            let asking = exchange::ask(&question, server, &place, transport);
            if let Ok(Ok(_)) = timeout(FORWARD_DEADLINE, asking).await {
                health.is_well(&place, server);
            }
        });
    }

    fn judge(&self, upstreams: &Upstreams, (upstream, result): Attempt) -> Judged {
        match result {
            Ok(answer) => {
                self.health.is_well(&upstreams.place, upstream);
                match message::response_code(&answer) {
                    Some(rcode) if message::is_good(rcode) => Judged::Good(answer),
                    _ => Judged::Poor(answer),
                }
            }
            Err(error) => {
                tracing::debug!(%upstream, %error, "upstream name server");
                let now = Instant::now();
                self.health.is_silent(&upstreams.place, upstream, now);
                Judged::Failed
            }
        }
    }
}

enum Judged {
    Good(Vec<u8>),
    Poor(Vec<u8>),
    Failed,
}

/// One question's attempts; dropping it ends them.
struct Race<'a> {
    question: &'a Question,
    transport: Transport,
    upstreams: &'a Arc<Upstreams>,
    order: Order,
    attempts: FuturesUnordered<BoxFuture<'a, Attempt>>,
    asked: usize,
}

impl Race<'_> {
    /// Asks the next upstream, after the last one the first again: a datagram may be lost.
    fn ask_next(&mut self) {
        if self.asked >= MAX_ATTEMPTS {
            return;
        }
        self.asked += 1;
        let Some(server) = self.latest() else { return };
        let (question, upstreams) = (self.question, self.upstreams);
        let transport = self.transport;
        self.attempts.push(Box::pin(async move {
            let result = exchange::ask(question, server, &upstreams.place, transport).await;
            (server, result)
        }));
    }

    fn latest(&self) -> Option<SocketAddr> {
        let latest = self.asked.checked_sub(1)?;
        self.order.servers.iter().cycle().nth(latest).copied()
    }
}

#[cfg(test)]
#[path = "forward_tests.rs"]
mod tests;
