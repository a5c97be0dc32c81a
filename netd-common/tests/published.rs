//! Published ports, there and back, both families; and what else comes in by an uplink.

use netd_common::{
    Addr, DropReason,
    abi::{endpoint::flags, host::HostAddress},
    packet::{
        Verdict,
        testing::{Frame, Payload, Scene, names::*, ports, sums_are_right},
    },
};

const SYN: u8 = 2;
const SYN_ACK: u8 = 18;
const ACK: u8 = 16;
const FAMILIES: [usize; 2] = [0, 1];

/// The source address as it stands in the packet.
fn source(packet: &[u8]) -> &[u8] {
    if packet[12] == 0x08 {
        &packet[26..30]
    } else {
        &packet[22..38]
    }
}

#[test]
fn from_outside_there_and_back() {
    let pairs = [
        (
            Payload::Tcp(55_555, PORT, SYN),
            Payload::Tcp(55_555, 80, SYN),
            Payload::Tcp(80, 55_555, SYN_ACK),
        ),
        (
            Payload::Udp(55_555, PORT, vec![1, 2, 3]),
            Payload::Udp(55_555, 80, vec![1, 2, 3]),
            Payload::Udp(80, 55_555, vec![]),
        ),
    ];
    for family in FAMILIES {
        for (dialled, delivered, back) in pairs.clone() {
            let mut scene = Scene::new();
            let frame = scene.outside_frame(OUTSIDE[family], HOST[family], dialled);
            let mut packet = frame.bytes();
            assert_eq!(scene.from_uplink(&mut packet), Verdict::Peer);
            let expected = Frame {
                to: mac(AT_WEB),
                from: mac(BRIDGE),
                hops: 59,
                ..scene.outside_frame(OUTSIDE[family], WEB[family], delivered)
            };
            assert_eq!(packet, expected.bytes());
            assert_eq!(scene.work.outcome.ifindex, u32::from(AT_WEB));

            let frame = scene.frame(AT_WEB, WEB[family], OUTSIDE[family], back);
            let mut packet = frame.bytes();
            assert_eq!(scene.from_endpoint(AT_WEB, &mut packet), Verdict::Neighbour);
            assert_eq!(ports(&packet), [PORT, 55_555]);
            let host = HOST[family];
            if family == 0 {
                assert_eq!(source(&packet), host.octets_v4());
            } else {
                assert_eq!(source(&packet), host.0);
            }
            assert!(sums_are_right(&packet));
            // A reply is never masqueraded: no third half.
            let halves = scene.memory.new_flows.len() + scene.memory.flows.len();
            assert_eq!(halves, 2);
        }
    }
}

#[test]
fn a_range_of_ports_leads_to_a_range() {
    let mut scene = Scene::new();
    scene.publish(9000, 9003, 100);
    for number in 9000..=9003 {
        let frame = scene.outside_frame(OUTSIDE[0], HOST[0], Payload::Tcp(5, number, SYN));
        let mut packet = frame.bytes();
        assert_eq!(scene.from_uplink(&mut packet), Verdict::Peer);
        assert_eq!(ports(&packet), [5, 100 + (number - 9000)]);
    }
    let frame = scene.outside_frame(OUTSIDE[0], HOST[0], Payload::Tcp(5, 9004, SYN));
    assert_eq!(scene.from_uplink(&mut frame.bytes()), Verdict::Pass);
}

#[test]
fn from_containers() {
    for family in FAMILIES {
        for (interface, bridge, client, dialled) in [
            (AT_CLIENT, BRIDGE, CLIENT, HOST),
            (AT_CLIENT, BRIDGE, CLIENT, GATEWAY),
            (AT_STRANGER, OTHER_BRIDGE, STRANGER, HOST),
            (AT_STRANGER, OTHER_BRIDGE, STRANGER, GATEWAY),
        ] {
            let mut scene = Scene::new();
            let (client, dialled) = (client[family], dialled[family]);
            let dial = Payload::Tcp(40_000, PORT, SYN);
            let mut packet = scene.frame(interface, client, dialled, dial).bytes();
            assert_eq!(scene.from_endpoint(interface, &mut packet), Verdict::Peer);
            let delivered = Payload::Tcp(40_000, 80, SYN);
            let expected = Frame {
                to: mac(AT_WEB),
                from: mac(BRIDGE),
                hops: 63,
                ..scene.frame(interface, client, WEB[family], delivered)
            };
            // The server sees the client's own address.
            assert_eq!(packet, expected.bytes());

            let back = Payload::Tcp(80, 40_000, SYN_ACK);
            let mut packet = scene.frame(AT_WEB, WEB[family], client, back).bytes();
            assert_eq!(scene.from_endpoint(AT_WEB, &mut packet), Verdict::Peer);
            assert_eq!(scene.work.outcome.ifindex, u32::from(interface));
            let delivered = Payload::Tcp(PORT, 40_000, SYN_ACK);
            let expected = Frame {
                to: mac(interface),
                from: mac(bridge),
                hops: 63,
                ..scene.frame(AT_WEB, dialled, client, delivered)
            };
            // And the reply comes from where it dialled.
            assert_eq!(packet, expected.bytes());
        }
    }
}

