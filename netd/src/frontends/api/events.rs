//! `GET /v1/events`: what happened since a revision and what happens, as JSON lines until one side
//! closes. The newest events are kept; who asks for older ones is told so and lists anew.

use std::{
    collections::{BTreeMap, VecDeque},
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
use tokio::sync::watch;
use utoipa::ToSchema;

use super::{ApiError, Code, door::Door, input::Parameters};
use crate::state::event::Event;

/// Events that are kept for who comes later.
const KEPT: usize = 4_096;

/// Something that happened, near Docker's shape. Several of one change share its revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventShape {
    /// `network` or `sandbox`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// `create`, `connect`, `update`, `disconnect` or `destroy`.
    #[serde(rename = "Action")]
    pub action: String,
    /// What it happened to.
    #[serde(rename = "Actor")]
    pub actor: Actor,
    /// `local`.
    pub scope: String,
    /// Seconds of Unix time.
    pub time: u64,
    /// Nanoseconds of Unix time.
    #[serde(rename = "timeNano")]
    pub time_nano: u64,
    /// Of the change.
    pub revision: u64,
}

/// What something happened to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Actor {
    /// 64 digits.
    #[serde(rename = "ID")]
    pub id: String,
    /// `name`; of a network `type`, of a connection `sandbox`, of a sandbox its labels.
    #[serde(rename = "Attributes")]
    pub attributes: BTreeMap<String, String>,
}

impl From<Event> for EventShape {
    fn from(event: Event) -> EventShape {
        EventShape {
            kind: event.object.name().to_owned(),
            action: event.action.name().to_owned(),
            actor: Actor {
                id: event.id.to_string(),
                attributes: event.attributes,
            },
            scope: "local".to_owned(),
            time: event.time / 1_000_000_000,
            time_nano: event.time,
            revision: event.revision,
        }
    }
}

/// The newest events, and who waits for more.
#[derive(Clone)]
pub struct EventLog(Arc<Inner>);

struct Inner {
    kept: Mutex<Kept>,
    /// How many there were; 0 once no more will come.
    told: watch::Sender<u64>,
}

struct Kept {
    events: VecDeque<(u64, Bytes)>,
    /// Everything up to this revision is known no more.
    forgotten: u64,
    count: u64,
    closed: bool,
}

impl EventLog {
    /// A log that begins behind a revision.
    pub fn new(revision: u64) -> EventLog {
        let kept = Kept {
            events: VecDeque::new(),
            forgotten: revision,
            count: 0,
            closed: false,
        };
        EventLog(Arc::new(Inner {
            kept: Mutex::new(kept),
            told: watch::Sender::new(0),
        }))
    }

    /// Tells of a change.
    pub fn tell(&self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let mut kept = self.kept();
        for event in events {
            let revision = event.revision;
            let Ok(mut line) = serde_json::to_vec(&EventShape::from(event)) else {
                continue;
            };
            line.push(b'\n');
            kept.events.push_back((revision, line.into()));
            kept.count += 1;
        }
        while kept.events.len() > KEPT
            && let Some((revision, _)) = kept.events.pop_front()
        {
            kept.forgotten = revision;
        }
        let count = kept.count;
        drop(kept);
        self.0.told.send_replace(count);
    }

    /// No more will come: who waits is let go.
    pub fn close(&self) {
        self.kept().closed = true;
        self.0.told.send_replace(0);
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        // Nobody holds it where something could panic half-way.
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody who wants everything behind a revision; without one, what comes from now on.
    fn follow(&self, since: Option<u64>) -> Result<Follower, ApiError> {
        let kept = self.kept();
        let seen = match since {
            None => kept.count,
            Some(since) if since < kept.forgotten => return Err(forgotten(kept.forgotten)),
            Some(since) => {
                let newer = kept.events.iter().filter(|(revision, _)| *revision > since);
                kept.count - newer.count() as u64
            }
        };
        let news = self.0.told.subscribe();
        let log = self.clone();
        Ok(Follower { log, news, seen })
    }
}

fn forgotten(revision: u64) -> ApiError {
    let text = format!("events up to revision {revision} are not kept");
    ApiError::new(Code::Gone, text).hint(format!("list what there is, then --since {revision}"))
}

/// Who reads the log.
struct Follower {
    log: EventLog,
    news: watch::Receiver<u64>,
    /// So many were passed on, or came before.
    seen: u64,
}

impl Follower {
    /// The next lines, once there are some; nothing if none will come, or some were missed: then the
    /// stream ends, and who follows asks anew with the revision that it saw last.
    async fn next(mut self) -> Option<(Bytes, Follower)> {
        loop {
            self.news.borrow_and_update();
            {
                let kept = self.log.kept();
                let missing = (kept.count - self.seen) as usize;
                if missing > kept.events.len() || (missing == 0 && kept.closed) {
                    return None;
                }
                if missing > 0 {
                    let begin = kept.events.len() - missing;
                    let lines: Vec<u8> = (kept.events.range(begin..))
                        .flat_map(|(_, line)| line.iter().copied())
                        .collect();
                    self.seen = kept.count;
                    drop(kept);
                    return Some((lines.into(), self));
                }
            }
            self.news.changed().await.ok()?;
        }
    }
}

/// `?since=REVISION`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Since {
    since: Option<u64>,
}

