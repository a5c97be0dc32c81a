//! Decisions about packets that stay on the host: within a network, to the host, to the resolver,
//! and what is refused.

use netd_common::{
    Addr, DropReason,
    abi::{
        endpoint::{Endpoint, EndpointKey, flags},
        host::HostAddress,
    },
    packet::{
        Verdict,
        testing::{Payload, Scene, names::*, sums_are_right},
    },
};

const SYN: u8 = 2;
const FAMILIES: [usize; 2] = [0, 1];

fn tcp() -> Payload {
    Payload::Tcp(40_000, 443, SYN)
}

fn dropped(
    scene: &mut Scene,
    interface: u8,
    source: Addr,
    destination: Addr,
    payload: Payload,
) -> DropReason {
    let mut packet = scene.frame(interface, source, destination, payload).bytes();
    let before = packet.clone();
    match scene.from_endpoint(interface, &mut packet) {
        Verdict::Drop(reason) => {
            assert_eq!(packet, before);
            reason
        }
        other => panic!("{other:?} instead of a drop"),
    }
}

#[test]
fn a_neighbour_gets_the_packet_as_it_is() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        let mut frame = scene.frame(AT_CLIENT, CLIENT[family], WEB[family], tcp());
        let mut packet = frame.bytes();
        assert_eq!(scene.from_endpoint(AT_CLIENT, &mut packet), Verdict::Peer);
        assert_eq!(scene.work.outcome.ifindex, u32::from(AT_WEB));
        assert_eq!(scene.work.outcome.receiver, 11);
        assert_eq!(
            (scene.work.outcome.network, scene.work.outcome.endpoint),
            (1, 12)
        );
        frame.to = mac(AT_WEB);
        assert_eq!(packet, frame.bytes(), "only the MAC is another");
    }
}

#[test]
fn nothing_is_written_that_is_there_already() {
    let mut scene = Scene::new();
    let mut frame = scene.frame(AT_CLIENT, CLIENT[0], WEB[0], tcp());
    frame.to = mac(AT_WEB);
    assert_eq!(
        scene.from_endpoint(AT_CLIENT, &mut frame.bytes()),
        Verdict::Peer
    );
    assert_eq!(scene.work.outcome.rewrite.changes, 0);
}

#[test]
fn a_neighbour_gets_whatever_ip_carries() {
    let mut scene = Scene::new();
    let payloads = [
        Payload::Other(132, vec![1; 20]),
        Payload::Other(47, vec![]),
        Payload::Icmp(3, vec![0; 32]),
        Payload::EchoReply(1, 1),
    ];
    for payload in payloads {
        let frame = scene.frame(AT_CLIENT, CLIENT[0], WEB[0], payload);
        assert_eq!(
            scene.from_endpoint(AT_CLIENT, &mut frame.bytes()),
            Verdict::Peer
        );
    }
    // A fragment but the first, and one with options.
    for (at, value) in [(20, [0x00, 0x10]), (14, [0x46, 0])] {
        let mut packet = scene
            .frame(
                AT_CLIENT,
                CLIENT[0],
                WEB[0],
                Payload::Other(17, vec![0; 24]),
            )
            .bytes();
        packet[at..at + 2].copy_from_slice(&value);
        assert_eq!(scene.from_endpoint(AT_CLIENT, &mut packet), Verdict::Peer);
    }
    // IPv6 with a hop-by-hop header.
    let frame = scene.frame(
        AT_CLIENT,
        CLIENT[1],
        WEB[1],
        Payload::Other(0, [58, 0].into_iter().chain([0; 14]).collect()),
    );
    assert_eq!(
        scene.from_endpoint(AT_CLIENT, &mut frame.bytes()),
        Verdict::Peer
    );
}

#[test]
fn who_may_not_talk_does_not() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        let (client, web) = (CLIENT[family], WEB[family]);
        let stranger = STRANGER[family];
        let reason = dropped(&mut scene, AT_CLIENT, client, stranger, tcp());
        assert_eq!(reason, DropReason::Isolated);
        scene.change(AT_WEB, |web| web.flags &= !flags::UP);
        let reason = dropped(&mut scene, AT_CLIENT, client, web, tcp());
        assert_eq!(reason, DropReason::EndpointDown);
        scene.change(AT_CLIENT, |client| client.flags &= !flags::ICC);
        let reason = dropped(&mut scene, AT_CLIENT, client, web, tcp());
        assert_eq!(reason, DropReason::IccOff);
        scene.change(AT_CLIENT, |client| client.flags |= flags::INTERNAL);
        let reason = dropped(&mut scene, AT_CLIENT, client, OUTSIDE[family], tcp());
        assert_eq!(reason, DropReason::Internal);
    }
}

