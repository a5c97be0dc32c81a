//! Journey 7 and hostile packets: what comes from outside without being asked for, and what a
//! sandbox pretends to be. Each is a counted drop, and everything else goes on.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use netd_common::packet::testing::{Frame, Payload};
use netd_tests::lab::{
    App, Capture, EXPERIMENTAL, EchoServer, Namespace, addresses::*, ethernet, is_kept_from,
    octets, reaches,
};

const PORT: u16 = 7000;
const LIMIT: Duration = Duration::from_secs(10);

fn ip(address: &str) -> IpAddr {
    address.parse().expect("an address")
}

#[test]
fn a_neighbour_with_a_route_does_not_get_in() {
    let app = App::start("direct");
    let lab = &app.lab;
    // Another program on the host has made it a router.
    lab.host()
        .sysctl("net.ipv4.ip_forward", "1")
        .expect("sysctl");
    lab.host()
        .sysctl("net.ipv6.conf.all.forwarding", "1")
        .expect("sysctl");
    let _server = EchoServer::start(&app.web, PORT);
    let (web, web6) = (lab.address("web", "app"), lab.address6("web", "app"));
    lab.attacker()
        .ok(&format!("ip route add {web}/32 via {HOST}"));
    lab.attacker()
        .ok(&format!("ip -6 route add {web6}/128 via {HOST6}"));
    is_kept_from(lab.attacker(), web, PORT);
    is_kept_from(lab.attacker(), web6, PORT);
    // Nor to the gateway's address, where a server of the host listens.
    let _host = EchoServer::start(lab.host(), PORT);
    let gateways = [lab.gateway("web", "app"), lab.gateway6("web", "app")];
    for (gateway, via) in gateways.into_iter().zip([HOST, HOST6]) {
        lab.attacker()
            .ok(&format!("ip route add {gateway} via {via}"));
        is_kept_from(lab.attacker(), gateway, PORT);
    }
    assert!(lab.drops("direct-routing") >= 12, "{}", lab.netd("drops"));
    // Neither does forwarding of others' break what is ours.
    assert_eq!(
        reaches(&app.client, web, PORT),
        lab.address("client", "app")
    );
    let _outside = EchoServer::start(lab.outside(), PORT);
    assert_eq!(reaches(&app.client, ip(PUBLIC), PORT), ip(HOST));
    assert_eq!(reaches(&app.client, ip(PUBLIC6), PORT), ip(HOST6));
}

#[test]
fn the_host_stays_no_router() {
    let app = App::start("router");
    let lab = &app.lab;
    let _server = EchoServer::start(lab.outside(), PORT);
    // A neighbour that wants to use the host as its gateway.
    lab.attacker()
        .ok(&format!("ip route replace {PUBLIC}/32 via {HOST}"));
    is_kept_from(lab.attacker(), ip(PUBLIC), PORT);
    assert_eq!(
        lab.host()
            .read_sysctl("net.ipv4.ip_forward")
            .expect("sysctl"),
        "0"
    );
    reaches(&app.client, ip(PUBLIC), PORT);
}

