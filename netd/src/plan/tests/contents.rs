//! Links and map entries of a small host.

use expect_test::{Expect, expect};
use netd_common::{
    Addr,
    abi::{endpoint::flags, link::OpenRange, name::name_kind},
};
use std::net::IpAddr;

use super::{desired, host, place, readable};
use crate::{
    model::WireName,
    plan::{Desired, Entry, host::masquerade_ports, table::NameRecord},
    state::{
        Request,
        request::{EndpointSpec, NetworkSpec, SandboxSpec},
        tests::{Host, create, network, network_with, port, sandbox, subnet},
    },
};

fn small() -> Host {
    host(&[
        Request::NetworkCreate(NetworkSpec {
            ipv6: true,
            subnets: vec![subnet("10.7.0.0/24"), subnet("fd00:7::/64")],
            ..network("app")
        }),
        create(SandboxSpec {
            networks: vec![(
                "app".to_owned(),
                EndpointSpec {
                    aliases: vec!["db".parse().unwrap()],
                    ..EndpointSpec::default()
                },
            )],
            ports: vec![port(Some((8000, 8002)), (80, 82))],
            hostname: "web".parse().ok(),
            ..sandbox("web", &[])
        }),
    ])
}

fn check(host: &Host, lines: impl IntoIterator<Item = String>, expected: Expect) {
    let text: String = lines.into_iter().map(|line| line + "\n").collect();
    expected.assert_eq(&readable(host, &text));
}