#[test]
fn an_address_that_nobody_has_is_nobodys() {
    let mut scene = Scene::new();
    for nobody in [
        Addr::v4([172, 18, 0, 77]),
        Addr::v6([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]),
    ] {
        let source = CLIENT[usize::from(!nobody.is_v4())];
        let reason = dropped(&mut scene, AT_CLIENT, source, nobody, tcp());
        assert_eq!(reason, DropReason::NoNeighbor);
    }
}

#[test]
fn the_source_is_the_senders() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        for other in [WEB[family], STRANGER[family], HOST[family], OUTSIDE[family]] {
            let reason = dropped(&mut scene, AT_CLIENT, other, WEB[family], tcp());
            assert_eq!(reason, DropReason::SpoofedAddress);
        }
        let mut frame = scene.frame(AT_CLIENT, CLIENT[family], WEB[family], tcp());
        frame.from = mac(AT_WEB);
        assert_eq!(
            scene.from_endpoint(AT_CLIENT, &mut frame.bytes()),
            Verdict::Drop(DropReason::SpoofedMac)
        );
    }
}

#[test]
fn a_further_address_of_the_sender_is_fine() {
    let mut scene = Scene::new();
    let address = Addr::v4([172, 18, 0, 33]);
    let client: Endpoint = scene.memory.interfaces[&u32::from(AT_CLIENT)];
    let key = EndpointKey {
        network: 1,
        address,
    };
    scene.memory.endpoints.insert(key, client);
    let frame = scene.frame(AT_CLIENT, address, WEB[0], tcp());
    assert_eq!(
        scene.from_endpoint(AT_CLIENT, &mut frame.bytes()),
        Verdict::Peer
    );
}

#[test]
fn addresses_that_are_not_for_the_wire() {
    let mut scene = Scene::new();
    let loopback = [
        Addr::v4([127, 0, 0, 1]),
        Addr::v6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
    ];
    for family in FAMILIES {
        let own = CLIENT[family];
        for (source, destination) in [(own, loopback[family]), (loopback[family], own)] {
            let reason = dropped(&mut scene, AT_CLIENT, source, destination, tcp());
            assert_eq!(reason, DropReason::LoopbackAddress);
        }
    }
    for group in [
        Addr::v4([224, 0, 0, 251]),
        Addr::v4([255; 4]),
        Addr::v6([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfb]),
    ] {
        let source = CLIENT[usize::from(!group.is_v4())];
        let reason = dropped(&mut scene, AT_CLIENT, source, group, tcp());
        assert_eq!(reason, DropReason::Multicast);
    }
}

#[test]
fn ipv6_that_pretends_to_be_ipv4_is_dropped() {
    let mut scene = Scene::new();
    // As IPv4 the addresses would be fine.
    for at in [22, 38] {
        let mut packet = scene.frame(AT_CLIENT, CLIENT[1], WEB[1], tcp()).bytes();
        packet[at..at + 16].copy_from_slice(&WEB[0].0);
        assert_eq!(
            scene.from_endpoint(AT_CLIENT, &mut packet),
            Verdict::Drop(DropReason::MappedAddress)
        );
    }
}

#[test]
fn unknown_frames_and_interfaces() {
    let mut scene = Scene::new();
    let mut packet = scene.frame(AT_CLIENT, CLIENT[0], WEB[0], tcp()).bytes();
    assert_eq!(
        scene.from_endpoint(77, &mut packet),
        Verdict::Drop(DropReason::UnknownInterface)
    );
    for ethertype in [[0x81, 0x00], [0x88, 0xb5], [0x00, 0x26]] {
        packet[12..14].copy_from_slice(&ethertype);
        assert_eq!(
            scene.from_endpoint(AT_CLIENT, &mut packet),
            Verdict::Drop(DropReason::UnknownEthertype)
        );
    }
}

