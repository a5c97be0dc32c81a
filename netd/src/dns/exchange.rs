//! One question to one upstream: a socket of its own with a port that the kernel draws, a random
//! id, and only the upstream's own answer to just this question is taken (RFC 5452).

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream, UdpSocket},
    time::timeout,
};

use super::{
    answer::Transport,
    limits::{FORWARD_CONNECT, MAX_ANSWER, MAX_QUESTION},
    message::{self, Question},
};
use crate::kernel::netns;

/// Where the question goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The agent's own namespace.
    Host,
    /// The namespace at a path.
    Namespace(Arc<Path>),
}

/// Asks; the upstream's answer, whatever it says, with the id that was drawn.
///
/// # Errors
/// The upstream cannot be reached, or what it says cannot be an answer. Waits without end: the
/// caller has the deadline.
pub async fn ask(
    question: Arc<Question>,
    upstream: SocketAddr,
    place: Place,
    transport: Transport,
) -> io::Result<Vec<u8>> {
    match transport {
        Transport::Udp => udp(&question, upstream, &place).await,
        Transport::Tcp => match timeout(FORWARD_CONNECT, connect(upstream, &place)).await {
            Ok(Ok(stream)) => tcp(&question, stream).await,
            // Some upstreams speak UDP only; a cut-off answer of theirs is no answer.
            Ok(Err(_)) | Err(_) => match udp(&question, upstream, &place).await? {
                answer if message::is_truncated(&answer) => Err(bad("cut off")),
                answer => Ok(answer),
            },
        },
    }
}

async fn udp(question: &Question, upstream: SocketAddr, place: &Place) -> io::Result<Vec<u8>> {
    let any: SocketAddr = match upstream {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = open(place, move || {
        let socket = std::net::UdpSocket::bind(any)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    })
    .await?;
    let socket = UdpSocket::from_std(socket)?;
    // Connected: the kernel takes datagrams from this address and port alone, and reports errors.
    socket.connect(upstream).await?;
    let (asked, id) = with_random_id(question)?;
    socket.send(&asked).await?;
    let size = question
        .edns
        .as_ref()
        .map_or(0, |edns| usize::from(edns.max_payload()));
    let mut buffer = vec![0; size.max(MAX_QUESTION)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let answer = buffer.get(..length).unwrap_or_default();
        if answer.first_chunk() == Some(&id) && question.is_answered_by(answer) {
            return Ok(answer.to_vec());
        }
    }
}

async fn connect(upstream: SocketAddr, place: &Place) -> io::Result<TcpStream> {
    let socket = open(place, move || match upstream {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    });
    socket.await?.connect(upstream).await
}

async fn tcp(question: &Question, mut stream: TcpStream) -> io::Result<Vec<u8>> {
    let (asked, id) = with_random_id(question)?;
    write_message(&mut stream, &asked).await?;
    let answer = read_message(&mut stream, MAX_ANSWER).await?;
    if answer.first_chunk() == Some(&id) && question.is_answered_by(&answer) {
        Ok(answer)
    } else {
        Err(bad("to another question"))
    }
}

/// Reads a message with its length before it (RFC 1035 section 4.2.2).
///
/// # Errors
/// The connection ended or failed, or the message is longer than `max`.
pub async fn read_message(
    stream: &mut (impl AsyncReadExt + Unpin),
    max: usize,
) -> io::Result<Vec<u8>> {
    let length = usize::from(stream.read_u16().await?);
    if length > max {
        return Err(bad("too long"));
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Writes a message with its length before it.
///
/// # Errors
/// The connection failed, or the message is longer than 65,535 octets.
pub async fn write_message(
    stream: &mut (impl AsyncWriteExt + Unpin),
    message: &[u8],
) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| bad("too long"))?;
    // In one write, so that it can be one segment (RFC 7766 section 8).
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(message);
    stream.write_all(&bytes).await
}

/// Opens a socket in a place. A socket stays in the namespace that it was made in.
async fn open<S: Send + 'static>(
    place: &Place,
    make: impl FnOnce() -> io::Result<S> + Send + 'static,
) -> io::Result<S> {
    match place {
        Place::Host => make(),
        Place::Namespace(path) => {
            let path = path.clone();
            let inside = move || {
                let namespace = netns::open(&path).map_err(io::Error::other)?;
                netns::in_namespace(&namespace, make).map_err(io::Error::other)?
            };
            tokio::task::spawn_blocking(inside).await?
        }
    }
}

fn with_random_id(question: &Question) -> io::Result<(Vec<u8>, [u8; 2])> {
    let random = getrandom::u32().map_err(io::Error::other)?;
    let [a, b, ..] = random.to_ne_bytes();
    let mut asked = question.message.clone();
    asked.splice(..2, [a, b]);
    Ok((asked, [a, b]))
}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
