//! A connection of rtnetlink and the requests through it. It stays in the network namespace of the
//! thread that opened it, wherever it is used.
//!
//! What changes something goes through rtnetlink's builders and [`Socket::change`]. Questions go
//! through [`Socket::get`] and [`Socket::dump`]: the builders' streams leave out what tells a
//! whole list from a part of one.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt;
use rtnetlink::{
    Handle,
    packet_core::{
        ErrorMessage, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage,
        NetlinkPayload,
    },
    packet_route::RouteNetlinkMessage,
    sys::AsyncSocket,
};
use tokio::{task::AbortHandle, time::timeout};

use super::NetlinkError;
use crate::kernel::netns;

/// After this an answer that never came is an error; nothing in rtnetlink takes that long.
const PATIENCE: Duration = Duration::from_secs(30);
/// Attempts to read a list that changes meanwhile (NLM_F_DUMP_INTR).
const ATTEMPTS: usize = 8;

/// See the module. Clones share the connection, which ends with the last of them.
#[derive(Clone)]
pub struct Socket {
    handle: Handle,
    task: AbortHandle,
    cookie: u64,
    received: Arc<AtomicU64>,
}

impl Socket {
    /// Opens one in the calling thread's network namespace. Messages that it receives are counted
    /// in `received`. Must be called within a tokio runtime with I/O and timers, which drives it.
    pub fn open(received: Arc<AtomicU64>) -> io::Result<Socket> {
        let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        let (mut connection, handle, _) = rtnetlink::new_connection()?;
        let socket = connection.socket_mut().socket_mut();
        // Filters in dump requests are obeyed, or refused: never silently ignored.
        socket.set_netlink_get_strict_chk(true)?;
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        let cookie = netns::socket_cookie(socket).map_err(io::Error::other)?;
        // Else a request whose connection ends meanwhile would look like one that succeeded, and a
        // list that failed half way like a whole one.
        connection.set_forward_ack(true);
        connection.set_forward_done(true);
        // Ends when nobody has the handle any more.
        let task = runtime.spawn(connection).abort_handle();
        Ok(Socket {
            handle,
            task,
            cookie,
            received,
        })
    }

    /// The cookie of the namespace that it is in.
    pub fn cookie(&self) -> u64 {
        self.cookie
    }

    /// Whether the connection has failed, or its runtime ended: no request will succeed.
    pub fn is_closed(&self) -> bool {
        self.task.is_finished()
    }

    /// Where requests to be given to [`Socket::change`] are built.
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Asks for a change: `request` is the `execute()` of one of rtnetlink's builders.
    pub(super) async fn change(
        &self,
        request: impl Future<Output = Result<(), rtnetlink::Error>>,
    ) -> Result<(), NetlinkError> {
        let result = patiently(request).await?;
        self.received.fetch_add(1, Ordering::Relaxed);
        match result {
            // Acknowledgements, which are forwarded, too: the builders take them for errors.
            Err(rtnetlink::Error::NetlinkError(answer)) => acknowledged(&answer),
            Ok(()) | Err(rtnetlink::Error::RequestFailed) => Err(closed()),
            Err(other) => Err(NetlinkError::Answer(other.to_string())),
        }
    }

    /// Asks for one object.
    pub(super) async fn get(
        &self,
        message: RouteNetlinkMessage,
    ) -> Result<RouteNetlinkMessage, NetlinkError> {
        let mut answer = None;
        // rtnetlink drops an answer that it does not understand: the acknowledgement comes all the
        // same.
        let asked = self.ask(message, NLM_F_ACK, |message| answer = Some(message));
        patiently(asked).await??;
        answer.ok_or_else(|| NetlinkError::Answer("of a kind that is not known".to_owned()))
    }

    /// Asks for a change that no builder of rtnetlink's makes.
    pub(super) async fn set(&self, message: RouteNetlinkMessage) -> Result<(), NetlinkError> {
        patiently(self.ask(message, NLM_F_ACK, |_| {})).await?
    }

    /// Asks for a list; begins anew if it changes meanwhile. Entries that rtnetlink does not
    /// understand are left out; it logs them.
    pub(super) async fn dump(
        &self,
        message: RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        for _ in 0..ATTEMPTS {
            let mut list = Vec::new();
            let asked = self.ask(message.clone(), NLM_F_DUMP, |message| list.push(message));
            match patiently(asked).await? {
                Ok(()) => return Ok(list),
                Err(NetlinkError::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
        Err(NetlinkError::Interrupted)
    }

    /// Sends a request and takes the answers until the acknowledgement or the end of the list.
    async fn ask(
        &self,
        message: RouteNetlinkMessage,
        flags: u16,
        mut take: impl FnMut(RouteNetlinkMessage),
    ) -> Result<(), NetlinkError> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | flags;
        let mut handle = self.handle.clone();
        let mut answers = handle.request(request).map_err(|_| closed())?;
        let mut interrupted = false;
        while let Some(answer) = answers.next().await {
            self.received.fetch_add(1, Ordering::Relaxed);
            interrupted |= answer.header.flags & NLM_F_DUMP_INTR != 0;
            match answer.payload {
                NetlinkPayload::InnerMessage(message) => take(message),
                NetlinkPayload::Error(answer) => return acknowledged(&answer),
                NetlinkPayload::Done(done) if done.code < 0 => {
                    return Err(NetlinkError::refused(done.code, &[]));
                }
                NetlinkPayload::Done(_) if interrupted => return Err(NetlinkError::Interrupted),
                NetlinkPayload::Done(_) => return Ok(()),
                other => tracing::warn!(?other, "netlink answer of no known kind"),
            }
        }
        Err(closed())
    }
}

async fn patiently<T>(answer: impl Future<Output = T>) -> Result<T, NetlinkError> {
    timeout(PATIENCE, answer)
        .await
        .map_err(|late| NetlinkError::Socket(late.into()))
}

/// NLMSG_ERROR without a code is the acknowledgement.
fn acknowledged(answer: &ErrorMessage) -> Result<(), NetlinkError> {
    match answer.code {
        None => Ok(()),
        Some(code) => Err(NetlinkError::refused(code.get(), &answer.header)),
    }
}

fn closed() -> NetlinkError {
    let reason = "the connection ended before the answer came";
    NetlinkError::Socket(io::Error::new(io::ErrorKind::BrokenPipe, reason))
}
