//! What is measured, one module per section of the tables.

use anyhow::Result;

use crate::{plan::Plan, real, recorder::Recorder};

pub mod control;
pub mod dns;
pub mod flood;
pub mod flows;
pub mod memory;
pub mod ports;
pub mod programs;
pub mod records;
mod stands;
pub mod traffic;

/// A part of a run. One that fails becomes a gap in the record, and the others still run.
pub struct Section {
    /// Its group's name, for `--only`.
    pub name: &'static str,
    /// The works that it measures, for `--only`: it is left out when none is wanted.
    pub works: &'static [&'static str],
    /// Measures. Within it modes take turns round by round.
    pub run: fn(&Plan, &mut Recorder) -> Result<()>,
}

/// All, in the order in which they run.
pub const ALL: &[Section] = &[
    Section {
        name: "traffic",
        works: &traffic::WORKS,
        run: traffic::run,
    },
    Section {
        name: "ports",
        works: &ports::WORKS,
        run: ports::run,
    },
    Section {
        name: "flows",
        works: &flows::WORKS,
        run: flows::run,
    },
    Section {
        name: "flood",
        works: &flood::WORKS,
        run: flood::run,
    },
    Section {
        name: "dns",
        works: dns::WORKS,
        run: dns::run,
    },
    Section {
        name: "control",
        works: &control::WORKS,
        run: control::run,
    },
    Section {
        name: "records",
        works: &records::WORKS,
        run: records::run,
    },
    Section {
        name: "memory",
        works: &memory::WORKS,
        run: memory::run,
    },
    Section {
        name: "programs",
        works: &programs::WORKS,
        run: programs::run,
    },
    Section {
        name: "real",
        works: real::WORKS,
        run: real::run,
    },
];
