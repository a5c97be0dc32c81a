//! Traffic that runs on while something happens, and is counted: not one packet may be missing.

use std::{
    io::{BufRead, BufReader, Write},
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{Namespace, patience::patient};

/// Between two questions.
const PACE: Duration = Duration::from_millis(2);
/// How late an answer may be, on a machine that is busy with other tests.
const LATE: Duration = Duration::from_secs(2);

/// A client that asks an [`super::EchoServer`] every two milliseconds.
pub struct Traffic {
    what: String,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU32>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Traffic {
    /// Datagrams over one socket, each with an answer of its own.
    pub fn udp(from: &Namespace, to: SocketAddr) -> Result<Traffic> {
        let any = match to {
            SocketAddr::V4(_) => IpAddr::from([0u8; 4]),
            SocketAddr::V6(_) => IpAddr::from([0u16; 8]),
        };
        let socket = from.udp_bind(SocketAddr::new(any, 0))?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(patient(LATE)))?;
        Ok(Traffic::start(
            format!("UDP from {} to {to}", from.name()),
            move |number| ask_udp(&socket, number),
        ))
    }

    /// Lines over one connection.
    pub fn tcp(from: &Namespace, to: SocketAddr) -> Result<Traffic> {
        let stream = from.tcp_connect(to, patient(LATE))?;
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        Ok(Traffic::start(
            format!("TCP from {} to {to}", from.name()),
            move |number| ask_tcp(&stream, &mut reader, number),
        ))
    }

    /// New connections, one after the other.
    pub fn connections(from: &Namespace, to: SocketAddr) -> Traffic {
        let namespace = from.clone();
        Traffic::start(
            format!("connections from {} to {to}", from.name()),
            move |number| {
                let stream = namespace.tcp_connect(to, patient(LATE))?;
                let mut reader = BufReader::new(stream.try_clone()?);
                ask_tcp(&stream, &mut reader, number)
            },
        )
    }

    fn start(what: String, mut ask: impl FnMut(u32) -> Result<()> + Send + 'static) -> Traffic {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU32::new(0));
        let (ended, count) = (Arc::clone(&stop), Arc::clone(&answered));
        let thread = std::thread::spawn(move || {
            let mut number = 0;
            while !ended.load(Ordering::Relaxed) {
                ask(number).with_context(|| format!("question {number}"))?;
                number += 1;
                count.store(number, Ordering::Relaxed);
                std::thread::sleep(PACE);
            }
            Ok(())
        });
        Traffic {
            what,
            stop,
            answered,
            thread: Some(thread),
        }
    }

    /// Questions answered so far.
    pub fn answered(&self) -> u32 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits until so many more were answered.
    ///
    /// # Panics
    /// If one was not.
    #[track_caller]
    pub fn flows_on(&self, more: u32) {
        let (target, deadline) = (self.answered() + more, Instant::now() + 10 * patient(LATE));
        while self.answered() < target {
            let ended = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
            let waiting = !ended && Instant::now() < deadline;
            assert!(waiting, "{} has stopped at {}", self.what, self.answered());
            std::thread::sleep(PACE);
        }
    }

    /// Ends it; how many questions were answered, which is all of them.
    ///
    /// # Panics
    /// If one was not.
    #[track_caller]
    pub fn end(mut self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Ok(()))) => self.answered(),
            Some(Ok(Err(error))) => panic!("{}: {error:#}", self.what),
            Some(Err(_)) | None => panic!("{}: its thread panicked", self.what),
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn ask_udp(socket: &UdpSocket, number: u32) -> Result<()> {
    let text = format!("question {number}");
    socket.send(text.as_bytes())?;
    let mut answer = [0; 200];
    let length = socket.recv(&mut answer).context("no answer")?;
    is_answer(&String::from_utf8_lossy(&answer[..length]), &text)
}

fn ask_tcp(mut stream: &TcpStream, reader: &mut impl BufRead, number: u32) -> Result<()> {
    let text = format!("question {number}");
    stream.write_all(format!("{text}\n").as_bytes())?;
    let mut answer = String::new();
    reader.read_line(&mut answer).context("no answer")?;
    is_answer(answer.trim_end(), &text)
}

fn is_answer(answer: &str, text: &str) -> Result<()> {
    match answer.split_once('|') {
        Some((_, echoed)) if echoed == text => Ok(()),
        _ => bail!("asked `{text}`, got `{answer}`"),
    }
}
