//! Flows from inside to outside, there and back, both families; and what may not leave.

use netd_common::{
    Addr, DropReason,
    abi::{
        endpoint::{Subnet, flags},
        flow::{FlowKey, flow_flags},
        host::uplink_flags,
    },
    packet::{
        Verdict, from_endpoint,
        tables::Route,
        testing::{Frame, Lookups, Payload, Scene, names::*, ports, sums_are_right},
    },
};

const SYN: u8 = 2;
const SYN_ACK: u8 = 18;
const ACK: u8 = 16;
const FAMILIES: [usize; 2] = [0, 1];

fn out(scene: &mut Scene, family: usize, payload: Payload) -> Vec<u8> {
    let frame = scene.frame(AT_CLIENT, CLIENT[family], OUTSIDE[family], payload);
    let mut packet = frame.bytes();
    let verdict = scene.from_endpoint(AT_CLIENT, &mut packet);
    assert_eq!(verdict, Verdict::Neighbour);
    packet
}

#[test]
fn a_flow_there_and_back() {
    let pairs = [
        (
            Payload::Tcp(20_000, 443, SYN),
            Payload::Tcp(443, 20_000, SYN_ACK),
        ),
        (
            Payload::Udp(20_000, 53, vec![1, 2, 3]),
            Payload::Udp(53, 20_000, vec![4; 9]),
        ),
        (Payload::EchoRequest(7, 1), Payload::EchoReply(7, 1)),
    ];
    for family in FAMILIES {
        for (there, back) in pairs.clone() {
            let mut scene = Scene::new();
            let packet = out(&mut scene, family, there.clone());
            // The port is in the range, so it stays.
            let mut expected = scene.frame(AT_CLIENT, HOST[family], OUTSIDE[family], there);
            expected.hops = 63;
            assert_eq!(packet, expected.bytes());
            assert_eq!(scene.work.outcome.ifindex, u32::from(UPLINK));
            assert_eq!(scene.work.outcome.next_hop, OUTSIDE[family]);

            let frame = scene.outside_frame(OUTSIDE[family], HOST[family], back.clone());
            let mut packet = frame.bytes();
            assert_eq!(scene.from_uplink(&mut packet), Verdict::Peer);
            let outcome = &scene.work.outcome;
            assert_eq!(outcome.ifindex, u32::from(AT_CLIENT));
            assert_eq!((outcome.receiver, outcome.network), (12, 1));
            let expected = Frame {
                to: mac(AT_CLIENT),
                from: mac(BRIDGE),
                hops: 59,
                ..scene.outside_frame(OUTSIDE[family], CLIENT[family], back)
            };
            assert_eq!(packet, expected.bytes());
        }
    }
}

#[test]
fn a_port_outside_the_range_is_replaced() {
    for family in FAMILIES {
        for number in [1, 1023, 32_768, 40_000, 60_999] {
            let mut scene = Scene::new();
            let packet = out(&mut scene, family, Payload::Tcp(number, 443, SYN));
            let [port, to] = ports(&packet);
            assert!((1024..=32_767).contains(&port) || port >= 61_000, "{port}");
            assert_eq!(to, 443);
            assert!(sums_are_right(&packet));
            let back = Payload::Tcp(443, port, SYN_ACK);
            let frame = scene.outside_frame(OUTSIDE[family], HOST[family], back);
            let mut packet = frame.bytes();
            assert_eq!(scene.from_uplink(&mut packet), Verdict::Peer);
            assert_eq!(ports(&packet), [443, number]);
            assert!(sums_are_right(&packet));
        }
    }
}

#[test]
fn a_udp_checksum_of_none_stays_none() {
    let mut scene = Scene::new();
    let packet = out(&mut scene, 0, Payload::UdpUnchecked(40_000, 53, vec![1]));
    assert_eq!(packet[40..42], [0, 0]);
    assert!(sums_are_right(&packet));
}

#[test]
fn a_udp_socket_has_one_port_towards_everybody() {
    for number in [20_000, 40_000] {
        let mut scene = Scene::new();
        let mut seen = Vec::new();
        for destination in [OUTSIDE[0], OUTSIDE_TOO[0]] {
            let payload = Payload::Udp(number, 3478, vec![]);
            let frame = scene.frame(AT_CLIENT, CLIENT[0], destination, payload);
            let mut packet = frame.bytes();
            let verdict = scene.from_endpoint(AT_CLIENT, &mut packet);
            assert_eq!(verdict, Verdict::Neighbour);
            seen.push(ports(&packet)[0]);
        }
        assert_eq!(seen[0], seen[1]);
    }
}