#[test]
fn lengths_that_contradict_each_other() {
    let truncated = Verdict::Drop(DropReason::Truncated);
    for family in FAMILIES {
        let mut scene = Scene::new();
        let whole = scene
            .frame(AT_CLIENT, CLIENT[family], OUTSIDE[family], tcp())
            .bytes();
        for length in 0..whole.len() {
            let mut packet = whole[..length].to_vec();
            assert_eq!(
                scene.from_endpoint(AT_CLIENT, &mut packet),
                truncated,
                "{length} octets"
            );
        }
        // Padding behind the packet is not part of it.
        let mut padded = [&whole[..], &[0; 7]].concat();
        assert_eq!(
            scene.from_endpoint(AT_CLIENT, &mut padded),
            Verdict::Neighbour
        );
        let total = if family == 0 { 16 } else { 18 };
        let mut packet = whole.clone();
        packet[total + 1] = packet[total + 1].wrapping_add(1);
        assert_eq!(scene.from_endpoint(AT_CLIENT, &mut packet), truncated);
        // Shorter than its transport header.
        packet[total + 1] = packet[total + 1].wrapping_sub(9);
        assert_eq!(scene.from_endpoint(AT_CLIENT, &mut packet), truncated);
    }
}

#[test]
fn a_super_packet_may_declare_no_length() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        let mut packet = scene
            .frame(AT_CLIENT, CLIENT[family], WEB[family], tcp())
            .bytes();
        packet.resize(70_000, 0);
        let at = if family == 0 { 16 } else { 18 };
        packet[at..at + 2].fill(0);
        assert_eq!(scene.from_endpoint(AT_CLIENT, &mut packet), Verdict::Peer);
        packet.truncate(60_000);
        assert_eq!(
            scene.from_endpoint(AT_CLIENT, &mut packet),
            if family == 0 {
                Verdict::Drop(DropReason::Truncated)
            } else {
                // No payload at all, which nobody minds.
                Verdict::Peer
            }
        );
    }
}

#[test]
fn the_host_gets_what_is_for_its_addresses() {
    for family in FAMILIES {
        for to in [GATEWAY, HOST, OTHER_GATEWAY] {
            for payload in [
                tcp(),
                Payload::Other(133, vec![0; 12]),
                Payload::EchoReply(1, 1),
            ] {
                let mut scene = Scene::new();
                let mut frame = scene.frame(AT_CLIENT, CLIENT[family], to[family], payload);
                frame.to = mac(77);
                let mut packet = frame.bytes();
                assert_eq!(scene.from_endpoint(AT_CLIENT, &mut packet), Verdict::Host);
                frame.to = mac(BRIDGE);
                assert_eq!(packet, frame.bytes());
                assert!(scene.memory.new_flows.is_empty());
            }
        }
    }
}

#[test]
fn the_resolver_is_at_the_own_gateway() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        let (client, gateway) = (CLIENT[family], GATEWAY[family]);
        let question = Payload::Udp(5000, 10_053, vec![0; 20]);
        let frame = scene.frame(AT_CLIENT, client, gateway, question.clone());
        assert_eq!(
            scene.from_endpoint(AT_CLIENT, &mut frame.bytes()),
            Verdict::Dns
        );
        let tcp = Payload::Tcp(5000, 10_053, SYN);
        let frame = scene.frame(AT_CLIENT, client, gateway, tcp.clone());
        let mut packet = frame.bytes();
        assert_eq!(scene.from_endpoint(AT_CLIENT, &mut packet), Verdict::Peer);
        assert_eq!(scene.work.outcome.ifindex, u32::from(RESOLVER));
        assert_eq!(packet[..6], mac(RESOLVER));
        // Of another network, or without a resolver, it is just a port of the host.
        let other = scene.frame(AT_CLIENT, client, OTHER_GATEWAY[family], question.clone());
        assert_eq!(
            scene.from_endpoint(AT_CLIENT, &mut other.bytes()),
            Verdict::Host
        );
        scene.memory.config.resolver_ifindex = 0;
        assert_eq!(
            dropped(&mut scene, AT_CLIENT, client, gateway, tcp),
            DropReason::NoResolver
        );
        scene.change(AT_CLIENT, |client| client.flags &= !flags::RESOLVER);
        let frame = scene.frame(AT_CLIENT, client, gateway, question);
        assert_eq!(
            scene.from_endpoint(AT_CLIENT, &mut frame.bytes()),
            Verdict::Host
        );
    }
}

