//! The agent's socket: HTTP/1.1 with JSON, one exchange after the other on one connection. Written
//! out, since nothing but the two system calls may stand between the clock and the agent.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// No answer takes longer, unless the agent hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A connection.
pub struct Socket(BufReader<UnixStream>);

/// An answer that was no refusal.
#[derive(Clone, Debug)]
pub struct Answer {
    /// From the first octet sent until the last one was read.
    pub wall: Duration,
    /// Where the agent says it went.
    pub timing: Timing,
}

/// The header `Server-Timing` of a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Waiting for netlink.
    pub netlink: Duration,
    /// Making, entering and leaving namespaces.
    pub namespaces: Duration,
    /// `bpf(2)`.
    pub bpf: Duration,
}

impl Timing {
    /// What the kernel took of the answer's time, by the agent's account.
    pub fn kernel(&self) -> Duration {
        self.netlink + self.namespaces + self.bpf
    }

    fn parse(header: &str) -> Result<Timing> {
        let part = |name: &str| {
            let mut parts = header
                .split(", ")
                .filter_map(|part| part.split_once(";dur="));
            let found = parts.find(|(part, _)| *part == name);
            let (_, value) = found.with_context(|| format!("no {name} in {header:?}"))?;
            let milliseconds: f64 = value.parse().context("a duration")?;
            anyhow::Ok(Duration::try_from_secs_f64(milliseconds / 1e3)?)
        };
        Ok(Timing {
            netlink: part("netlink")?,
            namespaces: part("namespaces")?,
            bpf: part("bpf")?,
        })
    }
}

impl Socket {
    /// Over a connected stream.
    pub fn new(stream: UnixStream) -> Result<Socket> {
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Socket(BufReader::new(stream)))
    }

    /// Asks for a change and waits until it is carried out.
    pub fn change(&mut self, method: &str, path: &str, body: &str) -> Result<Answer> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: netd\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let began = Instant::now();
        self.0.get_mut().write_all(request.as_bytes())?;
        let mut status = String::new();
        self.0.read_line(&mut status)?;
        let (mut length, mut timing) = (0, None);
        loop {
            let mut line = String::new();
            anyhow::ensure!(self.0.read_line(&mut line)? > 0, "the agent hung up");
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().context("content-length")?;
                }
                Some((name, value)) if name.eq_ignore_ascii_case("server-timing") => {
                    timing = Some(value.to_owned());
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer)?;
        let wall = began.elapsed();
        if !status.starts_with("HTTP/1.1 20") {
            let answer = String::from_utf8_lossy(&answer);
            bail!("{method} {path}: {}: {answer}", status.trim_end());
        }
        let timing = timing.context("an answer without Server-Timing")?;
        Ok(Answer {
            wall,
            timing: Timing::parse(&timing)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_understood() {
        let header = "total;dur=9.000, netlink;dur=4.500, namespaces;dur=0.250, bpf;dur=1.000";
        let timing = Timing::parse(header).unwrap();
        assert_eq!(timing.kernel(), Duration::from_micros(5_750));
        assert!(Timing::parse("total;dur=1.000").is_err());
    }
}
