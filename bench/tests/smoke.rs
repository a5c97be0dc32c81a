//! The whole bench once, quickly: every row is there and payloads are right. Looks at no speed. Needs
//! root and netd's binary.

use std::{env, fs, path::Path, process::Command};

use netd_bench::{
    floods, modes,
    plan::PATHS,
    record::{Group, Record, Sample},
    recorder,
    sections::{self, flood, traffic},
};
use netd_tests::lab::agent_binary;

/// Real engines are not part of a run that did not ask for them.
const NOT_ASKED_FOR: &str = "real";

#[test]
fn a_quick_run_has_every_row_and_right_payloads() {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench");
    // What an earlier run left would hide that this one leaves nothing.
    if out.exists() {
        fs::remove_dir_all(&out).unwrap();
    }
    let run = Command::new(env!("CARGO_BIN_EXE_netd-bench"))
        .args(["run", "--quick", "--out"])
        .arg(&out)
        .env("NETD_BIN", agent_binary().unwrap())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{}: {told}", run.status);

    let record = recorder::read(&out.join(recorder::FILE)).unwrap();
    works_are_there(&record);
    traffic_is_whole(&record);
    floods_are_whole(&record);
    for sample in &record.samples {
        is_sane(sample);
    }
    for file in [
        "report.md",
        "ratios.svg",
        "ratios.png",
        "latency.png",
        "flood.png",
    ] {
        let size = fs::metadata(out.join(file)).unwrap().len();
        assert!(size > 1000, "{file} has {size} octets");
    }
}

/// As `--only` names it.
fn name(group: Group) -> String {
    let name = serde_json::to_value(group).unwrap();
    name.as_str().unwrap().to_owned()
}

/// Every section has every work of its, with netd.
fn works_are_there(record: &Record) {
    for section in sections::ALL.iter().filter(|s| s.name != NOT_ASKED_FOR) {
        for work in section.works {
            let is_there = record.samples.iter().any(|sample| {
                let row = &sample.row;
                name(row.group) == section.name && row.work == *work && sample.mode == "netd"
            });
            assert!(is_there, "{}: no {work} of netd", section.name);
        }
    }
}

/// Each mode has each work on each path, or a gap says why not; netd and the plain bridge have no
/// excuse for what they are compared on.
fn traffic_is_whole(record: &Record) {
    for mode in modes::ALL {
        for path in PATHS {
            let is_gap = record.gaps.iter().any(|gap| {
                gap.what.starts_with("traffic")
                    && gap.what.contains(mode)
                    && gap.what.contains(path)
            });
            assert!(!is_gap || mode != "netd", "netd lacks {path}");
            for work in traffic::WORKS {
                let is_there = record.samples.iter().any(|sample| {
                    let row = &sample.row;
                    row.group == Group::Traffic
                        && row.work == work
                        && row.path == path
                        && sample.mode == mode
                });
                assert!(
                    is_there || is_gap,
                    "no {work}, {path}, of {mode}, and no reason"
                );
            }
        }
    }
    let same_network = record
        .samples
        .iter()
        .filter(|sample| sample.row.group == Group::Traffic && sample.row.path == PATHS[0]);
    let modes: std::collections::BTreeSet<&str> =
        same_network.map(|sample| sample.mode.as_str()).collect();
    assert_eq!(modes.len(), modes::ALL.len(), "{modes:?}");
}

/// With each mode each work goes on beside each flood and without it, and each flood has its rate.
fn floods_are_whole(record: &Record) {
    let floods = record
        .samples
        .iter()
        .filter(|sample| sample.row.group == Group::Flood);
    let floods: Vec<&Sample> = floods.collect();
    for mode in flood::MODES {
        for path in floods::NAMES {
            let of = |work: &str| -> Vec<bool> {
                let samples = floods.iter().filter(|sample| {
                    sample.row.work == work && sample.row.path == path && sample.mode == mode
                });
                samples.map(|sample| sample.row.scale > 0).collect()
            };
            for work in floods::ORDINARY {
                assert_eq!(of(work), [false, true], "{mode}, {work}, {path}");
            }
            assert_eq!(of(flood::PACKETS), [true; 2], "{mode}, {path}");
        }
    }
}

/// Damaged payloads end a section, so what is left to look at are losses: only what is sent without
/// waiting for an answer may lose something.
fn is_sane(sample: &Sample) {
    let Sample { row, value, .. } = sample;
    assert!(value.is_finite(), "{sample:?}");
    // An LPM trie without entries has no memory of its own (`trie_mem_usage`); all maps together do.
    let is_one_map = row.group == Group::Memory && row.work == "map-memory" && !row.path.is_empty();
    assert!(*value > 0.0 || is_one_map, "{sample:?}");
    // Beside a flood something may be lost, too; what is counted there is how much.
    let waits = row.group != Group::Flood || row.scale == 0;
    let waits = waits && (row.work.starts_with("tcp") || row.work.starts_with("dns"));
    assert!(!waits || sample.lost == 0, "{sample:?}");
}
