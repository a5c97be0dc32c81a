//! Everything that netd can leave on a host, as lines that can be compared: what was there before has
//! to be there afterwards, and nothing else.

use std::{collections::BTreeSet, time::Duration};

use netd_common::abi::ABI_VERSION;

use super::Lab;

/// Where netd's maps and links are pinned, as labs see it.
pub fn pins() -> String {
    format!("/sys/fs/bpf/netd/v{ABI_VERSION}")
}

/// Sysctls that netd may never change for good, or not at all.
const SYSCTLS: [&str; 6] = [
    "net.ipv4.ip_forward",
    "net.ipv4.conf.all.forwarding",
    "net.ipv4.conf.default.forwarding",
    "net.ipv6.conf.all.forwarding",
    "net.ipv6.conf.all.accept_ra",
    "net.ipv4.ip_local_reserved_ports",
];

/// How long addresses may be tentative.
const SETTLED: Duration = Duration::from_secs(10);

/// What each kind of trace is listed by.
const LISTINGS: [(&str, &str); 11] = [
    ("link", "ip -o link show"),
    ("address", "ip -o address show"),
    ("route", "ip route show table all"),
    ("route", "ip -6 route show table all"),
    ("rule", "ip rule show"),
    ("neighbour", "ip -o neighbour show nud permanent"),
    ("filter", "nft list ruleset"),
    ("qdisc", "tc qdisc show"),
    ("mount", "findmnt -rn -o TARGET,FSTYPE"),
    ("pin", "find /sys/fs/bpf/netd"),
    // Without the socket and the lock: whether an agent runs is not the question here.
    (
        "file",
        "find /run/netd ! -type d ! -name netd.sock ! -name netd.pid",
    ),
];

/// The traces at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traces(BTreeSet<String>);

impl Traces {
    /// Of the lab's host, now.
    ///
    /// # Panics
    /// If they cannot be listed.
    #[track_caller]
    pub fn of(lab: &Lab) -> Traces {
        let host = lab.host();
        // Link-local addresses are checked for duplicates (RFC 4862) for a second or two.
        lab.wait_until("no address is tentative", SETTLED, || {
            host.run("ip -6 -o address show tentative")
                .is_ok_and(|shown| shown.stdout.is_empty())
        });
        let mut lines = BTreeSet::new();
        for (kind, command) in LISTINGS {
            let listing = match host.run(command) {
                // `find` fails where there is nothing to find.
                Ok(finished) => finished.stdout,
                Err(error) => panic!("{error:#}"),
            };
            lines.extend(
                listing
                    .lines()
                    .map(|line| format!("{kind}: {}", line.trim_end())),
            );
        }
        for name in SYSCTLS {
            let value = host
                .read_sysctl(name)
                .unwrap_or_else(|error| error.to_string());
            lines.insert(format!("sysctl: {name} = {value}"));
        }
        Traces(lines)
    }

    /// Holds them against what was before.
    ///
    /// # Panics
    /// If they differ, with the lines that came and went.
    #[track_caller]
    pub fn are_those_of(&self, before: &Traces) {
        let came: Vec<&String> = self.0.difference(&before.0).collect();
        let went: Vec<&String> = before.0.difference(&self.0).collect();
        assert!(
            came.is_empty() && went.is_empty(),
            "the host is not as it was.\ncame: {came:#?}\nwent: {went:#?}"
        );
    }

    /// How many of them are of a kind.
    pub fn count(&self, kind: &str) -> usize {
        let beginning = format!("{kind}: ");
        self.0
            .iter()
            .filter(|line| line.starts_with(&beginning))
            .count()
    }
}

impl Lab {
    /// Pins and numbers of the BPF links that netd has in this lab. A link that was made anew has
    /// another number.
    #[track_caller]
    pub fn bpf_links(&self) -> Vec<(String, u64)> {
        let links = format!("{}/links", pins());
        self.world()
            .list(&links)
            .into_iter()
            .map(|pin| {
                let path = format!("{links}/{pin}");
                let shown = self
                    .host()
                    .ok(&format!("bpftool -j link show pinned {path}"));
                let shown: serde_json::Value = match serde_json::from_str(&shown) {
                    Ok(shown) => shown,
                    Err(error) => panic!("bpftool printed no JSON ({error}): {shown}"),
                };
                let number = shown["id"].as_u64().or_else(|| shown[0]["id"].as_u64());
                (pin, number.unwrap_or_default())
            })
            .collect()
    }
}
