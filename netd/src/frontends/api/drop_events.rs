//! `GET /v1/drops/events`: packets that are dropped from now on, as JSON lines until one side closes.
//! Who reads too slowly loses some, and is told how many.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    body::Body,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::{
    Notify,
    broadcast::{self, error::RecvError},
};
use utoipa::ToSchema;

use super::{ApiError, door::Door};

/// Events that a follower may be behind; what is older is lost to it.
const BEHIND: usize = 1_024;

/// A dropped packet. Of a flood only some are told: `untold` has the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DropEventShape {
    /// Nanoseconds of Unix time.
    pub time_nano: u64,
    /// The reason's name, as in `/v1/drops`.
    pub reason: String,
    /// One sentence about the reason.
    pub explanation: String,
    /// The program that dropped.
    pub program: String,
    /// The network's name; empty where none is known.
    pub network: String,
    /// The name of the sandbox at whose interface it was; empty on uplinks and where it is unknown.
    pub sandbox: String,
    /// That interface, or the uplink.
    pub ifindex: u32,
    /// `tcp`, `udp`, `sctp`, `icmp`, `icmpv6` or a number; empty where the IP header was not read.
    pub protocol: String,
    /// Address and port (of ICMP echo the identifier), as the packet came; without ports the address.
    pub source: String,
    /// The same of the destination.
    pub destination: String,
    /// Octets from the IP header on.
    pub bytes: u32,
    /// Packets dropped for the same reason on the same CPU since its last event for that, of which
    /// nothing is told: more than 10 a second, or nobody read in time.
    pub untold: u32,
    /// Events before this one that this reader was too slow for.
    pub missed: u64,
}

/// Where drops are told, and who follows.
#[derive(Clone)]
pub struct DropLog(Arc<Inner>);

struct Inner {
    /// None once no more will come.
    sender: Mutex<Option<broadcast::Sender<DropEventShape>>>,
    came: Notify,
}

impl Default for DropLog {
    fn default() -> DropLog {
        let (sender, _) = broadcast::channel(BEHIND);
        DropLog(Arc::new(Inner {
            sender: Mutex::new(Some(sender)),
            came: Notify::new(),
        }))
    }
}

impl DropLog {
    /// Tells an event to all who follow.
    pub fn tell(&self, event: DropEventShape) {
        if let Some(sender) = self.sender().as_ref() {
            // Nobody follows.
            let _ = sender.send(event);
        }
    }

    /// Whether anybody follows.
    pub fn is_followed(&self) -> bool {
        (self.sender().as_ref()).is_some_and(|sender| sender.receiver_count() > 0)
    }

    /// Waits until somebody begins to follow.
    pub async fn somebody(&self) {
        self.0.came.notified().await;
    }

    /// No more will come: who waits is let go.
    pub fn close(&self) {
        *self.sender() = None;
    }

    fn follow(&self) -> Option<Follower> {
        let events = self.sender().as_ref()?.subscribe();
        self.0.came.notify_one();
        Some(Follower { events, missed: 0 })
    }

    fn sender(&self) -> std::sync::MutexGuard<'_, Option<broadcast::Sender<DropEventShape>>> {
        // Nobody holds it where something could panic half-way.
        self.0.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who reads.
struct Follower {
    events: broadcast::Receiver<DropEventShape>,
    missed: u64,
}

impl Follower {
    /// The next line; nothing if none will come.
    async fn next(mut self) -> Option<(Bytes, Follower)> {
        loop {
            match self.events.recv().await {
                Ok(mut event) => {
                    event.missed = std::mem::take(&mut self.missed);
                    let mut line = serde_json::to_vec(&event).ok()?;
                    line.push(b'\n');
                    return Some((line.into(), self));
                }
                Err(RecvError::Lagged(missed)) => self.missed += missed,
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

/// Packets that are dropped from now on, as JSON lines
#[utoipa::path(get, path = "/v1/drops/events", tag = "datapath",
    responses((status = 200, body = DropEventShape, content_type = "application/x-ndjson"),
              (status = "default", body = ApiError)))]
pub async fn drop_events(State(door): State<Door>) -> Response {
    // The stream keeps its own end alone: a door held open would keep the agent from stopping.
    let lines = stream::unfold(door.drops.follow(), async |follower| {
        let (line, follower) = follower?.next().await?;
        Some((Ok::<_, Infallible>(line), Some(follower)))
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (kind, Body::from_stream(lines)).into_response()
}

#[cfg(test)]
mod tests {
    use super::{BEHIND, DropEventShape, DropLog};

    fn event(ifindex: u32) -> DropEventShape {
        DropEventShape {
            time_nano: 1,
            reason: "icc-off".to_owned(),
            explanation: String::new(),
            program: "from_endpoint".to_owned(),
            network: "app".to_owned(),
            sandbox: "web".to_owned(),
            ifindex,
            protocol: "udp".to_owned(),
            source: "172.18.0.2:1".to_owned(),
            destination: "172.18.0.3:2".to_owned(),
            bytes: 60,
            untold: 0,
            missed: 0,
        }
    }

    #[tokio::test]
    async fn who_is_too_slow_is_told_how_many_it_missed() {
        let log = DropLog::default();
        assert!(!log.is_followed());
        log.tell(event(0));
        let follower = log.follow().unwrap();
        assert!(log.is_followed());
        (1..=BEHIND as u32 + 3).for_each(|number| log.tell(event(number)));
        let (line, follower) = follower.next().await.unwrap();
        let first: DropEventShape = serde_json::from_slice(&line).unwrap();
        assert_eq!((first.ifindex, first.missed), (4, 3));
        let (line, mut follower) = follower.next().await.unwrap();
        let second: DropEventShape = serde_json::from_slice(&line).unwrap();
        assert_eq!((second.ifindex, second.missed), (5, 0));
        log.close();
        assert!(log.follow().is_none());
        for _ in 6..=BEHIND + 3 {
            (_, follower) = follower.next().await.unwrap();
        }
        assert!(follower.next().await.is_none());
    }
}
