//! Questions over UDP: from one socket, or from a socket for each.

use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    time::Instant,
};

use anyhow::{Context, Result, bail};

use super::{
    LATE, Options, Outcome,
    clock::{Fate, one_by_one},
};
use crate::load::message::{Kind, Message, SIZE};

/// How often a first question is asked: neighbours are looked up, and the first packet may go.
const TRIES: u64 = 5;

/// Question after question from one socket.
pub fn rr(options: &Options) -> Result<Outcome> {
    let socket = open(options, Kind::Question)?;
    one_by_one(options, |number| ask(&socket, Kind::Question, number))
}

/// A socket for each question.
pub fn new_flows(options: &Options) -> Result<Outcome> {
    // Neighbours are looked up before it begins.
    drop(open(options, Kind::Question)?);
    let mut sources = options.sources();
    one_by_one(options, |number| {
        loop {
            let Some(source) = sources.next() else {
                return Ok(Fate::Over);
            };
            match connect_from(source, options.to) {
                Ok(socket) => return ask(&socket, Kind::Question, number),
                // Something else of this namespace has the port.
                Err(error) if error.kind() == ErrorKind::AddrInUse => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("{source} to {}", options.to));
                }
            }
        }
    })
}

/// A socket over which the server has answered.
pub fn open(options: &Options, kind: Kind) -> Result<UdpSocket> {
    let socket = connect_from(options.any_port(), options.to)?;
    for back in 1..=TRIES {
        // From the far end of the numbers, so that a late answer is none to another question.
        if ask(&socket, kind, u64::MAX - back)? == Fate::Right {
            return Ok(socket);
        }
    }
    bail!("no answer from {}", options.to)
}

fn connect_from(from: SocketAddr, to: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind(from)?;
    socket.set_read_timeout(Some(LATE))?;
    socket.connect(to)?;
    Ok(socket)
}

/// Asks once.
pub fn ask(socket: &UdpSocket, kind: Kind, number: u64) -> Result<Fate> {
    let begin = Instant::now();
    socket.send(&Message::new(kind, number).write())?;
    let mut octets = [0; SIZE + 1];
    // Answers to questions that were given up may still come.
    while begin.elapsed() < LATE {
        let length = match socket.recv(&mut octets) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error.into()),
        };
        match Message::read(&octets[..length]) {
            Some(answer) if answer.kind != Kind::Answer => return Ok(Fate::Wrong),
            Some(answer) if answer.number == number => return Ok(Fate::Right),
            Some(_) => {}
            None => return Ok(Fate::Wrong),
        }
    }
    Ok(Fate::Lost)
}