#[test]
fn the_publisher_may_dial_itself() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        let (web, host, gateway) = (WEB[family], HOST[family], GATEWAY[family]);
        for (from, to, sent, as_from, received) in [
            (
                web,
                host,
                Payload::Tcp(20_000, PORT, SYN),
                gateway,
                Payload::Tcp(20_000, 80, SYN),
            ),
            (
                web,
                gateway,
                Payload::Tcp(80, 20_000, SYN_ACK),
                host,
                Payload::Tcp(PORT, 20_000, SYN_ACK),
            ),
        ] {
            let mut packet = scene.frame(AT_WEB, from, to, sent).bytes();
            assert_eq!(scene.from_endpoint(AT_WEB, &mut packet), Verdict::Peer);
            assert_eq!(scene.work.outcome.ifindex, u32::from(AT_WEB));
            let expected = Frame {
                to: mac(AT_WEB),
                from: mac(BRIDGE),
                hops: 63,
                ..scene.frame(AT_WEB, as_from, web, received)
            };
            assert_eq!(packet, expected.bytes());
        }
    }
}

#[test]
fn who_is_seen_as_the_gateway_has_a_port_that_no_socket_of_the_host_gets() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        let (web, host, gateway) = (WEB[family], HOST[family], GATEWAY[family]);
        let dial = scene.frame(AT_WEB, web, host, Payload::Tcp(40_000, PORT, SYN));
        let mut packet = dial.bytes();
        assert_eq!(scene.from_endpoint(AT_WEB, &mut packet), Verdict::Peer);
        let [port, _] = ports(&packet);
        assert!((1024..=32_767).contains(&port) || port >= 61_000, "{port}");
        // A connection of the host's own from that address and port stays the host's.
        let answer = Payload::Tcp(80, 40_000, SYN_ACK);
        let frame = scene.frame(AT_WEB, web, gateway, answer);
        assert_eq!(
            scene.from_endpoint(AT_WEB, &mut frame.bytes()),
            Verdict::Host
        );
        // And the container's finds its way back.
        let answer = Payload::Tcp(80, port, SYN_ACK);
        let mut packet = scene.frame(AT_WEB, web, gateway, answer).bytes();
        assert_eq!(scene.from_endpoint(AT_WEB, &mut packet), Verdict::Peer);
        assert_eq!(ports(&packet), [PORT, 40_000]);
        assert!(sums_are_right(&packet));
    }
}

#[test]
fn a_port_published_at_the_own_gateway_is_found_there() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        // A port that sockets of the host get, too.
        scene.publish(50_000, 50_000, 80);
        let (web, client, gateway) = (WEB[family], CLIENT[family], GATEWAY[family]);
        for flags in [SYN, ACK] {
            let dial = scene.frame(
                AT_CLIENT,
                client,
                gateway,
                Payload::Tcp(40_000, 50_000, flags),
            );
            let mut packet = dial.bytes();
            assert_eq!(scene.from_endpoint(AT_CLIENT, &mut packet), Verdict::Peer);
            assert_eq!(ports(&packet), [40_000, 80]);
            let answer = scene.frame(AT_WEB, web, client, Payload::Tcp(80, 40_000, SYN_ACK));
            let mut packet = answer.bytes();
            assert_eq!(scene.from_endpoint(AT_WEB, &mut packet), Verdict::Peer);
            assert_eq!(ports(&packet), [50_000, 40_000]);
        }
    }
}

#[test]
fn one_client_may_dial_two_addresses_of_one_server() {
    // Both would be the same tuple inside, so one client port must change.
    let mut scene = Scene::new();
    let new = Addr::v4([198, 18, 0, 3]);
    let value = HostAddress::default();
    scene.memory.host_addresses.insert(new, value);
    let mut seen = Vec::new();
    for dialled in [HOST[0], new] {
        let frame = scene.outside_frame(OUTSIDE[0], dialled, Payload::Tcp(55_555, PORT, SYN));
        let mut packet = frame.bytes();
        assert_eq!(scene.from_uplink(&mut packet), Verdict::Peer);
        assert!(sums_are_right(&packet));
        seen.push(ports(&packet)[0]);
    }
    assert_eq!(seen[0], 55_555);
    assert_ne!(seen[1], 55_555);
    let back = Payload::Tcp(80, seen[1], SYN_ACK);
    let mut packet = scene.frame(AT_WEB, WEB[0], OUTSIDE[0], back).bytes();
    assert_eq!(scene.from_endpoint(AT_WEB, &mut packet), Verdict::Neighbour);
    assert_eq!(ports(&packet), [PORT, 55_555]);
    assert_eq!(source(&packet), new.octets_v4());
}

