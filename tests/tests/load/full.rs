//! Every map that can be full, full. What a command needs of the agent's is refused with the map's name,
//! and nothing of it is left; what the programs write of their own is a counted drop, or makes room.
//! (The ring of drop events is `drop_events.rs`'s.)

use std::net::IpAddr;

use netd_common::{
    Addr,
    abi::{
        drops::{DropCount, DropKey},
        endpoint::{Endpoint, EndpointKey, EndpointStats, Subnet, TrustedKey},
        flow::{Flow, FlowKey, flow_flags},
        fragment::{FragmentKey, Fragments},
        host::{HostAddress, Uplink},
        link::{LinkKey, OpenPorts},
        maps,
        name::{Name, NameKey, Resolver, Scopes},
        port::{Port, PortKey},
        socket::{Dialled, DialledKey},
    },
    limits,
    packet::testing::Payload,
};
use netd_tests::lab::{App, EchoServer, Lab, Traffic, addresses::*, asks, tcp_exchange};

use crate::{
    PORT, SOON, at, is_well,
    junk::{Job, Shape, hash, junk, per_cpu, trie},
    shots::{Gun, packet},
};

/// How often a map is filled again, where the agent's walk over everything found the entries first.
const TRIES: u32 = 5;
const ENDPOINT: usize = size_of::<Endpoint>();

/// What a refused command may not change: objects, links, namespaces, files.
fn traces(lab: &Lab) -> [String; 4] {
    [
        lab.netd("network ls -q --no-trunc"),
        lab.netd("sandbox ls -q --no-trunc"),
        lab.host().ok("sh -c 'ip -o link show | cut -d: -f2'"),
        lab.host().ok("sh -c 'ls /run/netd /run/netd/netns'"),
    ]
}

#[test]
fn a_command_that_finds_no_room_is_refused_and_leaves_nothing() {
    let app = App::start("full-agent");
    let lab = &app.lab;
    const DRIVER: &str = "com.docker.network.bridge";
    let (sandbox, gone) = ("sandbox create --name x --network app", "sandbox rm -f x");
    let published = "sandbox create --name x --network app -p 9000:80";
    let trusted = format!("network create --opt {DRIVER}.trusted_host_interfaces=eth0 x");
    let cases: [(&str, Shape, &str, &str); 8] = [
        (
            maps::ENDPOINTS,
            hash::<{ size_of::<EndpointKey>() }, ENDPOINT>,
            sandbox,
            gone,
        ),
        (maps::INTERFACES, hash::<4, ENDPOINT>, sandbox, gone),
        (
            maps::ENDPOINT_STATS,
            per_cpu::<4, { size_of::<EndpointStats>() }>,
            sandbox,
            gone,
        ),
        (
            maps::SCOPES,
            hash::<4, { size_of::<Scopes>() }>,
            sandbox,
            gone,
        ),
        (
            maps::RESOLVERS,
            hash::<8, { size_of::<Resolver>() }>,
            sandbox,
            gone,
        ),
        (
            maps::PORTS,
            trie::<{ size_of::<PortKey>() }, { size_of::<Port>() }>,
            published,
            gone,
        ),
        (
            maps::SUBNETS,
            trie::<16, { size_of::<Subnet>() }>,
            "network create x",
            "network rm x",
        ),
        (
            maps::TRUSTED,
            hash::<{ size_of::<TrustedKey>() }, 4>,
            &trusted,
            "network rm x",
        ),
    ];
    for (map, shape, command, undo) in cases {
        is_refused(lab, map, shape, command, undo);
    }
    is_well(&app.agent);
}

/// The same of a link, which opens ports on the default network alone.
#[test]
fn a_link_that_finds_no_room_is_refused_and_leaves_nothing() {
    let lab = Lab::new("full-links");
    let agent = lab.agent("--icc=false");
    lab.netd("sandbox create --name served --expose 80");
    let shape: Shape = hash::<{ size_of::<LinkKey>() }, { size_of::<OpenPorts>() }>;
    let linked = "sandbox create --name x --link served:s";
    is_refused(&lab, maps::LINKS, shape, linked, "sandbox rm -f x");
    is_well(&agent);
}

/// With the map full the command is refused and nothing is left; with room it succeeds, and is undone.
#[track_caller]
fn is_refused(lab: &Lab, map: &str, shape: Shape, command: &str, undo: &str) {
    let before = traces(lab);
    let refused = (0..TRIES).any(|_| {
        junk(lab, map, shape, Job::Fill);
        let finished = lab.host().run(&format!("netd {command}")).expect("netd");
        if finished.succeeded() {
            lab.netd(undo);
            return false;
        }
        assert_eq!(finished.stdout, "", "{map}");
        let told = format!("map {map} is full");
        assert!(
            finished.stderr.contains(&told),
            "{map}: {}",
            finished.describe()
        );
        true
    });
    assert!(refused, "{map}: `{command}` was never refused");
    assert_eq!(traces(lab), before, "{map}");
    junk(lab, map, shape, Job::Empty);
    lab.netd(command);
    lab.netd(undo);
    assert_eq!(traces(lab), before, "{map}");
}