#[test]
fn loopback_from_the_wire_is_dropped() {
    let ports = "-p 8080:7000/udp -p 127.0.0.1:8090:7000/udp -p [::1]:8090:7000/udp";
    let app = App::with("martian", "", ports);
    let lab = &app.lab;
    // The host would take it: what a careless administrator may have set.
    lab.host()
        .sysctl("net.ipv4.conf.all.route_localnet", "1")
        .expect("sysctl");
    let server = EchoServer::start(lab.host(), PORT);
    lab.attacker()
        .sysctl("net.ipv4.conf.all.route_localnet", "1")
        .expect("sysctl");
    lab.attacker()
        .ok("ip route del local 127.0.0.0/8 table local");
    lab.attacker()
        .ok(&format!("ip route add 127.0.0.5/32 via {HOST}"));
    lab.attacker().fails("ping -n -c 1 -W 0.7 127.0.0.5");
    assert!(lab.drops("loopback-address") > 0, "{}", lab.netd("drops"));
    drop(server);
    // By frames that no stack sends, also to ports that are published there.
    let received = Capture::start(&app.web, "eth0", "udp").expect("tcpdump");
    let before = lab.drops("loopback-address");
    let mut sent = 0;
    for (namespace, own, own6) in [
        (lab.attacker(), ATTACKER, ATTACKER6),
        (lab.outside(), OUTSIDE, OUTSIDE6),
    ] {
        for (from, to) in [
            (own, "127.0.0.1"),
            (own6, "::1"),
            ("127.0.0.1", HOST),
            ("::1", HOST6),
        ] {
            for port in [8080, 8090] {
                let frame = Frame {
                    to: octets(&lab.host().mac("eth0")),
                    from: octets(&namespace.mac("eth0")),
                    source: ip(from).into(),
                    destination: ip(to).into(),
                    hops: 64,
                    payload: Payload::Udp(5_353, port, b"from afar".to_vec()),
                };
                namespace.send_frame("eth0", &frame.bytes()).expect("sent");
                sent += 1;
            }
        }
    }
    lab.wait_until("all are dropped", LIMIT, || {
        lab.drops("loopback-address") == before + sent
    });
    assert_eq!(received.stop().expect("the capture").trim(), "");
}

#[test]
fn a_sandbox_with_a_foreign_address_is_not_heard() {
    let app = App::start("spoof");
    let lab = &app.lab;
    let _web = EchoServer::start(&app.web, PORT);
    let (web, web6) = (lab.address("web", "app"), lab.address6("web", "app"));
    reaches(&app.client, web, PORT);
    let capture = Capture::start(&app.web, "eth0", "icmp or icmp6").expect("tcpdump");
    app.client.ok("ip address add 198.51.100.7/32 dev eth0");
    app.client
        .ok("ip address add 2001:db8:bad::7/128 dev eth0 nodad");
    for (own, to) in [
        ("198.51.100.7", web),
        ("2001:db8:bad::7", web6),
        ("198.51.100.7", ip(PUBLIC)),
        ("2001:db8:bad::7", ip(PUBLIC6)),
    ] {
        app.client
            .fails(&format!("ping -n -c 1 -W 0.7 -I {own} {to}"));
    }
    let text = capture.stop().expect("the capture");
    assert!(!text.contains("echo request"), "{text}");
    assert!(lab.drops("spoofed-address") >= 4, "{}", lab.netd("drops"));
    // With its own address it is still heard.
    reaches(&app.client, web, PORT);
}

#[test]
fn a_sandbox_with_a_foreign_mac_is_not_heard() {
    let app = App::start("spoof-mac");
    let lab = &app.lab;
    let _web = EchoServer::start(&app.web, PORT);
    let web = lab.address("web", "app");
    reaches(&app.client, web, PORT);
    let before = lab.drops("spoofed-mac");
    let target = lab.mac("web", "app");
    app.client
        .send_frame(
            "eth0",
            &ethernet(&target, "02:00:00:00:be:ef", EXPERIMENTAL),
        )
        .expect("a frame");
    app.client
        .send_frame("eth0", &ethernet(&target, "02:00:00:00:be:ef", 0x0800))
        .expect("a frame");
    assert!(
        lab.drops("spoofed-mac") >= before + 2,
        "{}",
        lab.netd("drops")
    );
    reaches(&app.client, web, PORT);
}

/// An ICMPv6 message of a container to all nodes, in an Ethernet frame; `wrapped` puts a header in
/// front of it: its protocol and itself, but for what comes next.
fn to_all_nodes(mac: &str, kind: u8, rest: &[u8], wrapped: Option<(u8, [u8; 7])>) -> Vec<u8> {
    let own = octets(mac);
    let [a, b, c, d, e, f] = own.map(u16::from);
    let link_local = Ipv6Addr::new(
        0xfe80,
        0,
        0,
        0,
        (a ^ 2) << 8 | b,
        c << 8 | 0xff,
        0xfe00 | d,
        e << 8 | f,
    );
    let plain = Frame {
        to: [0x33, 0x33, 0, 0, 0, 1],
        from: own,
        source: IpAddr::V6(link_local).into(),
        destination: ip("ff02::1").into(),
        hops: 255,
        payload: Payload::Icmp(kind, rest.to_vec()),
    };
    let bytes = plain.bytes();
    let Some((protocol, header)) = wrapped else {
        return bytes;
    };
    // The checksum stays: its pseudo header knows the last protocol alone.
    let message = &bytes[54..];
    let payload = [&[58], &header[..], message].concat();
    let payload = Payload::Other(protocol, payload);
    Frame { payload, ..plain }.bytes()
}

