//! The files that a sandbox sees, against what Docker 20.10 was recorded to write.

use expect_test::{Expect, expect};

use super::{desired, host};
use crate::{
    model::sandbox::DnsSettings,
    state::{
        Request,
        request::SandboxSpec,
        tests::{create, network_with, sandbox},
    },
};

fn files(requests: &[Request], change: impl FnOnce(&mut crate::model::HostFacts)) -> String {
    let mut host = host(requests);
    change(&mut host.facts);
    let desired = desired(&host);
    let files = desired.files.values().next().expect("one sandbox");
    format!(
        "## /etc/resolv.conf\n{}## /etc/hosts\n{}## /etc/hostname\n{}",
        files.resolv_conf, files.hosts, files.hostname
    )
}

fn resolv_conf(
    spec: SandboxSpec,
    change: impl FnOnce(&mut crate::model::HostFacts),
    expected: Expect,
) {
    let text = files(
        &[network_with("app", "172.19.0.0/16"), create(spec)],
        change,
    );
    let text = text.strip_prefix("## /etc/resolv.conf\n").unwrap();
    expected.assert_eq(text.split("## /etc/hosts").next().unwrap());
}

#[test]
fn on_a_network_with_names() {
    let spec = SandboxSpec {
        id: format!("1184b8cf56e1{}", "0".repeat(52)).parse().ok(),
        ..sandbox("a1", &["app"])
    };
    let text = files(
        &[network_with("app", "172.19.0.0/16"), create(spec)],
        |_| (),
    );
    expect![[r#"
        ## /etc/resolv.conf
        search lab.example.test
        nameserver 127.0.0.11
        options ndots:1
        ## /etc/hosts
        127.0.0.1	localhost
        ::1	localhost ip6-localhost ip6-loopback
        fe00::0	ip6-localnet
        ff00::0	ip6-mcastprefix
        ff02::1	ip6-allnodes
        ff02::2	ip6-allrouters
        172.19.0.2	1184b8cf56e1
        ## /etc/hostname
        1184b8cf56e1
    "#]]
    .assert_eq(&text);
}

#[test]
fn on_the_default_network() {
    let spec = SandboxSpec {
        id: format!("5fa0e309e10c{}", "0".repeat(52)).parse().ok(),
        ..sandbox("web1", &[])
    };
    expect![[r#"
        ## /etc/resolv.conf
        nameserver 198.18.0.2
        search lab.example.test
        options ndots:1
        ## /etc/hosts
        127.0.0.1	localhost
        ::1	localhost ip6-localhost ip6-loopback
        fe00::0	ip6-localnet
        ff00::0	ip6-mcastprefix
        ff02::1	ip6-allnodes
        ff02::2	ip6-allrouters
        172.17.0.2	5fa0e309e10c
        ## /etc/hostname
        5fa0e309e10c
    "#]]
    .assert_eq(&files(&[create(spec)], |_| ()));
}

#[test]
fn without_a_network() {
    let spec = SandboxSpec {
        id: format!("1abbc71cbb03{}", "0".repeat(52)).parse().ok(),
        extra_hosts: vec![
            ("db".to_owned(), "192.0.2.7".parse().ok()),
            ("gw".to_owned(), None),
        ],
        ..sandbox("nn", &["none"])
    };
    expect![[r#"
        ## /etc/resolv.conf
        nameserver 198.18.0.2
        search lab.example.test
        options ndots:1
        ## /etc/hosts
        127.0.0.1	localhost
        ::1	localhost ip6-localhost ip6-loopback
        fe00::0	ip6-localnet
        ff00::0	ip6-mcastprefix
        ff02::1	ip6-allnodes
        ff02::2	ip6-allrouters
        192.0.2.7	db
        172.17.0.1	gw
        ## /etc/hostname
        1abbc71cbb03
    "#]]
    .assert_eq(&files(&[create(spec)], |_| ()));
}

#[test]
fn settings_stand_over_the_hosts() {
    let with =
        |networks: &[&str], servers: &[&str], search: &[&str], options: &[&str]| SandboxSpec {
            dns: DnsSettings {
                servers: servers.iter().map(|text| text.parse().unwrap()).collect(),
                search: search.iter().map(|text| text.to_string()).collect(),
                options: options.iter().map(|text| text.to_string()).collect(),
            },
            ..sandbox("a", networks)
        };
    resolv_conf(
        with(
            &["bridge"],
            &["203.0.113.10"],
            &["foo.test"],
            &["timeout:3"],
        ),
        |_| (),
        expect![[r#"
        search foo.test
        nameserver 203.0.113.10
        options timeout:3
    "#]],
    );
    resolv_conf(
        with(&["app"], &["1.2.3.4"], &["s.t"], &[]),
        |_| (),
        expect![[r#"
        search s.t
        nameserver 127.0.0.11
        options ndots:1
    "#]],
    );
    resolv_conf(
        with(&["app"], &[], &["."], &["timeout:3"]),
        |_| (),
        expect![[r#"
        nameserver 127.0.0.11
        options timeout:3 ndots:0
    "#]],
    );
}

#[test]
fn a_host_without_servers_of_use_gets_the_fallback() {
    resolv_conf(
        sandbox("a", &[]),
        |facts| facts.external_servers.clear(),
        expect![[r#"
            nameserver 8.8.8.8
            nameserver 8.8.4.4
            search lab.example.test
            options ndots:1
        "#]],
    );
    resolv_conf(
        sandbox("a", &["host"]),
        |facts| {
            facts.resolv_conf = Default::default();
            facts.resolv_conf.servers = vec!["127.0.0.53".parse().unwrap()];
            facts.external_servers.clear();
        },
        expect![[r#"
        nameserver 127.0.0.53
    "#]],
    );
}
