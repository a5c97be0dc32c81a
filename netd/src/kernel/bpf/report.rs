//! What the BPF layer tells the daemon and `netd status`: plain data.

use std::{fmt, path::PathBuf};

use netd_common::abi::{ABI_VERSION, Program};

use crate::plan::Attachment;

/// What `Bpf::open` came upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenReport {
    /// Maps and links of an earlier agent.
    pub found: Found,
    /// Maps that could not be used and were made anew, empty.
    pub replaced_maps: Vec<ReplacedMap>,
    /// The programs were loaded; else those of an agent with the same object are used on.
    pub loaded: bool,
    /// Where a BPF file system had to be mounted.
    pub mounted: Option<PathBuf>,
    /// Programs are attached by tcx; else by clsact.
    pub tcx: bool,
    /// Packets whose redirect fails are counted; else the kernel does not show its symbols' addresses.
    pub counts_lost: bool,
}

/// Whether there was an earlier agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// No pins.
    Fresh,
    /// Pins of the same ABI.
    Reopened,
    /// Pins of these other ABI versions alone: maps start empty, and old links go as their
    /// successors are attached.
    AbiChanged(Vec<u32>),
}

/// A map that was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplacedMap {
    /// Its name.
    pub name: String,
    /// What did not fit.
    pub why: String,
}

impl fmt::Display for OpenReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found {
            Found::Fresh => write!(f, "started fresh (ABI {ABI_VERSION})")?,
            Found::Reopened => write!(f, "reopened the pins of ABI {ABI_VERSION}")?,
            Found::AbiChanged(old) => {
                let old: Vec<String> = old.iter().map(u32::to_string).collect();
                let old = old.join(", ");
                write!(f, "ABI {ABI_VERSION} started fresh, ABI {old} is replaced")?;
            }
        }
        f.write_str(match self.loaded {
            true => "; programs loaded",
            false => "; programs used on",
        })?;
        f.write_str(if self.tcx { "; tcx" } else { "; clsact" })?;
        if !self.counts_lost {
            f.write_str(
                "; redirect-failed misses what the kernel drops (/proc/kallsyms is hidden)",
            )?;
        }
        if let Some(point) = &self.mounted {
            write!(f, "; mounted a BPF file system at {}", point.display())?;
        }
        for map in &self.replaced_maps {
            write!(f, "; map {} was replaced: {}", map.name, map.why)?;
        }
        Ok(())
    }
}

/// A loaded program, for `netd status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedProgram {
    /// Which.
    pub program: Program,
    /// The kernel's id.
    pub id: u32,
    /// The kernel's hash of its instructions, 16 hex digits.
    pub tag: String,
    /// Instructions that the verifier walked, where the kernel tells.
    pub verified_instructions: Option<u32>,
    /// Octets of machine code.
    pub jited_octets: u32,
}

/// An attached program, for `netd status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedProgram {
    /// Where.
    pub attachment: Attachment,
    /// The kernel's id of the link; `None` with clsact, which has none.
    pub link: Option<u32>,
    /// The kernel's id of the program.
    pub program: u32,
    /// It is where it belongs and of the loaded object.
    pub in_order: bool,
}

#[cfg(test)]
mod tests {
    use super::{Found, OpenReport, ReplacedMap};

    #[test]
    fn the_report_as_text() {
        let report = OpenReport {
            found: Found::AbiChanged(vec![7, 8]),
            replaced_maps: vec![ReplacedMap {
                name: "FLOWS".into(),
                why: "value size 8, not 120".into(),
            }],
            loaded: true,
            mounted: Some("/run/bpf".into()),
            tcx: false,
            counts_lost: false,
        };
        expect_test::expect!["ABI 2 started fresh, ABI 7, 8 is replaced; programs loaded; clsact; redirect-failed misses what the kernel drops (/proc/kallsyms is hidden); mounted a BPF file system at /run/bpf; map FLOWS was replaced: value size 8, not 120"]
            .assert_eq(&report.to_string());
    }
}