#[test]
fn a_sandbox_cannot_pretend_to_be_the_gateway() {
    let app = App::start("rogue");
    let (lab, web, client) = (&app.lab, &app.web, &app.client);
    // A client that would believe it.
    client
        .sysctl("net.ipv6.conf.eth0.accept_ra", "2")
        .expect("sysctl");
    client
        .sysctl("net.ipv4.conf.eth0.arp_accept", "1")
        .expect("sysctl");
    let (gateway, gateway6) = (lab.gateway("client", "app"), lab.gateway6("client", "app"));
    for to in [gateway, gateway6] {
        client.ok(&format!("ping -n -c 1 -W 5 {to}"));
    }
    // Without the states, which change by themselves.
    let neighbours = || {
        let shown = client.ok("ip -o neigh show dev eth0");
        let entries = shown.lines().map(|line| {
            let words: Vec<&str> = line.split_whitespace().take(3).collect();
            words.join(" ")
        });
        entries.collect::<BTreeSet<String>>()
    };
    let known = neighbours();
    let gateways_mac = known
        .iter()
        .find(|entry| entry.starts_with(&gateway.to_string()));
    assert!(gateways_mac.is_some(), "{known:?}");
    let mac = lab.mac("web", "app");
    let own = octets(&mac);
    let filter = format!("'ether src {mac} and (arp or icmp6)'");
    let received = Capture::start(client, "eth0", &filter).expect("tcpdump");
    let before =
        ["router-advertisement", "arp", "neighbor-discovery"].map(|reason| lab.drops(reason));

    // A router for half an hour, with a prefix to take addresses from.
    let mut router = vec![64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    router.extend([3, 4, 64, 0xc0, 0, 0, 0x70, 8, 0, 0, 0x70, 8, 0, 0, 0, 0]);
    router.extend(Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 0).octets());
    for wrapped in [
        None,
        // Destination options: six octets of padding.
        Some((60, [0, 1, 4, 0, 0, 0, 0])),
        // A fragment that is the whole.
        Some((44, [0, 0, 0, 0, 0, 0, 7])),
    ] {
        let frame = to_all_nodes(&mac, 134, &router, wrapped);
        web.send_frame("eth0", &frame).expect("a frame");
    }
    // The gateway has moved: an announcement as request and as reply, and an advertisement that
    // overrides what is known.
    let IpAddr::V4(v4) = gateway else {
        panic!("not IPv4: {gateway}");
    };
    for operation in [1, 2] {
        let mut frame = ethernet("ff:ff:ff:ff:ff:ff", &mac, 0x0806);
        frame.truncate(14);
        frame.extend([0, 1, 8, 0, 6, 4, 0, operation]);
        for mac in [own, own] {
            frame.extend(mac);
            frame.extend(v4.octets());
        }
        frame.resize(60, 0);
        web.send_frame("eth0", &frame).expect("a frame");
    }
    let IpAddr::V6(v6) = gateway6 else {
        panic!("not IPv6: {gateway6}");
    };
    let mut moved = vec![0x20, 0, 0, 0];
    moved.extend(v6.octets());
    moved.extend([2, 1]);
    moved.extend(own);
    web.send_frame("eth0", &to_all_nodes(&mac, 136, &moved, None))
        .expect("a frame");

    let [advertisements, arp, discovery] = before;
    lab.wait_until("all are counted", LIMIT, || {
        lab.drops("router-advertisement") == advertisements + 3
            && lab.drops("arp") > arp
            && lab.drops("neighbor-discovery") > discovery
    });
    let routes = client.ok("ip -6 route show proto ra");
    assert_eq!(routes, "");
    let addresses = client.ok("ip -6 -o addr show dev eth0");
    assert!(!addresses.contains("2001:db8:bad"), "{addresses}");
    assert_eq!(neighbours(), known);
    // What it may say is heard.
    let group = to_all_nodes(&mac, 128, &[0, 7, 0, 1], None);
    web.send_frame("eth0", &group).expect("a frame");
    lab.wait_until("an echo request comes", LIMIT, || {
        received.so_far().contains("echo request")
    });
    let received = received.stop().expect("the capture");
    for word in ["router advertisement", "neighbor advertisement", "ARP"] {
        assert!(!received.contains(word), "{received}");
    }
}