#[test]
fn links() {
    let host = small();
    let desired = desired(&host);
    let lines = desired.links.iter().map(|((where_, name), link)| {
        let addresses: Vec<String> = link.addresses.iter().map(|a| a.to_string()).collect();
        let routes: Vec<String> = link
            .routes
            .iter()
            .map(|route| {
                let kind = if route.local { "local " } else { "" };
                let via = route.via.map_or(String::new(), |via| format!(" via {via}"));
                format!("{kind}{}{via}", route.destination)
            })
            .collect();
        let master = link
            .master
            .as_ref()
            .map_or(String::new(), |bridge| format!(" in {bridge}"));
        format!(
            "{} {name}{master} [{}] [{}]",
            place(where_),
            addresses.join(" "),
            routes.join(", ")
        )
    });
    check(
        &host,
        lines,
        expect![[r#"
        host <br-app> [10.7.0.1/24 fd00:7::1/64] []
        host <web@app> in <br-app> [] []
        host netd-dns [] []
        host netd0 [172.17.0.1/16] []
        inside eth0 [10.7.0.2/24 fd00:7::2/64] [0.0.0.0/0 via 10.7.0.1, ::/0 via fd00:7::1]
        resolver eth0 [169.254.53.2/30 fd6e:6574:6400::2/64] [0.0.0.0/0 via 169.254.53.1, ::/0 via fd6e:6574:6400::1]
        resolver lo [] [local 0.0.0.0/0, local ::/0]
    "#]],
    );
    let neighbours = desired
        .neighbours
        .iter()
        .map(|((where_, link, address), mac)| format!("{} {link} {address} {mac}", place(where_)));
    check(
        &host,
        neighbours,
        expect![[r#"
        host <br-app> 10.7.0.2 02:42:0a:07:00:02
        host <br-app> fd00:7::2 02:42:0a:07:00:02
        resolver eth0 169.254.53.1 02:42:64:6e:73:02
        resolver eth0 fd6e:6574:6400::1 02:42:64:6e:73:02
    "#]],
    );
    let sysctls = desired
        .sysctls
        .iter()
        .map(|((where_, key), value)| format!("{} {key}={value}", place(where_)));
    check(
        &host,
        sysctls,
        expect![[r#"
            host net/ipv4/conf/<br-app>/forwarding=1
            host net/ipv4/conf/netd0/forwarding=1
            host net/ipv4/ip_local_reserved_ports=
            host net/ipv6/conf/<br-app>/accept_ra=0
            host net/ipv6/conf/<br-app>/forwarding=1
            inside net/ipv6/conf/eth0/disable_ipv6=0
            resolver net/ipv4/conf/all/rp_filter=0
            resolver net/ipv4/conf/eth0/accept_local=1
            resolver net/ipv4/conf/eth0/rp_filter=0
        "#]],
    );
    let attachments = desired
        .attachments
        .iter()
        .map(|attachment| format!("{attachment:?}"));
    check(
        &host,
        attachments,
        expect![[r#"
        Tc { link: IfName("<web@app>"), hook: Ingress, program: FromEndpoint }
        Tc { link: IfName("<web@app>"), hook: Egress, program: ToEndpoint }
        Tc { link: IfName("netd-dns"), hook: Ingress, program: FromEndpoint }
        Tc { link: IfName("up0"), hook: Ingress, program: FromUplink }
        Tc { link: IfName("up0"), hook: Egress, program: ToUplink }
        Cgroup(SockConnect4)
        Cgroup(SockSendmsg4)
        Cgroup(SockRecvmsg4)
        Cgroup(SockGetpeername4)
        Cgroup(SockConnect6)
        Cgroup(SockRecvmsg6)
        Cgroup(SockGetpeername6)
        Cgroup(SockSendmsg6)
        Cgroup(SockPostBind4)
        Cgroup(SockPostBind6)
        Tracepoint(RedirectFailed)
    "#]],
    );
}

fn shown(addr: Addr) -> String {
    if addr == Addr::NONE {
        "-".to_owned()
    } else {
        IpAddr::from(addr).to_string()
    }
}

pub(super) fn entry(entry: &Entry) -> String {
    let pair = |addresses: [Addr; 2]| addresses.map(shown).join(" ");
    match entry {
        Entry::Endpoint(key, value) => format!(
            "ENDPOINTS {} {} -> #{} ifindex {}",
            key.network,
            shown(key.address),
            value.index,
            value.ifindex
        ),
        Entry::Interface(ifindex, value) => format!(
            "INTERFACES {ifindex} -> #{} in {} sandbox {} bridge {} flags {:#x} mtu {} {} via {}",
            value.index,
            value.network,
            value.sandbox,
            value.bridge,
            value.flags,
            value.mtu,
            pair(value.addresses),
            pair(value.gateways)
        ),
        Entry::EndpointStats(index) => format!("ENDPOINT_STATS {index}"),
        Entry::Subnet(bits, address, value) => format!(
            "SUBNETS {}/{bits} -> {} flags {:#x}",
            shown(*address),
            value.network,
            value.flags
        ),
        Entry::HostAddress(address, value) => format!(
            "HOST_ADDRESSES {} -> ifindex {} network {}",
            shown(*address),
            value.ifindex,
            value.network
        ),
        Entry::Uplink(ifindex, value) => format!(
            "UPLINKS {ifindex} -> {} mtu {} flags {}",
            pair(value.addresses),
            value.mtu,
            value.flags
        ),
        Entry::Trusted(key) => format!("TRUSTED network {} if{}", key.network, key.ifindex),
        Entry::Config(value) => format!(
            "CONFIG ports {:?} resolver {} epoch {}",
            value.ports, value.resolver_ifindex, value.epoch
        ),
        Entry::Port(bits, key, value) => format!(
            "PORTS {} {} {}/{bits} -> #{} {} first {} target {}",
            key.protocol,
            shown(key.address),
            u16::from_be_bytes(key.port),
            value.endpoint,
            shown(value.address),
            u16::from_be_bytes(value.first),
            u16::from_be_bytes(value.target)
        ),
        Entry::Link(key, value) => {
            let used = value.ranges.iter().take_while(|range| range.protocol != 0);
            let range = |range: &OpenRange| {
                let side = ["", " answers"][usize::from(range.side)];
                format!("{}-{}/{}{side}", range.first, range.last, range.protocol)
            };
            let ranges: Vec<String> = used.map(range).collect();
            format!(
                "LINKS #{} to #{} -> {}",
                key.from,
                key.to,
                ranges.join(", ")
            )
        }
        Entry::Name(key, value) => {
            let (name, _) = WireName::read(&key.name).unwrap();
            let addresses = value.v4[..value.count_v4.into()]
                .iter()
                .map(|v4| IpAddr::from(*v4))
                .chain(
                    value.v6[..value.count_v6.into()]
                        .iter()
                        .map(|v6| IpAddr::from(*v6)),
                );
            let addresses: Vec<String> = addresses.map(|address| address.to_string()).collect();
            let target =
                WireName::read(&value.target).map_or(String::new(), |(name, _)| name.to_string());
            format!(
                "NAMES {} {name} -> kind {} {} {target}",
                key.scope,
                value.kind,
                addresses.join(" ")
            )
        }
        Entry::Scopes(sandbox, value) => format!(
            "SCOPES {sandbox} -> {:?}",
            &value.scopes[..value.count as usize]
        ),
        Entry::Resolver(cookie, value) => format!(
            "RESOLVERS {cookie} -> sandbox {} {}:{}",
            value.sandbox,
            IpAddr::from(value.address),
            u16::from_be_bytes(value.port)
        ),
    }
}

#[test]
fn entries() {
    let host = small();
    check(
        &host,
        desired(&host).entries.values().map(entry),
        expect![[r#"
            ENDPOINTS 4 10.7.0.2 -> #1 ifindex 101
            ENDPOINTS 4 fd00:7::2 -> #1 ifindex 101
            INTERFACES 101 -> #1 in 4 sandbox 1 bridge 100 flags 0x3b mtu 1500 10.7.0.2 fd00:7::2 via 10.7.0.1 fd00:7::1
            INTERFACES 102 -> #0 in 0 sandbox 0 bridge 0 flags 0x41 mtu 1500 - - via - -
            ENDPOINT_STATS 0
            ENDPOINT_STATS 1
            SUBNETS fd00:7::/64 -> 4 flags 0xa
            SUBNETS 172.17.0.0/112 -> 3 flags 0xa
            SUBNETS 10.7.0.0/120 -> 4 flags 0xa
            HOST_ADDRESSES ::1 -> ifindex 1 network 0
            HOST_ADDRESSES 10.7.0.1 -> ifindex 100 network 4
            HOST_ADDRESSES 172.17.0.1 -> ifindex 103 network 3
            HOST_ADDRESSES fd00:7::1 -> ifindex 100 network 4
            UPLINKS 2 -> 198.18.0.1 - mtu 1400 flags 0
            CONFIG ports [[1024, 32767], [61000, 65535]] resolver 102 epoch 1
            PORTS 6 - 8000/159 -> #1 fd00:7::2 first 8000 target 80
            PORTS 6 0.0.0.0 8000/159 -> #1 10.7.0.2 first 8000 target 80
            PORTS 6 - 8002/160 -> #1 fd00:7::2 first 8000 target 80
            PORTS 6 0.0.0.0 8002/160 -> #1 10.7.0.2 first 8000 target 80
            NAMES 8 2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.7.0.0.0.0.0.d.f.ip6.arpa. -> kind 2  web.app.
            NAMES 8 2.0.7.10.in-addr.arpa. -> kind 2  web.app.
            NAMES 8 db. -> kind 1 10.7.0.2 fd00:7::2 .
            NAMES 8 db.app. -> kind 1 10.7.0.2 fd00:7::2 .
            NAMES 8 web. -> kind 1 10.7.0.2 fd00:7::2 .
            NAMES 8 web.app. -> kind 1 10.7.0.2 fd00:7::2 .
            NAMES 8 <web>. -> kind 1 10.7.0.2 fd00:7::2 .
            NAMES 8 <web>.app. -> kind 1 10.7.0.2 fd00:7::2 .
            SCOPES 1 -> [8]
            RESOLVERS 7000 -> sandbox 1 10.7.0.1:10053
        "#]],
    );
}

/// Flags of the one endpoint of a sandbox.
fn flags_of(desired: &Desired, index: u32) -> u32 {
    let mut values = desired.entries.values().filter_map(|entry| match entry {
        Entry::Interface(_, value) if value.index == index => Some(value.flags),
        _ => None,
    });
    values.next().expect("an interface")
}

#[test]
fn flags_say_what_networks_and_ports_are() {
    let spec = |name: &str, internal| NetworkSpec {
        internal,
        ..network(name)
    };
    let host = host(&[
        Request::NetworkCreate(spec("open", false)),
        Request::NetworkCreate(spec("shut", true)),
        create(SandboxSpec {
            ports: vec![port(None, (80, 80))],
            ..sandbox("a", &["open", "shut"])
        }),
        create(sandbox("b", &[])),
    ]);
    let desired = desired(&host);
    let common = flags::UP | flags::ICC | flags::MASQUERADE;
    assert_eq!(
        flags_of(&desired, 1),
        common | flags::PUBLISHES | flags::RESOLVER
    );
    assert_eq!(
        flags_of(&desired, 2),
        common | flags::INTERNAL | flags::RESOLVER
    );
    assert_eq!(flags_of(&desired, 3), common);
}

#[test]
fn a_name_of_many_is_the_agents() {
    let mut requests = vec![network_with("app", "10.7.0.0/24")];
    for i in 0..9 {
        requests.push(create(SandboxSpec {
            networks: vec![(
                "app".to_owned(),
                EndpointSpec {
                    aliases: vec!["all".parse().unwrap()],
                    ..EndpointSpec::default()
                },
            )],
            ..sandbox(&format!("s{i}"), &[])
        }));
    }
    for (count, kind) in [(8, name_kind::HOST), (9, name_kind::AGENT)] {
        let host = host(&requests[..=count]);
        let desired = desired(&host);
        let name: WireName = "all".parse().unwrap();
        let found = desired.entries.values().find_map(|entry| match entry {
            Entry::Name(key, value) if Some(*key) == name.key(key.scope) => {
                Some((key.scope, value))
            }
            _ => None,
        });
        let (scope, value) = found.expect("it is in the map");
        assert_eq!(value.kind, kind);
        let Some(NameRecord::Host { v4, .. }) = desired.names.get(&(scope, name)) else {
            panic!("not in the table")
        };
        assert_eq!(v4.len(), count, "the agent knows all");
    }
}

#[test]
fn masquerade_ports_leave_out_what_the_host_picks() {
    let ports = |low, high| {
        let facts = crate::model::HostFacts {
            local_ports: (low, high),
            ..Default::default()
        };
        masquerade_ports(&facts)
    };
    assert_eq!(ports(32_768, 60_999), [[1024, 32_767], [61_000, 65_535]]);
    assert_eq!(ports(1024, 65_535), [[1, 0], [1, 0]]);
    assert_eq!(ports(1, 100), [[1, 0], [1024, 65_535]]);
    assert_eq!(ports(50_000, 65_535), [[1024, 49_999], [1, 0]]);
}
