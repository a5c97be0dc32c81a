//! What groups, works and axes are called in tables and plots, and in which order modes stand.

use crate::{
    plan::MODES,
    record::{Cores, Group, Unit},
    stats::written,
};

/// All groups in the order of the tables.
pub const GROUPS: [Group; 9] = [
    Group::Traffic,
    Group::Ports,
    Group::Flows,
    Group::Flood,
    Group::Dns,
    Group::Control,
    Group::Records,
    Group::Memory,
    Group::Programs,
];

/// A table's title.
pub fn title(group: Group) -> &'static str {
    match group {
        Group::Traffic => "Traffic, one published port",
        Group::Ports => "Traffic by number of published ports",
        Group::Flows => "New flows by number of flows in the table",
        Group::Flood => "Beside a flood on the same core",
        Group::Dns => "Questions for names",
        Group::Control => "Changes",
        Group::Records => {
            "Lists, looks and starts by number of records (1,000 networks where 5,000 sandboxes are, else 10)"
        }
        Group::Memory => "Memory",
        Group::Programs => "BPF programs",
    }
}

/// What the scale of a group counts.
pub fn axis(group: Group, work: &str) -> &'static str {
    match group {
        Group::Traffic | Group::Ports => "published ports",
        Group::Flows => "flows",
        Group::Flood => "flood packets/s",
        Group::Dns => "names",
        Group::Control if work.contains("publish") => "ports",
        Group::Records => "sandboxes",
        Group::Control | Group::Memory => "endpoints",
        Group::Programs => "size",
    }
}

/// What a work's rate counts.
pub fn counted(work: &str, unit: Unit) -> &'static str {
    match (unit, work) {
        (Unit::BitsPerSecond, _) => "payload, bit/s",
        (Unit::PerSecond, "tcp-rr" | "udp-rr") => "transactions a second",
        (Unit::PerSecond, "tcp-crr") => "connections a second",
        (Unit::PerSecond, "udp-rate" | "flood-packets") => "packets a second",
        (Unit::PerSecond, "udp-new-flows") => "new flows a second",
        (Unit::PerSecond, _) => "a second",
        (Unit::Nanoseconds, _) => "time",
        (Unit::Octets, _) => "octets",
        (Unit::Count, _) => "number",
    }
}

/// How client and server were placed.
pub fn cores(cores: Cores) -> &'static str {
    match cores {
        Cores::Any => "",
        Cores::Same => "one",
        Cores::Different => "two",
    }
}

/// Where a mode stands among others.
pub fn place(mode: &str) -> (usize, &str) {
    let known = MODES.iter().position(|name| *name == mode);
    (known.unwrap_or(MODES.len()), mode)
}

/// A value beside an axis: as short as it can be.
pub fn tick(value: f64, unit: Unit) -> String {
    if unit == Unit::Count {
        return scale(value.round() as u64);
    }
    let text = written(value, unit);
    let Some((number, rest)) = text.split_once(' ') else {
        return text;
    };
    let number = match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    };
    let rest = rest.trim_end_matches("bit/s").trim_end_matches("/s");
    format!("{number} {rest}").trim_end().to_owned()
}

/// A number of things, with thousands apart.
pub fn scale(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_short() {
        assert_eq!(tick(20_000.0, Unit::PerSecond), "20 k");
        assert_eq!(tick(0.0, Unit::PerSecond), "0");
        assert_eq!(tick(1_500_000.0, Unit::PerSecond), "1.5 M");
        assert_eq!(tick(100_000.0, Unit::Nanoseconds), "100 µs");
        assert_eq!(tick(10_000.0, Unit::Count), "10,000");
        assert_eq!(tick(1e9, Unit::Nanoseconds), "1 s");
    }

    #[test]
    fn thousands_are_apart() {
        assert_eq!(scale(0), "0");
        assert_eq!(scale(999), "999");
        assert_eq!(scale(10_000), "10,000");
        assert_eq!(scale(1_234_567), "1,234,567");
    }

    #[test]
    fn known_modes_stand_in_their_order() {
        let mut modes = ["zebra", "netd", "none", "docker"];
        modes.sort_by_key(|mode| place(mode));
        assert_eq!(modes, ["none", "netd", "docker", "zebra"]);
    }
}
