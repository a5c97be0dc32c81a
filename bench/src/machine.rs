//! The machine that a run is measured on, as far as figures depend on it. Reads; changes nothing.

use std::{collections::BTreeSet, fs, process::Command};

use crate::record::Machine;

/// Programs that netd is compared with or measured by, and what makes them tell their version.
const PROGRAMS: [(&str, &str); 9] = [
    ("iptables-nft", "--version"),
    ("iptables-legacy", "--version"),
    ("nft", "--version"),
    ("ip", "-V"),
    ("dockerd", "--version"),
    ("podman", "--version"),
    ("netavark", "--version"),
    ("/usr/lib/podman/netavark", "--version"),
    ("/usr/lib/podman/aardvark-dns", "--version"),
];

/// What this machine says of itself; what it does not say is left empty.
pub fn describe() -> Machine {
    let cpuinfo = read("/proc/cpuinfo");
    Machine {
        cpu: field(&cpuinfo, "model name").unwrap_or_default(),
        cpus: cpuinfo
            .lines()
            .filter(|line| line.starts_with("processor"))
            .count(),
        hypervisor: hypervisor(&cpuinfo),
        memory_mib: memory_mib(&read("/proc/meminfo")),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        mitigations: mitigations(),
        versions: versions(),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The value of the first line `name : value`.
fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

/// The DMI product where there is one, else that there is a hypervisor at all.
fn hypervisor(cpuinfo: &str) -> Option<String> {
    let flags = field(cpuinfo, "flags").unwrap_or_default();
    if !flags.split(' ').any(|flag| flag == "hypervisor") {
        return None;
    }
    let vendor = read("/sys/class/dmi/id/sys_vendor");
    let product = read("/sys/class/dmi/id/product_name");
    let named = format!("{} {}", vendor.trim(), product.trim());
    Some(match named.trim() {
        "" => "unnamed".to_owned(),
        named => named.to_owned(),
    })
}

fn memory_mib(meminfo: &str) -> u64 {
    field(meminfo, "MemTotal")
        .and_then(|value| value.split(' ').next()?.parse::<u64>().ok())
        .map_or(0, |kib| kib / 1024)
}

/// `name: state` of each weakness that this CPU has.
fn mitigations() -> Vec<String> {
    let dir = fs::read_dir("/sys/devices/system/cpu/vulnerabilities");
    let lines: BTreeSet<String> = dir
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let state = fs::read_to_string(entry.path()).ok()?;
            let state = state.trim();
            (state != "Not affected")
                .then(|| format!("{}: {state}", entry.file_name().to_string_lossy()))
        })
        .collect();
    lines.into_iter().collect()
}

fn versions() -> Vec<(String, String)> {
    PROGRAMS
        .iter()
        .filter_map(|(program, argument)| {
            let output = Command::new(program).arg(argument).output().ok()?;
            let text = String::from_utf8(output.stdout).ok()?;
            let line = text.lines().next()?.trim().to_owned();
            let name = program.rsplit('/').next().unwrap_or(program);
            output.status.success().then(|| (name.to_owned(), line))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read() {
        let cpuinfo =
            "processor\t: 0\nmodel name\t: Some CPU @ 2.0GHz\nflags\t\t: fpu hypervisor\n";
        assert_eq!(
            field(cpuinfo, "model name").as_deref(),
            Some("Some CPU @ 2.0GHz")
        );
        assert!(hypervisor(cpuinfo).is_some());
        assert_eq!(hypervisor("flags : fpu\n"), None);
        assert_eq!(memory_mib("MemTotal:        8388608 kB\n"), 8192);
    }

    #[test]
    fn this_machine_is_described() {
        let machine = describe();
        assert!(machine.cpus > 0 && machine.memory_mib > 0 && !machine.kernel.is_empty());
    }
}
