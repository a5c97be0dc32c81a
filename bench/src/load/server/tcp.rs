//! Connections: one question each is answered by the accepting thread itself, as a small server
//! does; those that stay get a thread of their own.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use nix::sys::socket::{setsockopt, sockopt};

use crate::load::{
    message::{Counts, Kind, Message, SIZE},
    pattern::{CHUNK, Pattern},
};

/// How long a connection may say nothing.
const SILENCE: Duration = Duration::from_secs(30);
/// Octets of a stream after which the client hears how much of it was right.
const REPORT: u64 = 1 << 20;
/// How long after its answer a connection vanishes: the client's acknowledgement is here by then,
/// and the first retransmission (200 ms) not yet due.
const VANISH: Duration = Duration::from_millis(30);

/// Serves until `stop`.
pub fn serve(listener: &TcpListener, stop: &AtomicBool) -> Result<()> {
    let (vanishing, to_vanish) = channel();
    std::thread::spawn(move || vanish_all(&to_vanish));
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            // A connection that fails shows at its client.
            Ok((stream, _)) => drop(first(stream, &vanishing)),
            Err(error) if is_transient(error.kind()) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Of `accept`: nobody came within the time to look at `stop`, or somebody left again.
fn is_transient(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock
            | ErrorKind::Interrupted
            | ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
    )
}

/// Whose first message says what it is for.
fn first(mut stream: TcpStream, vanishing: &Sender<(Instant, TcpStream)>) -> std::io::Result<()> {
    let mut octets = [0; SIZE];
    stream.read_exact(&mut octets)?;
    match Message::read(&octets).map(|message| (message.kind, message.number)) {
        // Closing first, as a server without keep-alive does: TIME_WAIT is the server's, and the
        // client's port is free again at once.
        Some((Kind::Last, number)) => answer(&mut stream, number, Counts::default()),
        Some((Kind::Vanish, number)) => {
            answer(&mut stream, number, Counts::default())?;
            // The receiver lives as long as this thread.
            let _ = vanishing.send((Instant::now(), stream));
            Ok(())
        }
        Some((Kind::Question, number)) => {
            answer(&mut stream, number, Counts::default())?;
            std::thread::spawn(move || converse(stream));
            Ok(())
        }
        Some((Kind::Stream, _)) => {
            std::thread::spawn(move || take_stream(stream));
            Ok(())
        }
        // Damaged, or not for TCP: the client sees the connection end without an answer.
        _ => Ok(()),
    }
}

fn answer(stream: &mut TcpStream, number: u64, counts: Counts) -> std::io::Result<()> {
    let kind = Kind::Answer;
    stream.write_all(
        &Message {
            kind,
            number,
            counts,
        }
        .write(),
    )
}

fn converse(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_nodelay(true)?;
    let mut octets = [0; SIZE];
    loop {
        stream.read_exact(&mut octets)?;
        match Message::read(&octets) {
            Some(message) => answer(&mut stream, message.number, Counts::default())?,
            None => return Ok(()),
        }
    }
}

/// Checks the pattern; tells after each [`REPORT`] octets and at the end.
fn take_stream(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    let pattern = Pattern::new();
    let mut octets = vec![0; CHUNK];
    let (mut position, mut told) = (0, 0);
    let mut counts = Counts::default();
    loop {
        let length = stream.read(&mut octets)?;
        let wrong = pattern.wrong(position, &octets[..length]);
        position += length as u64;
        counts.wrong += wrong;
        counts.right = position - counts.wrong;
        if length == 0 || position - told >= REPORT {
            told = position;
            answer(&mut stream, position, counts)?;
        }
        if length == 0 {
            return Ok(());
        }
    }
}

/// Ends connections without a packet, when each one's time has come.
fn vanish_all(queue: &Receiver<(Instant, TcpStream)>) {
    loop {
        match queue.recv_timeout(VANISH) {
            Ok((since, stream)) => {
                std::thread::sleep((since + VANISH).saturating_duration_since(Instant::now()));
                // Needs CAP_NET_ADMIN; without it the connection ends like any other, which is seen
                // in the count of flows held.
                let _ = setsockopt(&stream, sockopt::TcpRepair, &1);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
