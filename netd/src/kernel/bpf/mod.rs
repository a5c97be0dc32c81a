//! BPF: programs, maps, pins. [`Bpf`] is the door; below it the objects carried in this binary
//! (`object`), where pins are (`layout`, `bpffs`) and what they are (`pin`), start and end (`open`,
//! `teardown`), contents (`maps`, `batch`, `entries`, `flows`, `collect`, `counters`, `drop_events`), and hooks
//! (`attach`, with `tcx`, `clsact`, `cgroup`, `tracepoint`). All calls are synchronous and made in the host's
//! network namespace.

mod attach;
mod batch;
mod bpffs;
mod cgroup;
mod clsact;
mod collect;
mod counters;
pub mod drop_events;
mod entries;
mod error;
mod flows;
mod freeing;
mod key_text;
mod layer;
mod layout;
mod log;
mod maps;
pub mod mountinfo;
mod object;
mod open;
mod pin;
pub mod pod;
mod programs;
mod report;
mod tcx;
mod teardown;
mod tracepoint;

pub use drop_events::DropEvents;
pub use flows::Flush;
pub use layer::{Bpf, BpfOptions, MapReader, Mechanism};
pub use report::{AttachedProgram, Found, LoadedProgram, OpenReport, ReplacedMap};
pub use teardown::unpin_all;