/// The ports that Linux gives to sockets by itself: none of them is in the range.
const LOCAL_PORTS: std::ops::RangeInclusive<u16> = 32_768..=60_999;

#[test]
fn a_connection_that_begins_again_has_the_port_that_it_had() {
    // The far end may remember the former one (TIME_WAIT), and takes a SYN with an older timestamp for
    // a stray one: timestamps rise only between the same two ports.
    for family in FAMILIES {
        let mut scene = Scene::new();
        let mut dial = |number| ports(&out(&mut scene, family, Payload::Tcp(number, 443, SYN)))[0];
        let had: Vec<u16> = (50_000..50_100).map(&mut dial).collect();
        scene.memory.new_flows.clear();
        // In another order.
        for (number, had) in (50_000..50_100).zip(had).rev() {
            let frame = scene.frame(
                AT_CLIENT,
                CLIENT[family],
                OUTSIDE[family],
                Payload::Tcp(number, 443, SYN),
            );
            let mut packet = frame.bytes();
            scene.from_endpoint(AT_CLIENT, &mut packet);
            assert_eq!(ports(&packet)[0], had);
        }
    }
}

#[test]
fn a_connection_that_lost_its_own_half_goes_on_with_its_port() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        let send = |scene: &mut Scene, flags| {
            ports(&out(scene, family, Payload::Tcp(50_000, 443, flags)))[0]
        };
        let had = send(&mut scene, SYN);
        scene.memory.new_flows.retain(|key, _| key.zone == 0);
        assert_eq!(send(&mut scene, ACK), had);
        assert_eq!(scene.memory.new_flows.len(), 2);
    }
}

#[test]
fn one_socket_after_the_other_never_meets_the_port_of_another() {
    for payload in [
        |number| Payload::Tcp(number, 443, SYN),
        |number| Payload::Udp(number, 443, vec![]),
    ] {
        let mut scene = Scene::new();
        let mut taken = std::collections::BTreeSet::new();
        for number in LOCAL_PORTS {
            let [port, _] = ports(&out(&mut scene, 0, payload(number)));
            assert!(taken.insert(port), "{number} got {port} again");
        }
        // All of them are still in the table.
        assert_eq!(scene.memory.new_flows.len(), 2 * LOCAL_PORTS.count());
    }
}

#[test]
fn two_with_one_port_get_two() {
    for payload in [
        Payload::Tcp(20_000, 443, SYN),
        Payload::Udp(20_000, 443, vec![]),
        Payload::EchoRequest(20_000, 1),
    ] {
        let mut scene = Scene::new();
        let first = out(&mut scene, 0, payload.clone());
        let frame = scene.frame(AT_STRANGER, STRANGER[0], OUTSIDE[0], payload.clone());
        let mut second = frame.bytes();
        let verdict = scene.from_endpoint(AT_STRANGER, &mut second);
        assert_eq!(verdict, Verdict::Neighbour);
        assert!(sums_are_right(&second));
        assert_ne!(first[34..], second[34..], "{payload:?}");
        assert_eq!(scene.memory.new_flows.len(), 4);
    }
}

#[test]
fn a_published_port_is_not_a_source_port() {
    let mut scene = Scene::new();
    let packet = out(&mut scene, 0, Payload::Tcp(PORT, 443, SYN));
    assert_ne!(ports(&packet)[0], PORT);
}

#[test]
fn a_range_that_is_taken_is_exhausted() {
    let mut scene = Scene::new();
    scene.memory.config.ports = [[5000, 5001], [1, 0]];
    for number in [40_000, 40_001] {
        // Chance decides; both of two ports come up in sixteen tries of a fixed sequence.
        out(&mut scene, 0, Payload::Tcp(number, 443, SYN));
    }
    let dial = |scene: &mut Scene, destination: Addr| {
        let third = Payload::Tcp(40_002, 443, SYN);
        let frame = scene.frame(AT_CLIENT, CLIENT[0], destination, third);
        scene.from_endpoint(AT_CLIENT, &mut frame.bytes())
    };
    let exhausted = Verdict::Drop(DropReason::PortsExhausted);
    assert_eq!(dial(&mut scene, OUTSIDE[0]), exhausted);
    // Only towards this destination.
    assert_eq!(dial(&mut scene, OUTSIDE_TOO[0]), Verdict::Neighbour);
    // No range at all.
    scene.memory.config.ports = [[1, 0], [1, 0]];
    scene.memory.new_flows.clear();
    assert_eq!(dial(&mut scene, OUTSIDE_TOO[0]), exhausted);
}

