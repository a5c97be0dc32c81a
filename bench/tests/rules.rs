//! On each path the packets meet the rules that are there for it: their counters say so. Needs root,
//! iptables and nftables.

use std::collections::BTreeMap;

use netd_bench::{
    drive::Driven,
    modes::{Iptables, Kind, Mode, Nftables},
    topology::{Path, last_port, ports},
};
use netd_tests::lab::agent_binary;

/// Published ports; the last one is dialled.
const PORTS: u16 = 3;

fn driven(mode: Box<dyn Mode>) -> Driven {
    // This program is not the one that has the load generator.
    let program = env!("CARGO_BIN_EXE_netd-bench").to_owned();
    Driven::with(program, mode, last_port(PORTS)).unwrap()
}

/// Packets of each rule, by its text.
type Counters = BTreeMap<String, u64>;

/// `[PACKETS:OCTETS] -A …`
fn of_iptables(saved: &str) -> Counters {
    let rules = saved.lines().filter_map(|line| {
        let (counter, rule) = line.strip_prefix('[')?.split_once("] ")?;
        let (packets, _) = counter.split_once(':')?;
        Some((rule.to_owned(), packets.parse().ok()?))
    });
    rules.collect()
}

/// `… counter packets PACKETS bytes OCTETS …`, below `chain NAME {`
fn of_nftables(listed: &str) -> Counters {
    let mut chain = "";
    let mut counters = Counters::new();
    for line in listed.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("chain ") {
            chain = rest.trim_end_matches(" {");
        }
        if let Some((before, after)) = line.split_once("counter packets ") {
            let mut words = after.split(' ');
            let packets = words.next().unwrap().parse().unwrap();
            let verdict: Vec<&str> = words.skip(2).collect();
            let rule = format!("{chain}: {before}{}", verdict.join(" "));
            counters.insert(rule, packets);
        }
    }
    counters
}

/// Asks over each path and looks whose counters have grown; all of `expected` must have.
fn check(
    mut driven: Driven,
    list: &str,
    read: impl Fn(&str) -> Counters,
    expected: &[(Path, &[&str])],
) {
    for (path, rules) in expected {
        let host = driven.mode.place().host().clone();
        let before = read(&host.ok(list));
        driven
            .probe(*path)
            .unwrap_or_else(|error| panic!("{path:?}: {error:#}"));
        let after = read(&host.ok(list));
        for rule in *rules {
            let grown = after
                .get(*rule)
                .unwrap_or_else(|| panic!("no rule `{rule}` in {after:#?}"));
            assert!(
                grown > &before[*rule],
                "{path:?} does not meet `{rule}`: {after:#?}"
            );
        }
    }
}

fn iptables(kind: Kind, list: &str) {
    const ESTABLISHED: &str =
        "-A FORWARD -o br-one -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT";
    const TRANSLATED: &str =
        "-A DOCKER -p tcp -m tcp --dport 20002 -j DNAT --to-destination 172.18.0.2:20002";
    let mode = Iptables::start(kind, &agent_binary().unwrap(), &ports(PORTS)).unwrap();
    let refused = mode.dial(Path::PublishedNetwork, last_port(PORTS));
    assert!(refused.unwrap_err().to_string().contains("drop"));
    check(
        driven(Box::new(mode)),
        list,
        of_iptables,
        &[
            (
                Path::SameNetwork,
                &[ESTABLISHED, "-A FORWARD -i br-one -o br-one -j ACCEPT"],
            ),
            (
                Path::PublishedOutside,
                &[
                    ESTABLISHED,
                    TRANSLATED,
                    "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
                    "-A DOCKER -d 172.18.0.2/32 ! -i br-one -o br-one -p tcp -m tcp --dport 20002 -j ACCEPT",
                ],
            ),
            (
                Path::Outwards,
                &[
                    ESTABLISHED,
                    "-A FORWARD -i br-one ! -o br-one -j ACCEPT",
                    "-A DOCKER-ISOLATION-STAGE-1 -i br-one ! -o br-one -j DOCKER-ISOLATION-STAGE-2",
                    "-A POSTROUTING -s 172.18.0.0/16 ! -o br-one -j MASQUERADE",
                ],
            ),
            (
                Path::PublishedLoopback,
                &[
                    TRANSLATED,
                    "-A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER",
                    "-A POSTROUTING -o br-one -m addrtype --src-type LOCAL -j MASQUERADE",
                ],
            ),
        ],
    );
}

#[test]
fn iptables_nft_rules_are_met() {
    iptables(Kind::Nft, "iptables-nft-save -c");
}

#[test]
fn iptables_legacy_rules_are_met() {
    iptables(Kind::Legacy, "iptables-legacy-save -c");
}

#[test]
fn nftables_rules_are_met() {
    const ESTABLISHED: &str = "forward: ct state established,related accept";
    const PUBLISHED: &[&str] = &[
        ESTABLISHED,
        "forward: ct status dnat accept",
        "prerouting: fib daddr type local jump published",
        "published: dnat ip to tcp dport map @tcp_ports",
        "published: dnat ip to udp dport map @udp_ports",
    ];
    let mode = Nftables::start(&agent_binary().unwrap(), &ports(PORTS), true).unwrap();
    check(
        driven(Box::new(mode)),
        "nft list table ip containers",
        of_nftables,
        &[
            (Path::SameNetwork, &[ESTABLISHED]),
            (Path::PublishedOutside, PUBLISHED),
            (Path::PublishedNetwork, PUBLISHED),
            (
                Path::Outwards,
                &[
                    ESTABLISHED,
                    "forward: iif @bridges oif != @bridges accept",
                    "postrouting: iif @bridges oif != @bridges masquerade",
                ],
            ),
            (
                Path::PublishedLoopback,
                &[
                    "output: fib daddr type local jump published",
                    "postrouting: oif @bridges fib saddr type local masquerade",
                ],
            ),
        ],
    );
}
