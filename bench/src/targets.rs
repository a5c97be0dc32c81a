//! What netd should reach, as data, and how a record measures up to it. Measures nothing.
//!
//! A row is met when its median reaches the bound or is no farther from it than its own spread.

use crate::{
    floods,
    record::{Cores, Group, Row, Unit},
    stats::{Cells, Summary, ratio, written},
};

/// The mode that is judged.
pub const JUDGED: &str = "netd";

/// Rows with a bound.
struct Target {
    group: Group,
    works: &'static [&'static str],
    paths: &'static [&'static str],
    /// Where it matters.
    scale: Option<u64>,
    against: Against,
    bound: Bound,
}

/// What a row is compared with.
#[derive(Clone, Copy)]
enum Against {
    /// The same row with another mode.
    Mode(&'static str),
    /// The same row with netd at another scale.
    Scale(u64),
    /// Nothing: the value itself counts.
    Nothing,
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// How a row measures up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The bound is reached, or within the spread.
    Met,
    /// It is not.
    Missed,
    /// There are no values to tell.
    NotMeasured,
}

/// A row, its bound, and what was measured.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// For people.
    pub row: String,
    /// What it is compared with, for people.
    pub against: String,
    /// For people.
    pub bound: String,
    /// For people; empty where nothing was measured.
    pub measured: String,
    /// The outcome.
    pub verdict: Verdict,
}

const ONE_NETWORK: &[&str] = &["same-network"];
const TRANSLATED: &[&str] = &[
    "published-outside",
    "outwards",
    "published-network",
    "published-loopback",
];
const ALL_PATHS: &[&str] = &[
    "same-network",
    "published-outside",
    "outwards",
    "published-network",
    "published-loopback",
];
const NO_PATH: &[&str] = &[""];
const PORTS_AT: &[&str] = &["10 endpoints", "1,000 endpoints"];
const PUBLISHED: &[&str] = &["published-outside"];
const SMALL: &[&str] = &["udp-rate", "tcp-rr", "tcp-crr"];
const NEW: &[&str] = &["tcp-crr", "udp-new-flows"];
const MIB: f64 = 1024.0 * 1024.0;

const TARGETS: [Target; 21] = [
    traffic(SMALL, ONE_NETWORK, "none", 1.0),
    traffic(SMALL, ONE_NETWORK, "iptables-nft", 1.25),
    traffic(SMALL, TRANSLATED, "iptables-nft", 1.2),
    traffic(SMALL, TRANSLATED, "nftables", 1.1),
    traffic(SMALL, TRANSLATED, "none", 0.95),
    traffic(&["tcp-stream", "tcp-stream-4"], ALL_PATHS, "none", 0.97),
    Target {
        group: Group::Ports,
        works: &["tcp-crr", "udp-new-flows", "udp-rate"],
        paths: PUBLISHED,
        scale: Some(10_000),
        against: Against::Scale(1),
        bound: Bound::AtLeast(0.97),
    },
    Target {
        group: Group::Ports,
        works: NEW,
        paths: PUBLISHED,
        scale: Some(10_000),
        against: Against::Mode("iptables-nft"),
        bound: Bound::AtLeast(8.0),
    },
    Target {
        group: Group::Flows,
        works: NEW,
        paths: PUBLISHED,
        scale: Some(200_000),
        against: Against::Scale(0),
        bound: Bound::AtLeast(0.9),
    },
    Target {
        group: Group::Flood,
        works: &floods::ORDINARY,
        paths: &floods::NAMES,
        scale: Some(floods::RATE as u64),
        against: Against::Mode("iptables-nft"),
        bound: Bound::AtLeast(1.2),
    },
    Target {
        group: Group::Dns,
        works: &["dns-local"],
        paths: NO_PATH,
        // Engines are asked among fewer names.
        scale: Some(100),
        against: Against::Mode("aardvark-dns"),
        bound: Bound::AtLeast(5.0),
    },
    Target {
        paths: PORTS_AT,
        ..absolute(Group::Control, &["publish"], 10_000, 200e6)
    },
    Target {
        paths: PORTS_AT,
        ..absolute(Group::Control, &["publish-range"], 10_000, 5e6)
    },
    Target {
        group: Group::Control,
        works: &["create"],
        paths: NO_PATH,
        scale: Some(1_000),
        against: Against::Scale(10),
        bound: Bound::AtMost(1.2),
    },
    absolute(Group::Control, &["create-own"], 10, 5e6),
    absolute(Group::Control, &["create-own"], 1_000, 5e6),
    absolute(Group::Memory, &["resident"], 1_000, 40.0 * MIB),
    absolute(Group::Records, LISTS, 5_000, 50e6),
    same(&["inspect"]),
    same(&["create-record"]),
    absolute(Group::Records, &["read-store"], 5_000, 1e9),
];