/// What happens, as JSON lines: everything behind a revision, or from now on
#[utoipa::path(get, path = "/v1/events", tag = "agent",
    params(("since" = Option<u64>, Query, description = "The revision behind which to begin; none: now")),
    responses((status = 200, body = EventShape, content_type = "application/x-ndjson"),
              (status = "default", body = ApiError)))]
pub async fn events(
    State(door): State<Door>,
    Parameters(Since { since }): Parameters<Since>,
) -> Result<Response, ApiError> {
    let follower = door.events.follow(since)?;
    // The stream keeps the log alone: a door held open would keep the agent from stopping.
    let lines = stream::unfold(follower, async |follower| {
        let (lines, follower) = follower.next().await?;
        Some((Ok::<_, Infallible>(lines), follower))
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(lines)).into_response())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{EventLog, KEPT};
    use crate::{
        model::Id,
        state::event::{Action, Event, Object},
    };

    fn event(revision: u64) -> Event {
        Event {
            revision,
            time: 1_795_291_477_038_139_971,
            object: Object::Network,
            action: Action::Create,
            id: Id([0x46; 32]),
            attributes: BTreeMap::from([("name".to_owned(), "evn".to_owned())]),
        }
    }

    async fn revisions(log: &EventLog, since: Option<u64>) -> Vec<u64> {
        let follower = log.follow(since).unwrap();
        let Some((lines, _)) = follower.next().await else {
            return Vec::new();
        };
        let text = String::from_utf8(lines.to_vec()).unwrap();
        let line = |line: &str| {
            serde_json::from_str::<super::EventShape>(line)
                .unwrap()
                .revision
        };
        text.lines().map(line).collect()
    }

    #[tokio::test]
    async fn everything_behind_a_revision_is_told() {
        let log = EventLog::new(10);
        log.tell(vec![event(11), event(11)]);
        log.tell(vec![event(12)]);
        assert_eq!(revisions(&log, Some(10)).await, [11, 11, 12]);
        assert_eq!(revisions(&log, Some(11)).await, [12]);
        let gone = log.follow(Some(9)).err().unwrap();
        assert_eq!(gone.message, "events up to revision 10 are not kept");
        // From now on: nothing but what comes.
        let follower = log.follow(None).unwrap();
        let next = tokio::spawn(follower.next());
        log.tell(vec![event(13)]);
        let (line, _) = next.await.unwrap().unwrap();
        let text = String::from_utf8(line.to_vec()).unwrap();
        assert_eq!(
            text,
            format!(
                "{{\"Type\":\"network\",\"Action\":\"create\",\"Actor\":{{\"ID\":\"{}\",\"Attributes\":\
                 {{\"name\":\"evn\"}}}},\"scope\":\"local\",\"time\":1795291477,\
                 \"timeNano\":1795291477038139971,\"revision\":13}}\n",
                "46".repeat(32)
            )
        );
        log.close();
        assert_eq!(revisions(&log, None).await, Vec::<u64>::new());
        assert_eq!(revisions(&log, Some(12)).await, [13]);
    }

    #[tokio::test]
    async fn only_so_many_are_kept() {
        let log = EventLog::new(0);
        let slow = log.follow(None).unwrap();
        (1..=KEPT as u64 + 5).for_each(|revision| log.tell(vec![event(revision)]));
        assert!(log.follow(Some(4)).is_err());
        assert_eq!(revisions(&log, Some(5)).await.len(), KEPT);
        assert!(slow.next().await.is_none(), "it missed some");
    }
}