/// Names that find no room in the map are the agent's to answer.
#[test]
fn names_resolve_with_their_map_full() {
    let app = App::start("full-names");
    let lab = &app.lab;
    junk(
        lab,
        maps::NAMES,
        hash::<{ size_of::<NameKey>() }, { size_of::<Name>() }>,
        Job::Fill,
    );
    lab.netd("sandbox create --name late --network app");
    let address = lab.address("late", "app").to_string();
    let found = lab.host().ok("netd exec client -- getent ahosts late");
    assert!(found.contains(&address), "{found}");
    is_well(&app.agent);
}

/// What the host does is not refused: it is followed as soon as there is room.
#[test]
fn the_hosts_changes_are_followed_when_there_is_room_again() {
    let app = App::start("full-host");
    let lab = &app.lab;
    let (host, outside) = (lab.host(), lab.outside());
    let address: Shape = hash::<16, { size_of::<HostAddress>() }>;
    let uplink: Shape = hash::<4, { size_of::<Uplink>() }>;
    junk(lab, maps::HOST_ADDRESSES, address, Job::Fill);
    junk(lab, maps::UPLINKS, uplink, Job::Fill);
    // A second way to the outside, with an address behind it.
    let there = outside.path();
    host.ok(&format!(
        "ip link add eth1 type veth peer name eth1 netns {}",
        there.display()
    ));
    for (namespace, own) in [(host, "198.19.0.2/24"), (outside, "198.19.0.1/24")] {
        namespace.ok("ip link set eth1 up");
        namespace.ok(&format!("ip addr add {own} dev eth1"));
    }
    lab.wait_until("the agent says that it is full", SOON, || {
        app.agent.log().contains("is full")
    });
    junk(lab, maps::HOST_ADDRESSES, address, Job::Empty);
    junk(lab, maps::UPLINKS, uplink, Job::Empty);
    let _server = EchoServer::start(outside, PORT);
    let limit = std::time::Duration::from_secs(1);
    lab.wait_until("the new way is used", SOON, || {
        let seen = tcp_exchange(&app.client, at("198.19.0.1", PORT), limit);
        seen.is_ok_and(|seen| seen.ip().to_string() == "198.19.0.2")
    });
    is_well(&app.agent);
}

/// A full table of established flows: those go on, new ones are counted drops, until there is room.
#[test]
fn a_full_flow_table_refuses_new_flows_and_keeps_what_it_has() {
    let app = App::with("full-flows", "", "-p 8080:7000");
    let lab = &app.lab;
    let _servers = [
        EchoServer::start(&app.web, PORT),
        EchoServer::start(lab.outside(), PORT),
    ];
    let traffic = [
        Traffic::tcp(&app.client, at(PUBLIC, PORT)).expect("TCP"),
        Traffic::tcp(lab.outside(), at(HOST, 8080)).expect("TCP"),
        Traffic::udp(&app.client, at(PUBLIC, PORT)).expect("UDP"),
    ];
    traffic.iter().for_each(|traffic| traffic.flows_on(5));
    let filled = junk(lab, maps::FLOWS, flows, Job::Fill);
    assert!(filled > limits::MAX_FLOWS - 1_000, "{filled}");
    let short = std::time::Duration::from_secs(1);
    for (from, to) in [
        (&app.client, at(PUBLIC, PORT)),
        (lab.outside(), at(HOST, 8080)),
    ] {
        let before = lab.drops("flow-table-full");
        tcp_exchange(from, to, short).expect_err("there is no room");
        assert!(
            lab.drops("flow-table-full") > before,
            "{}",
            lab.netd("drops")
        );
    }
    traffic.iter().for_each(|traffic| traffic.flows_on(20));
    junk(lab, maps::FLOWS, flows, Job::Empty);
    tcp_exchange(&app.client, at(PUBLIC, PORT), SOON).expect("there is room again");
    tcp_exchange(lab.outside(), at(HOST, 8080), SOON).expect("there is room again");
    for traffic in traffic {
        traffic.end();
    }
    is_well(&app.agent);
}