#[test]
fn without_masquerade_the_address_stays() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        scene.change(AT_CLIENT, |client| client.flags &= !flags::MASQUERADE);
        let there = Payload::Tcp(40_000, 443, SYN);
        let packet = out(&mut scene, family, there.clone());
        let mut expected = scene.frame(AT_CLIENT, CLIENT[family], OUTSIDE[family], there);
        expected.hops = 63;
        assert_eq!(packet, expected.bytes());
        let back = Payload::Tcp(443, 40_000, SYN_ACK);
        let frame = scene.outside_frame(OUTSIDE[family], CLIENT[family], back);
        assert_eq!(scene.from_uplink(&mut frame.bytes()), Verdict::Peer);
        // Another port of the same container has no flow.
        let other = Payload::Tcp(443, 40_001, ACK);
        let stray = scene.outside_frame(OUTSIDE[family], CLIENT[family], other);
        assert_eq!(
            scene.from_uplink(&mut stray.bytes()),
            Verdict::Drop(DropReason::DirectRouting)
        );
        assert_eq!(scene.work.outcome.network, 1);
        // By the host's stack, as after a detour, the flow counts, too.
        assert_eq!(
            scene.to_endpoint(AT_CLIENT, true, &mut frame.bytes()),
            Verdict::Host
        );
        assert_eq!(
            scene.to_endpoint(AT_WEB, true, &mut frame.bytes()),
            Verdict::Drop(DropReason::StaleEndpoint)
        );
    }
}

#[test]
fn the_way_out_may_be_barred() {
    let mut scene = Scene::new();
    let payload = Payload::Tcp(20_000, 443, SYN);
    let frame = scene.frame(AT_CLIENT, CLIENT[0], OUTSIDE[0], payload);
    let is = |scene: &mut Scene, frame: &Frame, expected: DropReason| {
        let verdict = scene.from_endpoint(AT_CLIENT, &mut frame.bytes());
        assert_eq!(verdict, Verdict::Drop(expected));
    };
    // What the sender is told of is in `icmp_errors.rs`.
    let bridge = Route::Via {
        ifindex: BRIDGE.into(),
        next_hop: OUTSIDE[0],
        resolved: true,
    };
    for (route, expected) in [
        (Route::None, DropReason::NoRoute),
        (Route::Prohibited, DropReason::Prohibited),
        (bridge, DropReason::NotUplink),
    ] {
        scene.memory.routes.insert(OUTSIDE[0], route);
        is(&mut scene, &frame, expected);
    }
    scene.memory.routes.clear();
    let uplinks = &mut scene.memory.uplinks;
    uplinks
        .values_mut()
        .for_each(|uplink| uplink.addresses[0] = Addr::NONE);
    is(&mut scene, &frame, DropReason::NoAddress);
    assert!(scene.memory.new_flows.is_empty());
}

#[test]
fn an_uplink_without_ethernet_headers_is_one() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        let uplinks = scene.memory.uplinks.values_mut();
        uplinks.for_each(|uplink| (uplink.flags, uplink.mtu) = (uplink_flags::L3, 1_000));
        let header = [20, 40][family];
        for (octets, verdict) in [
            (1_000 - header - 8, Verdict::Neighbour),
            // The fourteen octets of the Ethernet header do not count, the IP header does.
            (1_001 - header - 8, Verdict::IcmpError),
        ] {
            let payload = Payload::Udp(20_000, 53, vec![0; octets]);
            let frame = scene.frame(AT_CLIENT, CLIENT[family], OUTSIDE[family], payload);
            let bytes = frame.bytes();
            let (memory, work) = (&mut scene.memory, &mut scene.work);
            let found = from_endpoint::decide(&bytes.as_slice(), AT_CLIENT.into(), memory, work);
            assert_eq!(found, verdict, "{octets} octets");
        }
    }
}

