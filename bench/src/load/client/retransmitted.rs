//! TCP segments that the namespace sent again, as the kernel counts them.

use std::fs;

use anyhow::{Context, Result};

/// Since the namespace was made.
pub fn count() -> Result<u64> {
    // Not /proc/net: that is the first thread's namespace.
    parse(&fs::read_to_string("/proc/thread-self/net/snmp")?)
        .context("no RetransSegs in /proc/net/snmp")
}

/// A line of names and one of values, both beginning with `Tcp:`.
fn parse(text: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = (lines.next()?, lines.next()?);
    names
        .split_whitespace()
        .zip(values.split_whitespace())
        .find(|(name, _)| *name == "RetransSegs")?
        .1
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_value_below_its_name_is_read() {
        let text = "Ip: A B\nIp: 1 2\nTcp: MaxConn OutSegs RetransSegs InErrs\nTcp: -1 8 3 0\n";
        assert_eq!(super::parse(text), Some(3));
        assert!(super::count().is_ok());
    }
}
