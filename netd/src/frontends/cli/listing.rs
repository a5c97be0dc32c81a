//! What lists of objects have in common: their flags, and how ids and times are shown. Knows no object.

use bytes::Bytes;
use clap::Args;
use serde::Serialize;

use super::{
    Connection, Failure, Printed,
    format::{Column, ListFormat},
};

/// Flags of `network ls` and `sandbox ls`.
#[derive(Debug, Args)]
pub struct Listing {
    /// Print whole ids
    #[arg(long)]
    pub no_trunc: bool,
    /// Those of other owners (Docker, Podman, CNI), too
    #[arg(short, long)]
    pub all: bool,
    #[command(flatten)]
    format: ListFormat,
    #[command(flatten)]
    connection: Connection,
}

impl Listing {
    /// Asks the agent for the list; [`read`](super::client::read) reads it.
    pub fn get(&self, path: &str) -> Result<Bytes, Failure> {
        self.connection.client()?.get_bytes(path)
    }

    /// Whether an owner's objects are listed.
    pub fn shows(&self, owner: &str) -> bool {
        self.all || owner == "netd"
    }

    /// Prints the rows.
    pub fn print<T: Serialize>(
        &self,
        columns: &[Column<T>],
        rows: &[T],
        verb: &str,
    ) -> Result<Printed, Failure> {
        self.format.print(columns, rows, verb)
    }
}

/// The first twelve digits, or all.
pub fn shown_id(id: &str, no_trunc: bool) -> &str {
    match no_trunc {
        true => id,
        false => id.get(..12).unwrap_or(id),
    }
}

/// `2026-11-21T19:34:11.448357010Z` as Docker's lists have it: `2026-11-21 19:34:11.44835701 +0000 UTC`.
pub fn shown_time(time: &str) -> String {
    let plain = time.strip_suffix('Z').unwrap_or(time).replacen('T', " ", 1);
    let plain = plain.trim_end_matches('0').trim_end_matches('.');
    format!("{plain} +0000 UTC")
}