#[test]
fn what_cannot_begin_a_flow() {
    let mut scene = Scene::new();
    for (payload, expected) in [
        (Payload::Tcp(20_000, 443, 4), DropReason::NotInFlow),
        (Payload::Tcp(20_000, 443, SYN_ACK), DropReason::NotInFlow),
        (Payload::Tcp(20_000, 443, 17), DropReason::NotInFlow),
        (Payload::EchoReply(1, 1), DropReason::NotInFlow),
        (Payload::Icmp(3, vec![0; 32]), DropReason::UnknownProtocol),
        (
            Payload::Other(133, vec![0; 12]),
            DropReason::UnknownProtocol,
        ),
        (Payload::Other(47, vec![0; 12]), DropReason::UnknownProtocol),
    ] {
        let frame = scene.frame(AT_CLIENT, CLIENT[0], OUTSIDE[0], payload);
        let verdict = scene.from_endpoint(AT_CLIENT, &mut frame.bytes());
        assert_eq!(verdict, Verdict::Drop(expected));
    }
    let payload = Payload::Other(17, vec![9; 24]);
    let whole = scene
        .frame(AT_CLIENT, CLIENT[0], OUTSIDE[0], payload)
        .bytes();
    // An option that reaches beyond the header.
    let mut packet = whole.clone();
    packet[14] = 0x46;
    let verdict = scene.from_endpoint(AT_CLIENT, &mut packet);
    assert_eq!(verdict, Verdict::Drop(DropReason::IpOptions));
    // Two fragment headers; hop-by-hop options behind others; a route; authentication, ESP, nothing.
    let chain = |first: u8, rest: &[u8]| (first, rest.iter().copied().chain([0; 24]).collect());
    for ((header, rest), expected) in [
        (
            chain(44, &[44, 0, 0, 0, 0, 0, 0, 0]),
            DropReason::ExtensionHeader,
        ),
        (
            chain(60, &[0, 0, 0, 0, 0, 0, 0, 0]),
            DropReason::ExtensionHeader,
        ),
        (
            chain(43, &[17, 0, 2, 1, 0, 0, 0, 0]),
            DropReason::ExtensionHeader,
        ),
        (
            chain(43, &[17, 0, 0, 0, 0, 0, 0, 0]),
            DropReason::ExtensionHeader,
        ),
        (chain(60, &[17, 9, 0, 0, 0, 0, 0, 0]), DropReason::Truncated),
        (chain(51, &[]), DropReason::UnknownProtocol),
        (chain(50, &[]), DropReason::UnknownProtocol),
        (chain(59, &[]), DropReason::UnknownProtocol),
    ] {
        let payload = Payload::Other(header, rest);
        let frame = scene.frame(AT_CLIENT, CLIENT[1], OUTSIDE[1], payload);
        let verdict = scene.from_endpoint(AT_CLIENT, &mut frame.bytes());
        assert_eq!(verdict, Verdict::Drop(expected));
    }
    assert!(scene.memory.new_flows.is_empty());
}

#[test]
fn nothing_leaves_by_the_stack_untranslated() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        let payload = Payload::Tcp(40_000, 443, SYN);
        let frame = scene.frame(AT_CLIENT, CLIENT[family], OUTSIDE[family], payload.clone());
        let mut packet = frame.bytes();
        // The host's own packets are its own affair.
        assert_eq!(scene.to_uplink(false, &mut packet), Verdict::Pass);
        assert_eq!(
            scene.to_uplink(true, &mut packet),
            Verdict::Drop(DropReason::Untranslated)
        );
        assert_eq!(scene.work.outcome.network, 1);
        let translated = out(&mut scene, family, payload);
        assert_eq!(scene.to_uplink(true, &mut packet), Verdict::Host);
        assert_eq!(ports(&packet), ports(&translated));
        assert!(sums_are_right(&packet));
        // The stack has counted the hop already.
        let hops = if family == 0 { 22 } else { 21 };
        assert_eq!(packet[hops], 64);
        let echo = Payload::EchoRequest(1, 1);
        let foreign = scene.outside_frame(OUTSIDE[family], OUTSIDE_TOO[family], echo);
        assert_eq!(scene.to_uplink(true, &mut foreign.bytes()), Verdict::Pass);
    }
}