const LISTS: &[&str] = &["network-ls", "sandbox-ls"];

/// With 5,000 records about as long as with 10.
const fn same(works: &'static [&'static str]) -> Target {
    Target {
        group: Group::Records,
        works,
        paths: NO_PATH,
        scale: Some(5_000),
        against: Against::Scale(10),
        bound: Bound::AtMost(1.2),
    }
}

const fn traffic(
    works: &'static [&'static str],
    paths: &'static [&'static str],
    base: &'static str,
    bound: f64,
) -> Target {
    Target {
        group: Group::Traffic,
        works,
        paths,
        scale: None,
        against: Against::Mode(base),
        bound: Bound::AtLeast(bound),
    }
}

const fn absolute(group: Group, works: &'static [&'static str], scale: u64, bound: f64) -> Target {
    Target {
        group,
        works,
        paths: NO_PATH,
        scale: Some(scale),
        against: Against::Nothing,
        bound: Bound::AtMost(bound),
    }
}

/// Every target's rows, judged, in the order of the targets.
pub fn judge(cells: &Cells) -> Vec<Judgement> {
    let mut judgements = Vec::new();
    for target in &TARGETS {
        for work in target.works {
            for path in target.paths {
                judgements.push(target.judge(cells, work, path));
            }
        }
    }
    judgements
}

impl Target {
    fn judge(&self, cells: &Cells, work: &str, path: &str) -> Judgement {
        let row = self.row(cells, work, path, self.scale);
        let measured = row.and_then(|row| self.measured(cells, row));
        let unit = match self.against {
            Against::Nothing => Some(match self.group {
                Group::Memory => Unit::Octets,
                _ => Unit::Nanoseconds,
            }),
            _ => None,
        };
        let number = |value: f64| match unit {
            Some(unit) => written(value, unit),
            None => format!("{value:.2}"),
        };
        let mut name = work.to_owned();
        if !path.is_empty() {
            name = format!("{name}, {path}");
        }
        if let Some(scale) = self.scale {
            name = format!("{name}, at {scale}");
        }
        Judgement {
            row: name,
            against: match self.against {
                Against::Mode(mode) => mode.to_owned(),
                Against::Scale(scale) => format!("netd at {scale}"),
                Against::Nothing => String::new(),
            },
            bound: match self.bound {
                Bound::AtLeast(bound) => format!("≥ {}", number(bound)),
                Bound::AtMost(bound) => format!("≤ {}", number(bound)),
            },
            measured: measured.map_or(String::new(), |measured| {
                let Summary {
                    median, low, high, ..
                } = measured;
                format!("{} ({} – {})", number(median), number(low), number(high))
            }),
            verdict: measured.map_or(Verdict::NotMeasured, |measured| {
                self.bound.verdict(measured)
            }),
        }
    }

    /// The row that the target is about: the cost per operation (both sides on one core) where it
    /// was measured, else what there is.
    fn row<'a>(
        &self,
        cells: &'a Cells,
        work: &str,
        path: &str,
        scale: Option<u64>,
    ) -> Option<&'a Row> {
        let is_rate = !matches!(self.against, Against::Mode(_));
        cells
            .rows()
            .filter(|row| row.group == self.group && row.work == work && row.path == path)
            .filter(|row| scale.is_none_or(|scale| row.scale == scale))
            .filter(|row| is_rate || row.unit.more_is_better())
            .min_by_key(|row| (row.cores != Cores::Same, !row.unit.more_is_better()))
    }

    fn measured(&self, cells: &Cells, row: &Row) -> Option<Summary> {
        match self.against {
            Against::Mode(base) => cells.advantage(row, JUDGED, base),
            Against::Scale(scale) => {
                let base = self.row(cells, &row.work, &row.path, Some(scale))?;
                ratio(cells.rounds(row, JUDGED)?, cells.rounds(base, JUDGED)?)
            }
            Against::Nothing => cells.summary(row, JUDGED),
        }
    }
}

impl Bound {
    fn verdict(self, measured: Summary) -> Verdict {
        let met = match self {
            Bound::AtLeast(bound) => measured.high >= bound,
            Bound::AtMost(bound) => measured.low <= bound,
        };
        if met { Verdict::Met } else { Verdict::Missed }
    }
}

impl Verdict {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Met => "met",
            Verdict::Missed => "missed",
            Verdict::NotMeasured => "not measured",
        }
    }
}

#[cfg(test)]
#[path = "targets_tests.rs"]
mod tests;
