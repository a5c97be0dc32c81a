//! Questions over TCP: on one connection, or a connection for each.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket,
            sockopt,
        },
        time::{TimeVal, TimeValLike},
    },
};

use super::{
    LATE, Options, Outcome, Work,
    clock::{Fate, one_by_one},
};
use crate::load::message::{Kind, Message, SIZE};

/// How often the first question is asked: a busy machine answers late.
const TRIES: u32 = 5;
/// How long the first connection may take: neighbours are looked up.
const FIRST: Duration = Duration::from_secs(3);

/// Question after question on one connection.
pub fn rr(options: &Options) -> Result<Outcome> {
    let mut stream = open(options)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LATE))?;
    one_by_one(options, |number| {
        // The answers that follow would be mixed up: a connection that lost one is over.
        ask(&mut stream, Kind::Question, number).context("on the connection that stays")
    })
}

/// A connection to the server, for work on one that stays.
pub fn open(options: &Options) -> Result<TcpStream> {
    let connected = connect_from(options.any_port(), options.to, FIRST)?;
    let stream = connected.with_context(|| format!("no connection to {}", options.to))?;
    Ok(stream)
}

/// A connection for each question.
pub fn each_its_own(options: &Options) -> Result<Outcome> {
    let kind = match options.work {
        Work::TcpHold => Kind::Vanish,
        _ => Kind::Last,
    };
    let mut sources = options.sources();
    // Neighbours are looked up before it begins.
    let mut first = Fate::Lost;
    for _ in 0..TRIES {
        if first == Fate::Lost {
            first = converse(open(options)?, Kind::Last, 0)?;
        }
    }
    ensure!(first == Fate::Right, "no answer from {}", options.to);
    one_by_one(options, |number| {
        loop {
            let Some(source) = sources.next() else {
                return Ok(Fate::Over);
            };
            match connect_from(source, options.to, LATE) {
                Ok(Some(stream)) => return converse(stream, kind, number),
                Ok(None) => return Ok(Fate::Lost),
                // Something else of this namespace has the port.
                Err(Errno::EADDRINUSE | Errno::EADDRNOTAVAIL) => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("{source} to {}", options.to));
                }
            }
        }
    })
}

fn converse(mut stream: TcpStream, kind: Kind, number: u64) -> Result<Fate> {
    let fate = match ask(&mut stream, kind, number) {
        Ok(fate) => fate,
        Err(error) if is_late(error.kind()) => return Ok(Fate::Lost),
        Err(error) => return Err(error.into()),
    };
    if kind == Kind::Vanish {
        setsockopt(&stream, sockopt::TcpRepair, &1).context("cannot vanish")?;
        return Ok(fate);
    }
    // The server closes first.
    match stream.read(&mut [0]) {
        Ok(0) => Ok(fate),
        Ok(_) => Ok(Fate::Wrong),
        Err(error) if is_late(error.kind()) => Ok(Fate::Lost),
        Err(error) => Err(error.into()),
    }
}

fn ask(stream: &mut TcpStream, kind: Kind, number: u64) -> std::io::Result<Fate> {
    stream.write_all(&Message::new(kind, number).write())?;
    let mut octets = [0; SIZE];
    match stream.read_exact(&mut octets) {
        Ok(()) => {}
        // A server that got a damaged question says nothing more.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(Fate::Wrong),
        Err(error) => return Err(error),
    }
    let right = Message::read(&octets) == Some(Message::new(Kind::Answer, number));
    Ok(if right { Fate::Right } else { Fate::Wrong })
}

fn is_late(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// A connection from an address and port; nothing if there is none in time.
fn connect_from(
    from: SocketAddr,
    to: SocketAddr,
    limit: Duration,
) -> nix::Result<Option<TcpStream>> {
    let family = match to {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let fd: OwnedFd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let limit = TimeVal::milliseconds(limit.as_millis() as i64);
    setsockopt(&fd, sockopt::SendTimeout, &limit)?;
    setsockopt(&fd, sockopt::ReceiveTimeout, &limit)?;
    bind(fd.as_raw_fd(), &SockaddrStorage::from(from))?;
    match connect(fd.as_raw_fd(), &SockaddrStorage::from(to)) {
        Ok(()) => Ok(Some(fd.into())),
        // What a blocking connect says when the send limit has passed.
        Err(Errno::EINPROGRESS | Errno::EALREADY | Errno::ETIMEDOUT) => Ok(None),
        Err(error) => Err(error),
    }
}