/// Established flows of nobody that are not over yet.
fn flows(map: aya::maps::Map, room: u32, job: Job) -> u32 {
    const KEY: usize = size_of::<FlowKey>();
    const FLOW: usize = size_of::<Flow>();
    let mut map: aya::maps::HashMap<_, [u8; KEY], [u8; FLOW]> =
        aya::maps::HashMap::try_from(map).expect("its types");
    let clock = nix::time::ClockId::CLOCK_MONOTONIC;
    let now = nix::time::clock_gettime(clock).expect("a clock");
    let flow = Flow {
        source: Addr::v4([192, 0, 2, 1]),
        destination: Addr::v4([192, 0, 2, 2]),
        flags: flow_flags::ESTABLISHED | flow_flags::ORIGINAL,
        last_seen: now.tv_sec() as u64 * 1_000_000_000,
        ..Flow::default()
    };
    let mut count = 0;
    for number in 0..room {
        let key = FlowKey {
            zone: u32::MAX,
            source: Addr::v4(number.to_be_bytes()),
            destination: flow.source,
            protocol: 17,
            ..FlowKey::default()
        };
        let key = netd_tests::bpf::raw(&key);
        let done = match job {
            Job::Fill => map.insert(key, netd_tests::bpf::raw::<FLOW>(&flow), 0),
            Job::Empty => map.remove(&key),
        };
        count += u32::from(done.is_ok());
        if done.is_err() && job == Job::Fill {
            break;
        }
    }
    count
}

/// Maps that make room by themselves, and those whose absence costs a number and nothing else.
#[test]
fn packets_go_on_with_the_programs_own_maps_full() {
    let app = App::with("full-programs", "", "-p 8080:7000/tcp -p 8080:7000/udp");
    let lab = &app.lab;
    let _servers = [
        EchoServer::start(&app.web, PORT),
        EchoServer::start(lab.outside(), PORT),
    ];
    let cases: [(&str, Shape); 7] = [
        (
            maps::NEW_FLOWS,
            hash::<{ size_of::<FlowKey>() }, { size_of::<Flow>() }>,
        ),
        (maps::FLOW_COUNTS, hash::<4, 8>),
        (maps::FLOWS_COLLECTED, hash::<4, 8>),
        (
            maps::FRAGMENTS,
            hash::<{ size_of::<FragmentKey>() }, { size_of::<Fragments>() }>,
        ),
        (
            maps::DIALLED,
            hash::<{ size_of::<DialledKey>() }, { size_of::<Dialled>() }>,
        ),
        (
            maps::DROPS,
            per_cpu::<{ size_of::<DropKey>() }, { size_of::<DropCount>() }>,
        ),
        (
            maps::ENDPOINT_STATS,
            per_cpu::<4, { size_of::<EndpointStats>() }>,
        ),
    ];
    let large = [0x6e; 3_000];
    for (map, shape) in cases {
        junk(lab, map, shape, Job::Fill);
        for (from, to) in [
            (&app.client, at(PUBLIC, PORT)),
            (lab.outside(), at(HOST, 8080)),
            (lab.host(), at("127.0.0.1", 8080)),
        ] {
            asks(from, to);
        }
        // In fragments.
        let socket = app.client.udp_bind(at("0.0.0.0", 0)).expect("a socket");
        socket.set_read_timeout(Some(SOON)).expect("a limit");
        socket.send_to(&large, (PUBLIC, PORT)).expect("sent");
        let (length, _) = socket.recv_from(&mut [0; 4_000]).unwrap_or_else(|error| {
            panic!(
                "{map}: no answer to a large datagram: {error}\n{}",
                lab.netd("drops")
            )
        });
        assert!(length > large.len(), "{map}");
        junk(lab, map, shape, Job::Empty);
    }
    is_well(&app.agent);
}

/// Fragments that wait for the first of their datagram, more than may.
#[test]
fn more_fragments_than_may_wait_are_counted() {
    let app = App::start("full-parked");
    let lab = &app.lab;
    let source = lab.address("client", "app");
    let gun = Gun::of(&app.client);
    let fragment = |number: u16| {
        let to: IpAddr = PUBLIC.parse().expect("an address");
        let mut packet = packet(source, to, Payload::Other(17, vec![0x6e; 64]));
        packet[4..6].copy_from_slice(&number.to_be_bytes());
        // The second piece: more fragments follow, from octet 800 on.
        packet[6..8].copy_from_slice(&(0x2000_u16 | 100).to_be_bytes());
        packet
    };
    let packets: Vec<Vec<u8>> = (0..4 * limits::MAX_PARKED as u16).map(fragment).collect();
    lab.wait_until("more come in a second than have room", SOON, || {
        packets.iter().for_each(|packet| gun.shoot(packet));
        lab.drops("fragment-overflow") > 0
    });
    is_well(&app.agent);
}
