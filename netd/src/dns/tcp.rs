//! Questions over TCP: several per connection, answered as the answers come (RFC 7766).

use std::{io, sync::Arc};

use tokio::{
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Mutex,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    answer::Transport,
    counters::Counters,
    exchange::{read_message, write_message},
    limits::{CONNECTION_IDLE, MAX_PIPELINED, MAX_QUESTION, SOCKET_PAUSE},
    service::{Service, Todo},
    table::Asker,
};
use crate::model::Id;

/// Accepts until it is dropped, which ends the connections too. All who ask are `sandbox`, where
/// the listener is in its namespace.
pub(super) async fn serve(listener: TcpListener, service: Arc<Service>, sandbox: Option<Id>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "DNS over TCP");
                sleep(SOCKET_PAUSE).await;
                continue;
            }
        };
        let client = sandbox.map_or_else(|| from.ip().into(), Asker::Sandbox);
        let Some(slot) = service.connections.take(client) else {
            Counters::count(&service.counters.overload);
            continue;
        };
        Counters::count(&service.counters.connections);
        let service = service.clone();
        connections.spawn(async move {
            if let Err(error) = connection(stream, client, &service).await {
                tracing::debug!(%error, ?client, "DNS connection");
            }
            drop(slot);
        });
    }
}

async fn connection(stream: TcpStream, client: Asker, service: &Arc<Service>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, writer) = stream.into_split();
    let writer = Arc::new(Mutex::new(writer));
    let mut pending = JoinSet::new();
    let result = questions(&mut reader, &writer, client, service, &mut pending).await;
    // The client may have closed its side only: what it asked is still answered.
    while pending.join_next().await.is_some() {}
    result
}

async fn questions(
    reader: &mut OwnedReadHalf,
    writer: &Arc<Mutex<OwnedWriteHalf>>,
    client: Asker,
    service: &Arc<Service>,
    pending: &mut JoinSet<()>,
) -> io::Result<()> {
    loop {
        while pending.len() >= MAX_PIPELINED {
            pending.join_next().await;
        }
        let message = match timeout(CONNECTION_IDLE, read_message(reader, MAX_QUESTION)).await {
            Ok(Ok(message)) => message,
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Ok(Err(error)) => {
                Counters::count(&service.counters.malformed);
                return Err(error);
            }
            Err(_) => return Ok(()),
        };
        while pending.try_join_next().is_some() {}
        match service.take(&message, client, Transport::Tcp) {
            Todo::Send(answer) => send(writer, service, &answer).await?,
            Todo::Forward(question) => {
                let (writer, service) = (writer.clone(), service.clone());
                pending.spawn(async move {
                    let answer = service.forward(question).await;
                    // The reader finds out by itself that the connection is gone.
                    let _gone = send(&writer, &service, &answer).await;
                });
            }
            Todo::Nothing => {}
        }
    }
}

async fn send(writer: &Mutex<OwnedWriteHalf>, service: &Service, answer: &[u8]) -> io::Result<()> {
    let write = async {
        let mut writer = writer.lock().await;
        write_message(&mut *writer, answer).await
    };
    let result = timeout(CONNECTION_IDLE, write).await;
    let result = result.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    if result.is_err() {
        Counters::count(&service.counters.unsent);
    }
    result
}