#[test]
fn the_flow_table_says_what_happened() {
    let mut scene = Scene::new();
    out(&mut scene, 0, Payload::Tcp(40_000, 443, SYN));
    let key = FlowKey {
        zone: 1,
        source: CLIENT[0],
        destination: OUTSIDE[0],
        source_port: 40_000_u16.to_be_bytes(),
        destination_port: 443_u16.to_be_bytes(),
        protocol: 6,
        reserved: [0; 3],
    };
    let flow = scene.memory.new_flows[&key];
    assert_eq!(flow.flags, flow_flags::ORIGINAL | flow_flags::MASQUERADE);
    assert_eq!((flow.network, flow.endpoint, flow.generation), (1, 12, 1));
    assert_eq!((flow.packets, flow.bytes, flow.epoch), (1, 40, 7));
    assert_eq!(flow.source, HOST[0]);
    let reply_key = FlowKey {
        zone: 0,
        source: OUTSIDE[0],
        destination: HOST[0],
        source_port: key.destination_port,
        destination_port: flow.source_port,
        ..key
    };
    let reply = scene.memory.new_flows[&reply_key];
    assert_eq!(
        reply.flags,
        flow_flags::MASQUERADE | flow_flags::TO_ENDPOINT
    );
    assert_eq!(reply.destination, CLIENT[0]);
    assert_eq!(reply.destination_port, key.source_port);
    assert_eq!((reply.packets, reply.twin_zone), (0, 1));
}

#[test]
fn an_echo_of_the_far_side_is_not_ours() {
    let mut scene = Scene::new();
    let request = Payload::EchoRequest(7, 1);
    let frame = scene.frame(AT_CLIENT, CLIENT[0], OUTSIDE[0], request.clone());
    scene.from_endpoint(AT_CLIENT, &mut frame.bytes());
    // It pings the host with the identifier of our ping.
    let frame = scene.outside_frame(OUTSIDE[0], HOST[0], request);
    assert_eq!(scene.from_uplink(&mut frame.bytes()), Verdict::Pass);
    let reply = scene.frame(AT_CLIENT, CLIENT[0], OUTSIDE[0], Payload::EchoReply(7, 1));
    assert_eq!(
        scene.from_endpoint(AT_CLIENT, &mut reply.bytes()),
        Verdict::Drop(DropReason::NotInFlow)
    );
}

#[test]
fn what_has_just_left_is_not_looked_at_again_and_nothing_else_gets_by() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        let payload = Payload::Tcp(40_000, 443, SYN);
        let mut packet = out(&mut scene, family, payload.clone());
        scene.memory.take_lookups();
        assert_eq!(scene.to_uplink(true, &mut packet), Verdict::Pass);
        assert_eq!(scene.memory.take_lookups(), Lookups::default());
        // Again it is any packet, and gets by all the same.
        assert_eq!(scene.to_uplink(true, &mut packet), Verdict::Pass);
        assert_ne!(scene.memory.take_lookups(), Lookups::default());
        // One of a container that the host's stack forwards is not what has left.
        out(&mut scene, family, payload.clone());
        let frame = scene.frame(AT_STRANGER, STRANGER[family], OUTSIDE[family], payload);
        let untranslated = Verdict::Drop(DropReason::Untranslated);
        assert_eq!(scene.to_uplink(true, &mut frame.bytes()), untranslated);
    }
}

#[test]
fn an_address_of_the_other_family_is_not_the_one_that_has_left() {
    let mut scene = Scene::new();
    // Where IPv4 has its source address, an IPv6 packet from here has the host's.
    let lookalike = Addr::v6([0x20, 1, 0x0d, 0xb8, 198, 18, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2]);
    let subnet = Subnet {
        network: 2,
        ..Subnet::default()
    };
    scene.memory.subnets.push((lookalike, 64, subnet));
    out(&mut scene, 0, Payload::Tcp(40_000, 443, SYN));
    let payload = Payload::Tcp(1, 2, SYN);
    let frame = scene.frame(AT_STRANGER, lookalike, OUTSIDE[1], payload);
    let mut packet = frame.bytes();
    assert_eq!(packet[26..30], HOST[0].octets_v4());
    let untranslated = Verdict::Drop(DropReason::Untranslated);
    assert_eq!(scene.to_uplink(true, &mut packet), untranslated);
}
