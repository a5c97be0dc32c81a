//! A made-up record, for tests of what is made from records. Its figures mean nothing.

use crate::record::{Cores, Gap, Group, Latency, Machine, Record, Row, Sample, Unit};

const MODES: [(&str, f64); 5] = [
    ("none", 1.0),
    ("iptables-nft", 0.7),
    ("iptables-legacy", 0.6),
    ("nftables", 0.8),
    ("netd", 1.05),
];

/// A row that nothing else is known of.
pub fn row(group: Group, work: &str, path: &str, scale: u64, cores: Cores, unit: Unit) -> Row {
    Row {
        group,
        work: work.to_owned(),
        path: path.to_owned(),
        scale,
        cores,
        unit,
    }
}

/// Every group, with five rounds.
pub fn record() -> Record {
    let mut record = Record {
        format: crate::recorder::FORMAT,
        started: "2026-01-02T03:04:05Z".to_owned(),
        seconds: 1234.5,
        command: "cargo xtask bench".to_owned(),
        netd: "netd 0.1.0, commit 0123456, release build".to_owned(),
        machine: Machine {
            cpu: "Made-up CPU".to_owned(),
            cpus: 2,
            hypervisor: Some("KVM".to_owned()),
            memory_mib: 4096,
            kernel: "6.1.0".to_owned(),
            mitigations: vec!["spectre_v2: Mitigation: IBRS".to_owned()],
            versions: vec![("nft".to_owned(), "nftables v1.0.6".to_owned())],
        },
        samples: Vec::new(),
        gaps: vec![Gap {
            what: "docker".to_owned(),
            why: "not installed".to_owned(),
        }],
    };
    traffic(&mut record);
    scales(&mut record);
    floods(&mut record);
    control(&mut record);
    record
}

fn add(record: &mut Record, row: &Row, mode: &str, value: f64) {
    for round in 0..5 {
        let value = value * (1.0 + 0.01 * f64::from(round));
        let latency = (row.cores == Cores::Different).then(|| latency(value));
        record.samples.push(Sample {
            row: row.clone(),
            mode: mode.to_owned(),
            round,
            value,
            latency,
            lost: 0,
        });
    }
}

fn latency(median: f64) -> Latency {
    let at = |quantile: f64| (median * (0.8 + 0.2 / (1.001 - quantile).powf(0.7))) as u64;
    Latency {
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: at(1.0),
        curve: (0..=100)
            .map(|n| f64::from(n) / 100.0)
            .map(|q| (q, at(q)))
            .collect(),
    }
}

fn traffic(record: &mut Record) {
    for path in crate::plan::PATHS {
        for (mode, speed) in MODES {
            for work in ["udp-rate", "tcp-rr", "tcp-crr", "udp-rr"] {
                let same = row(Group::Traffic, work, path, 1, Cores::Same, Unit::PerSecond);
                add(record, &same, mode, 81_234.0 * speed);
            }
            for work in ["tcp-rr", "udp-rr"] {
                let two = row(
                    Group::Traffic,
                    work,
                    path,
                    1,
                    Cores::Different,
                    Unit::Nanoseconds,
                );
                add(record, &two, mode, 12_345.0 / speed);
            }
            let stream = row(
                Group::Traffic,
                "tcp-stream",
                path,
                1,
                Cores::Same,
                Unit::BitsPerSecond,
            );
            add(record, &stream, mode, 2.3e10 * (0.9 + 0.1 * speed));
        }
    }
}

fn scales(record: &mut Record) {
    for work in ["tcp-crr", "udp-new-flows", "udp-rate"] {
        for scale in [1, 100, 1_000, 10_000] {
            let row = row(
                Group::Ports,
                work,
                "published-outside",
                scale,
                Cores::Same,
                Unit::PerSecond,
            );
            for (mode, speed) in MODES {
                let falls = mode.starts_with("iptables") && work != "udp-rate";
                let fall = if falls {
                    1.0 + scale as f64 / 1_000.0
                } else {
                    1.0
                };
                add(record, &row, mode, 41_234.0 * speed / fall);
            }
        }
        for scale in [0, 10_000, 200_000] {
            let row = row(
                Group::Flows,
                work,
                "published-outside",
                scale,
                Cores::Same,
                Unit::PerSecond,
            );
            add(record, &row, "netd", 40_000.0);
        }
    }
    for (mode, speed) in [("netd", 600_000.0), ("aardvark-dns", 60_000.0)] {
        let rate = row(
            Group::Dns,
            "dns-local",
            "",
            100,
            Cores::Same,
            Unit::PerSecond,
        );
        add(record, &rate, mode, speed);
        let one = row(
            Group::Dns,
            "dns-local",
            "",
            100,
            Cores::Different,
            Unit::Nanoseconds,
        );
        add(record, &one, mode, 5e9 / speed);
    }
}

fn floods(record: &mut Record) {
    for (scale, left) in [(0, 1.0), (20_000, 0.8)] {
        let path = "published-outside, SYN";
        let row = row(
            Group::Flood,
            "tcp-crr",
            path,
            scale,
            Cores::Same,
            Unit::PerSecond,
        );
        for mode in ["netd", "iptables-nft"] {
            add(record, &row, mode, 9_000.0 * left);
        }
    }
}

fn control(record: &mut Record) {
    for scale in [10, 100, 1_000] {
        for (work, value) in [("create", 21e6), ("start", 2e5 * scale as f64)] {
            let row = row(
                Group::Control,
                work,
                "",
                scale,
                Cores::Any,
                Unit::Nanoseconds,
            );
            add(record, &row, "netd", value);
        }
        let memory = row(
            Group::Memory,
            "resident",
            "",
            scale,
            Cores::Any,
            Unit::Octets,
        );
        add(record, &memory, "netd", 2e7 + 1e4 * scale as f64);
    }
    for scale in [1, 100, 10_000] {
        let row = |work| {
            row(
                Group::Control,
                work,
                "10 endpoints",
                scale,
                Cores::Any,
                Unit::Nanoseconds,
            )
        };
        add(record, &row("publish"), "netd", 1e6 + 1.5e4 * scale as f64);
        add(
            record,
            &row("publish"),
            "iptables-nft",
            1e7 + 1e5 * scale as f64,
        );
        add(record, &row("publish-range"), "netd", 2e6);
    }
    let program = row(
        Group::Programs,
        "program",
        "from_uplink",
        0,
        Cores::Any,
        Unit::Nanoseconds,
    );
    add(record, &program, "netd", 250.0);
}