#[test]
fn malformed_packets_are_counted_and_do_no_harm() {
    let app = App::start("malformed");
    let lab = &app.lab;
    let _web = EchoServer::start(&app.web, PORT);
    let own = lab.mac("client", "app");
    let gateway = "ff:ff:ff:ff:ff:ff";
    let packet = |ethertype: u16, payload: &[u8]| {
        let mut frame = ethernet(gateway, &own, ethertype);
        frame.truncate(14);
        frame.extend_from_slice(payload);
        frame.resize(frame.len().max(60), 0);
        app.client.send_frame("eth0", &frame).expect("a frame");
    };
    // IPv4 whose header is shorter than any header; then one whose total length exceeds the packet.
    packet(0x0800, &[0x41; 20]);
    packet(0x0800, &[0x45, 0, 0xff, 0xff, 0, 0, 0, 0, 64, 17]);
    // An IPv6 packet that claims version 4, and a VLAN tag with nothing behind it.
    packet(0x86dd, &[0x45; 40]);
    packet(0x8100, &[0, 1]);
    // ARP for a medium that is not Ethernet.
    packet(0x0806, &[0xff; 28]);
    let drops = |reason: &str| lab.drops(reason);
    assert!(drops("truncated") >= 2, "{}", lab.netd("drops"));
    assert!(drops("unknown-ethertype") >= 1, "{}", lab.netd("drops"));
    assert!(drops("arp") >= 1, "{}", lab.netd("drops"));
    reaches(&app.client, lab.address("web", "app"), PORT);
    reaches(&app.client, lab.address6("web", "app"), PORT);
}

#[test]
fn what_carries_a_vlan_tag_is_not_a_networks() {
    let app = App::with("vlan-tag", "", &format!("-p {PORT}:{PORT}/udp"));
    let lab = &app.lab;
    let tagged = |to: &str, from: &str, source: IpAddr, destination: IpAddr| {
        let whole = Frame {
            to: [0; 6],
            from: [0; 6],
            source: source.into(),
            destination: destination.into(),
            hops: 64,
            payload: Payload::Udp(5_353, PORT, b"tagged".to_vec()),
        };
        let mut frame = ethernet(to, from, 0x8100);
        frame.truncate(14);
        frame.extend([0, 100]);
        frame.extend_from_slice(&whole.bytes()[12..]);
        frame
    };
    let (client, web) = (lab.address("client", "app"), lab.address("web", "app"));
    let filter = "udp or vlan";
    let received = Capture::start(&app.web, "eth0", filter).expect("tcpdump");
    let before = lab.drops("unknown-ethertype");
    let frame = tagged(
        &lab.mac("web", "app"),
        &lab.mac("client", "app"),
        client,
        web,
    );
    app.client.send_frame("eth0", &frame).expect("a frame");
    // To a published port by way of the uplink's VLAN 100, which the host does not have.
    let frame = tagged(
        &lab.host().mac("eth0"),
        &lab.outside().mac("eth0"),
        ip(OUTSIDE),
        ip(HOST),
    );
    lab.outside().send_frame("eth0", &frame).expect("a frame");
    assert_eq!(
        lab.drops("unknown-ethertype"),
        before + 1,
        "{}",
        lab.netd("drops")
    );
    let received = received.stop().expect("the capture");
    assert_eq!(received.trim(), "");
}