#[test]
fn ports_that_do_not_answer() {
    let mut scene = Scene::new();
    let dial = |scene: &mut Scene, from: Addr, to: Addr, flags: u8| {
        let frame = scene.outside_frame(from, to, Payload::Tcp(55_555, PORT, flags));
        scene.from_uplink(&mut frame.bytes())
    };
    // Somebody outside with an address from inside.
    for spoofed in [WEB[0], HOST[0], GATEWAY[0]] {
        assert_eq!(
            dial(&mut scene, spoofed, HOST[0], SYN),
            Verdict::Drop(DropReason::SpoofedAddress)
        );
        assert_eq!(scene.work.outcome.network, 1);
    }
    for nobody in [Addr::ANY_V4, Addr::v4([224, 0, 0, 1]), Addr::v4([255; 4])] {
        assert_eq!(dial(&mut scene, nobody, HOST[0], SYN), Verdict::Pass);
    }
    // An address that means nothing where the container is.
    let local = Addr::v6([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    assert_eq!(dial(&mut scene, local, HOST[1], SYN), Verdict::Pass);
    // Not an address of the host; not a packet that may begin.
    let verdict = dial(&mut scene, OUTSIDE[0], OUTSIDE_TOO[0], SYN);
    assert_eq!(verdict, Verdict::Pass);
    for flags in [4, 18, 20] {
        let verdict = dial(&mut scene, OUTSIDE[0], HOST[0], flags);
        assert_eq!(verdict, Verdict::Pass);
    }
    let is = |scene: &mut Scene, expected: DropReason| {
        let verdict = dial(scene, OUTSIDE[0], HOST[0], SYN);
        assert_eq!(verdict, Verdict::Drop(expected));
    };
    scene.change(AT_WEB, |web| web.flags &= !flags::UP);
    is(&mut scene, DropReason::EndpointDown);
    scene.change(AT_WEB, |web| web.generation = 2);
    is(&mut scene, DropReason::StaleEndpoint);
    scene.memory.endpoints.clear();
    is(&mut scene, DropReason::StaleEndpoint);
    assert!(scene.memory.new_flows.is_empty());
}

#[test]
fn what_an_uplink_leaves_alone() {
    let groups = [
        Addr::v4([224, 0, 0, 1]),
        Addr::v6([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
    ];
    for family in FAMILIES {
        let mut scene = Scene::new();
        let host = HOST[family];
        for (payload, destination) in [
            (Payload::Tcp(5, 22, SYN), host),
            (Payload::EchoRequest(1, 1), host),
            (Payload::Other(47, vec![]), host),
            (Payload::Icmp(3, vec![0; 32]), host),
            (Payload::Tcp(5, 22, SYN), OUTSIDE_TOO[family]),
            (Payload::Udp(5, PORT, vec![]), groups[family]),
        ] {
            let frame = scene.outside_frame(OUTSIDE[family], destination, payload);
            let mut packet = frame.bytes();
            assert_eq!(scene.from_uplink(&mut packet), Verdict::Pass);
            assert_eq!(packet, frame.bytes());
        }
        // Cut, or not IP.
        let dial = Payload::Tcp(5, PORT, SYN);
        let whole = scene.outside_frame(OUTSIDE[family], host, dial).bytes();
        for length in 0..whole.len() {
            let mut packet = whole[..length].to_vec();
            assert_eq!(scene.from_uplink(&mut packet), Verdict::Pass);
        }
        let mut packet = whole;
        packet[12..14].copy_from_slice(&[8, 6]);
        assert_eq!(scene.from_uplink(&mut packet), Verdict::Pass);
        assert!(scene.memory.new_flows.is_empty());
    }
}

#[test]
fn what_an_uplink_does_not_let_in() {
    let mut scene = Scene::new();
    for family in FAMILIES {
        for payload in [
            Payload::Tcp(5, 80, SYN),
            Payload::Other(47, vec![]),
            Payload::EchoRequest(1, 1),
        ] {
            let frame = scene.outside_frame(OUTSIDE[family], WEB[family], payload);
            assert_eq!(
                scene.from_uplink(&mut frame.bytes()),
                Verdict::Drop(DropReason::DirectRouting)
            );
            assert_eq!(scene.work.outcome.network, 1);
        }
    }
    for (family, loopback) in [
        (0, Addr::LOCALHOST_V4),
        (0, Addr::v4([127, 9, 9, 9])),
        (1, Addr::LOCALHOST_V6),
    ] {
        for (from, to) in [(loopback, HOST[family]), (OUTSIDE[family], loopback)] {
            let frame = scene.outside_frame(from, to, Payload::Tcp(5, PORT, SYN));
            assert_eq!(
                scene.from_uplink(&mut frame.bytes()),
                Verdict::Drop(DropReason::LoopbackAddress)
            );
        }
    }
    let dial = Payload::Tcp(5, PORT, SYN);
    let mut packet = scene.outside_frame(OUTSIDE[1], HOST[1], dial).bytes();
    packet[38..54].copy_from_slice(&HOST[0].0);
    assert_eq!(
        scene.from_uplink(&mut packet),
        Verdict::Drop(DropReason::MappedAddress)
    );
}
