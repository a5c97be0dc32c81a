//! What a run was asked for. Decides what is wanted; measures nothing.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, bail};

use crate::sections;

/// Names of paths, as in [`crate::record::Row::path`].
pub const PATHS: [&str; 5] = [
    "same-network",
    "published-outside",
    "outwards",
    "published-network",
    "published-loopback",
];
/// Names of modes, as in [`crate::record::Sample::mode`]; the last ones are real engines.
pub const MODES: [&str; 9] = [
    "none",
    "iptables-nft",
    "iptables-legacy",
    "nftables",
    "netd",
    "docker",
    "docker-noproxy",
    "podman",
    "aardvark-dns",
];

/// What to measure, and how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// A smoke test of the harness: one round, short samples, few scales.
    pub quick: bool,
    /// Names of groups, works, paths and modes; see [`Plan::wants`].
    pub only: Vec<String>,
    /// How often each row is measured with each mode.
    pub rounds: u32,
    /// How long one sample measures.
    pub sample: Duration,
    /// The agent's binary, the one that labs start.
    pub netd: PathBuf,
    /// Real engines, too.
    pub real: bool,
    /// Where the record, tables and plots go.
    pub out: PathBuf,
}

impl Plan {
    /// Whether `--only` leaves this group, work, path or mode in. Each kind counts for itself:
    /// `--only tcp-rr --only netd` leaves in the works `tcp-rr` with the mode `netd` on all paths.
    pub fn wants(&self, name: &str) -> bool {
        let mut named = self.only.iter().filter(|only| same_kind(only, name));
        named.clone().next().is_none() || named.any(|only| only == name)
    }

    /// Refuses names that nothing has.
    pub fn check(&self) -> Result<()> {
        for only in &self.only {
            if kind(only) == Kind::Work && !works().any(|work| work == only) {
                let works: Vec<&str> = works().collect();
                bail!(
                    "--only {only}: nothing has this name.\ngroups: {}\nworks: {}\npaths: {}\nmodes: {}",
                    groups().collect::<Vec<_>>().join(", "),
                    works.join(", "),
                    PATHS.join(", "),
                    MODES.join(", "),
                );
            }
        }
        Ok(())
    }
}

#[derive(PartialEq, Eq)]
enum Kind {
    Group,
    Work,
    Path,
    Mode,
}

fn same_kind(one: &str, other: &str) -> bool {
    kind(one) == kind(other)
}

fn kind(name: &str) -> Kind {
    if groups().any(|group| group == name) {
        Kind::Group
    } else if PATHS.contains(&name) {
        Kind::Path
    } else if MODES.contains(&name) {
        Kind::Mode
    } else {
        Kind::Work
    }
}

fn groups() -> impl Iterator<Item = &'static str> {
    sections::ALL.iter().map(|section| section.name)
}

fn works() -> impl Iterator<Item = &'static str> {
    sections::ALL
        .iter()
        .flat_map(|section| section.works.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(only: &[&str]) -> Plan {
        Plan {
            quick: true,
            only: only.iter().map(|name| (*name).to_owned()).collect(),
            rounds: 1,
            sample: Duration::from_millis(100),
            netd: PathBuf::new(),
            real: false,
            out: PathBuf::new(),
        }
    }

    #[test]
    fn each_kind_of_name_counts_for_itself() {
        let all = plan(&[]);
        assert!(all.wants("netd") && all.wants("tcp-rr") && all.wants("outwards"));
        let one = plan(&["tcp-rr", "netd", "none"]);
        assert!(one.wants("netd") && one.wants("none") && !one.wants("nftables"));
        assert!(one.wants("tcp-rr") && !one.wants("udp-rr"));
        assert!(one.wants("outwards"));
    }

    #[test]
    fn a_name_that_nothing_has_is_refused() {
        let error = plan(&["tcp-rrr"]).check().expect_err("no such work");
        assert!(error.to_string().contains("tcp-rrr"));
        plan(&["netd", "outwards"]).check().expect("both exist");
    }
}