/// GRE, ESP and what has no name yet (RFC 3692): as they are within a network, and nowhere else.
#[test]
fn other_protocols_stay_in_the_network() {
    const PROTOCOLS: [u8; 3] = [47, 50, 253];
    let app = App::start("protocols");
    let lab = &app.lab;
    lab.netd("network create --ipv6 -o com.docker.network.bridge.enable_icc=false closed");
    for name in ["one", "two"] {
        lab.netd(&format!("sandbox create --name {name} --network closed"));
    }
    let one = lab.sandbox("one");
    let of = |name: &str, network: &str| [lab.address(name, network), lab.address6(name, network)];
    let packets = |from: [IpAddr; 2], to: [IpAddr; 2]| -> Vec<Vec<u8>> {
        let frames = from.into_iter().zip(to).flat_map(|(source, destination)| {
            PROTOCOLS.map(|protocol| Frame {
                to: [0; 6],
                from: [0; 6],
                source: source.into(),
                destination: destination.into(),
                hops: 64,
                payload: Payload::Other(protocol, b"neither ports nor checksum".to_vec()),
            })
        });
        frames.map(|frame| frame.bytes().split_off(14)).collect()
    };
    let sends = |from: &Namespace, packets: &[Vec<u8>]| {
        from.send_packets(packets).expect("the packets are sent");
    };
    // What comes of them, in hexadecimal digits.
    const DIGITS: &str =
        "-x ip proto 47 or proto 50 or proto 253 or ip6 proto 47 or ip6 proto 50 or ip6 proto 253";
    let (web, client) = (of("web", "app"), of("client", "app"));
    let six = PROTOCOLS.len() as u64 * 2;

    let received = Capture::start(&app.web, "eth0", DIGITS).expect("tcpdump");
    let neighbourly = packets(client, web);
    sends(&app.client, &neighbourly);
    let hex = |text: &str| -> String {
        let lines = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("0x"));
        let words = lines.filter_map(|line| line.split_once(':'));
        words.map(|(_, words)| words.replace(' ', "")).collect()
    };
    lab.wait_until("all have come", Duration::from_secs(10), || {
        let text = hex(&received.so_far());
        neighbourly.iter().all(|packet| {
            let packet: String = packet.iter().map(|octet| format!("{octet:02x}")).collect();
            text.contains(&packet)
        })
    });
    drop(received);

    let outside = Capture::start(lab.outside(), "eth0", DIGITS).expect("tcpdump");
    let before = lab.drops("unknown-protocol");
    sends(&app.client, &packets(client, [ip(PUBLIC), ip(PUBLIC6)]));
    assert_eq!(
        lab.drops("unknown-protocol"),
        before + six,
        "{}",
        lab.netd("drops")
    );
    let outside = outside.stop().expect("the capture");
    assert_eq!(outside.trim(), "");

    // The host's stack takes what is for it, and knows no such protocol (RFC 1122 section 3.2.2.1).
    let errors = Capture::start(lab.outside(), "eth0", "icmp or icmp6").expect("tcpdump");
    sends(
        lab.outside(),
        &packets([ip(OUTSIDE), ip(OUTSIDE6)], [ip(HOST), ip(HOST6)]),
    );
    lab.wait_until("the host says so", Duration::from_secs(10), || {
        let text = errors.so_far();
        text.contains("protocol 253 unreachable") && text.contains("next header")
    });

    let before = lab.drops("direct-routing");
    for (to, via) in web.into_iter().zip([HOST, HOST6]) {
        lab.attacker().ok(&format!("ip route add {to} via {via}"));
    }
    sends(lab.attacker(), &packets([ip(ATTACKER), ip(ATTACKER6)], web));
    lab.wait_until("all are counted", Duration::from_secs(10), || {
        lab.drops("direct-routing") == before + six
    });

    let received = Capture::start(&lab.sandbox("two"), "eth0", DIGITS).expect("tcpdump");
    let before = lab.drops("icc-off");
    sends(&one, &packets(of("one", "closed"), of("two", "closed")));
    // Reports of listeners may be among them.
    let dropped = lab.drops("icc-off") - before;
    assert!(dropped >= six, "{}", lab.netd("drops"));
    let received = received.stop().expect("the capture");
    assert_eq!(received.trim(), "");
}