#[test]
fn the_resolver_answers_everybody_and_nobody_else() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        let answer = Payload::Udp(10_053, 5000, vec![0; 20]);
        let gateway = GATEWAY[family];
        let frame = scene.frame(RESOLVER, gateway, CLIENT[family], answer.clone());
        let mut packet = frame.bytes();
        assert_eq!(scene.from_endpoint(RESOLVER, &mut packet), Verdict::Peer);
        assert_eq!(scene.work.outcome.ifindex, u32::from(AT_CLIENT));
        assert_eq!(packet[..6], mac(AT_CLIENT));
        for nobody in [OUTSIDE[family], HOST[family], gateway] {
            let reason = dropped(&mut scene, RESOLVER, gateway, nobody, answer.clone());
            assert_eq!(reason, DropReason::NoNeighbor);
        }
        scene.change(AT_CLIENT, |client| client.flags &= !flags::UP);
        let reason = dropped(&mut scene, RESOLVER, gateway, CLIENT[family], answer);
        assert_eq!(reason, DropReason::EndpointDown);
    }
}

#[test]
fn a_network_without_gateway_addresses_has_none_to_match() {
    // `::` is how "none" is written; a packet to it must not be taken for the gateway's.
    let mut scene = Scene::new();
    scene.change(AT_CLIENT, |client| client.gateways[1] = Addr::NONE);
    scene.memory.host_addresses.remove(&GATEWAY[1]);
    let question = Payload::Udp(5000, 10_053, vec![]);
    scene.memory.default_uplink = None;
    let reason = dropped(&mut scene, AT_CLIENT, CLIENT[1], Addr::NONE, question);
    assert_eq!(reason, DropReason::NoRoute);
}

#[test]
fn the_host_may_send_to_a_container_and_others_may_not() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        let frame = scene.outside_frame(GATEWAY[family], WEB[family], tcp());
        let mut packet = frame.bytes();
        assert_eq!(scene.to_endpoint(AT_WEB, false, &mut packet), Verdict::Host);
        assert_eq!(packet, frame.bytes());
        assert_eq!(
            (scene.work.outcome.network, scene.work.outcome.endpoint),
            (1, 11)
        );
        assert_eq!(
            scene.to_endpoint(AT_WEB, true, &mut packet),
            Verdict::Drop(DropReason::DirectRouting)
        );
        assert_eq!(
            scene.to_endpoint(77, false, &mut packet),
            Verdict::Drop(DropReason::UnknownInterface)
        );
        packet[12..14].copy_from_slice(&[8, 6]);
        assert_eq!(
            scene.to_endpoint(AT_WEB, false, &mut packet),
            Verdict::Drop(DropReason::HostTraffic)
        );
        let group = [
            Addr::v4([224, 0, 0, 1]),
            Addr::v6([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        ];
        let frame = scene.outside_frame(GATEWAY[family], group[family], tcp());
        for (forwarded, verdict) in [
            (false, Verdict::Host),
            (true, Verdict::Drop(DropReason::HostTraffic)),
        ] {
            assert_eq!(
                scene.to_endpoint(AT_WEB, forwarded, &mut frame.bytes()),
                verdict
            );
        }
    }
}

#[test]
fn addresses_of_the_host_come_and_go() {
    let mut scene = Scene::new();
    let new = Addr::v4([198, 18, 0, 3]);
    let frame = scene.frame(AT_CLIENT, CLIENT[0], new, tcp());
    assert_eq!(
        scene.from_endpoint(AT_CLIENT, &mut frame.bytes()),
        Verdict::Neighbour
    );
    let value = HostAddress::default();
    scene.memory.host_addresses.insert(new, value);
    scene.memory.new_flows.clear();
    assert_eq!(
        scene.from_endpoint(AT_CLIENT, &mut frame.bytes()),
        Verdict::Host
    );
    assert!(sums_are_right(&frame.bytes()));
}
