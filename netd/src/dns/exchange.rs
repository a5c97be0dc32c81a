//! One question to one upstream: a socket of its own with a port that the kernel draws, a random
//! id, and only the upstream's own answer to just this question is taken (RFC 5452).

use std::{io, net::SocketAddr};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream, UdpSocket},
    time::timeout,
};

use super::{
    answer::Transport,
    limits::{FORWARD_CONNECT, MAX_ANSWER, MAX_QUESTION},
    message::{self, Question},
    upstreams::Place,
};
use crate::kernel::netns;

/// Asks; the upstream's answer, whatever it says, with the id that was drawn. An answer that was
/// cut off is asked for again over TCP, where the upstream has that.
///
/// # Errors
/// The upstream cannot be reached, or what it says cannot be an answer. Waits without end: the
/// caller has the deadline.
pub async fn ask(
    question: &Question,
    upstream: SocketAddr,
    place: &Place,
    transport: Transport,
) -> io::Result<Vec<u8>> {
    match transport {
        Transport::Udp => {
            let answer = udp(question, upstream, place).await?;
            if !message::is_truncated(&answer) {
                return Ok(answer);
            }
            Ok(tcp(question, upstream, place).await.unwrap_or(answer))
        }
        Transport::Tcp => match tcp(question, upstream, place).await {
            Ok(answer) => Ok(answer),
            // Some upstreams speak UDP only; a cut-off answer of theirs is no answer.
            Err(_) => match udp(question, upstream, place).await? {
                answer if message::is_truncated(&answer) => Err(bad("cut off")),
                answer => Ok(answer),
            },
        },
    }
}

async fn udp(question: &Question, upstream: SocketAddr, place: &Place) -> io::Result<Vec<u8>> {
    let family = match upstream {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let socket = open(place, move || {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        Ok(socket(family, SockType::Datagram, flags, None)?)
    })
    .await?;
    let socket = UdpSocket::from_std(socket.into())?;
    // Connected: the kernel draws a port, takes datagrams from this address and port alone, and
    // reports errors.
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

async fn tcp(question: &Question, upstream: SocketAddr, place: &Place) -> io::Result<Vec<u8>> {
    let connecting = timeout(FORWARD_CONNECT, connect(upstream, place));
    let mut stream = connecting.await.map_err(io::Error::from)??;
    let (asked, id) = with_random_id(question)?;
    write_message(&mut stream, &asked).await?;
    let answer = read_message(&mut stream, MAX_ANSWER).await?;
    if answer.first_chunk() == Some(&id) && question.is_answered_by(&answer) {
        Ok(answer)
    } else {
        Err(bad("to another question"))
    }
}

async fn connect(upstream: SocketAddr, place: &Place) -> io::Result<TcpStream> {
    let socket = open(place, move || match upstream {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    });
    socket.await?.connect(upstream).await
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
