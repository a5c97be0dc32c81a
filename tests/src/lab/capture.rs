//! tcpdump in a lab: what crossed an interface, and whether its checksums were right.

use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::{namespace::Namespace, process::Background};

/// How long tcpdump may take to start and to end.
const LIMIT: Duration = Duration::from_secs(10);

/// A running capture.
pub struct Capture {
    process: Background,
}

impl Capture {
    /// Captures on an interface what matches the filter, from the return of this call on.
    pub fn start(namespace: &Namespace, interface: &str, filter: &str) -> Result<Capture> {
        let mut process = namespace
            .spawn(&format!(
                "tcpdump -i {interface} -Z root -nn -vv -e -l --immediate-mode {filter}"
            ))
            .context("tcpdump")?;
        process.wait_for("listening on", LIMIT)?;
        Ok(Capture { process })
    }

    /// What tcpdump printed so far.
    pub fn so_far(&self) -> String {
        self.process.stdout()
    }

    /// Ends the capture; what tcpdump printed.
    pub fn stop(self) -> Result<String> {
        // Packets of the last moment are still on their way to tcpdump.
        std::thread::sleep(Duration::from_millis(100));
        self.process.signal(Signal::SIGINT)?;
        Ok(self.process.wait(LIMIT)?.stdout)
    }

    /// Ends the capture, which has to show `expected` and no wrong checksum; what tcpdump printed. Only
    /// where senders have transmit checksum offload off, as for [`Capture::wrong_checksums`].
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn is_right(self, expected: &str) -> String {
        let text = match self.stop() {
            Ok(text) => text,
            Err(error) => panic!("{error:#}"),
        };
        let wrong = Capture::wrong_checksums(&text);
        assert!(wrong.is_empty(), "{wrong:#?} in\n{text}");
        assert!(text.contains(expected), "no `{expected}` in\n{text}");
        text
    }

    /// Lines of a capture that tcpdump calls wrong. Only for interfaces whose senders have transmit
    /// checksum offload off ([`Namespace::offload`]).
    pub fn wrong_checksums(text: &str) -> Vec<&str> {
        text.lines()
            .filter(|line| {
                line.contains("(incorrect")
                    || line.contains("bad cksum")
                    || line.contains("bad udp cksum")
                    || line.contains("wrong icmp cksum")
                    || line.contains("bad icmp6 cksum")
            })
            .collect()
    }
}

impl Namespace {
    /// Switches the checksum and segmentation offloads of an interface. With them on, a veth carries
    /// packets whose checksum is not yet made.
    pub fn offload(&self, interface: &str, on: bool) -> Result<()> {
        let word = if on { "on" } else { "off" };
        let line = format!("ethtool -K {interface} tx {word} tso {word} gso {word}");
        self.run_checked(&line).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_checksums_are_seen() {
        let text = "IP a > b: Flags [S], cksum 0x1234 (correct)\n\
                    IP a > b: [bad udp cksum 0x1 -> 0x2!]\n\
                    IP a > b: Flags [S], cksum 0x1 (incorrect -> 0x2)\n";
        assert_eq!(Capture::wrong_checksums(text).len(), 2, "one line is right");
    }
}
