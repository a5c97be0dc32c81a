//! Multicast and broadcast: to the endpoints of the own network and to the host, and nowhere else.

use netd_common::{
    Addr, DropReason,
    abi::endpoint::flags,
    packet::{
        Verdict,
        testing::{Frame, Payload, Scene, names::*},
    },
};

const EVERYBODY: [u8; 6] = [0xff; 6];
const SUBNET_BROADCAST: Addr = Addr::v4([172, 18, 255, 255]);
const NAMES_V4: Addr = Addr::v4([224, 0, 0, 251]);
const NAMES_V6: Addr = group_v6(0xfb);

const fn group_v6(last: u8) -> Addr {
    Addr::v6([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last])
}

/// From the client, in a frame for the group.
fn to_group(scene: &Scene, group: Addr) -> Frame {
    let source = CLIENT[usize::from(!group.is_v4())];
    let payload = Payload::Udp(5353, 5353, vec![7; 30]);
    let mut frame = scene.frame(AT_CLIENT, source, group, payload);
    frame.to = match group {
        group if group.is_v4() && group.0[12] & 0xf0 == 0xe0 => {
            [1, 0, 0x5e, group.0[13] & 0x7f, group.0[14], group.0[15]]
        }
        group if group.is_v4() => EVERYBODY,
        Addr([.., a, b, c, d]) => [0x33, 0x33, a, b, c, d],
    };
    frame
}

fn link_local(interface: u8) -> Addr {
    // Of the MAC 02:42:00:00:00:NN.
    Addr::v6([
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x42, 0, 0xff, 0xfe, 0, 0, interface,
    ])
}

#[test]
fn groups_are_flooded_as_they_are() {
    for group in [NAMES_V4, Addr::v4([255; 4]), SUBNET_BROADCAST, NAMES_V6] {
        let mut scene = Scene::new();
        let frame = to_group(&scene, group);
        let mut packet = frame.bytes();
        assert_eq!(
            scene.from_endpoint(AT_CLIENT, &mut packet),
            Verdict::Flood,
            "{group:?}"
        );
        assert_eq!(packet, frame.bytes());
        assert_eq!(scene.work.outcome.ifindex, u32::from(BRIDGE));
        assert_eq!(
            (scene.work.outcome.network, scene.work.outcome.endpoint),
            (1, 12)
        );
        // No flow is made of it.
        assert!(scene.memory.new_flows.is_empty());
    }
}

#[test]
fn the_network_gets_it_and_others_do_not() {
    for group in [NAMES_V4, Addr::v4([255; 4]), SUBNET_BROADCAST, NAMES_V6] {
        let mut scene = Scene::new();
        let packet = to_group(&scene, group).bytes();
        for (ingress, interface, verdict) in [
            (AT_CLIENT, AT_WEB, Verdict::Host),
            (AT_CLIENT, AT_CLIENT, Verdict::Kept),
            (
                AT_CLIENT,
                AT_STRANGER,
                Verdict::Drop(DropReason::HostTraffic),
            ),
            (AT_STRANGER, AT_WEB, Verdict::Drop(DropReason::HostTraffic)),
            (UPLINK, AT_WEB, Verdict::Drop(DropReason::HostTraffic)),
            (0, AT_WEB, Verdict::Host),
        ] {
            let found = scene.to_endpoint_from(ingress, interface, &mut packet.clone());
            assert_eq!(found, verdict, "{group:?} {ingress} to {interface}");
        }
        scene.change(AT_CLIENT, |client| client.flags &= !flags::ICC);
        assert_eq!(
            scene.to_endpoint_from(AT_CLIENT, AT_WEB, &mut packet.clone()),
            Verdict::Drop(DropReason::HostTraffic)
        );
    }
}

#[test]
fn who_may_not_talk_reaches_no_group() {
    for group in [NAMES_V4, Addr::v4([255; 4]), SUBNET_BROADCAST, NAMES_V6] {
        let mut scene = Scene::new();
        scene.change(AT_CLIENT, |client| client.flags &= !flags::ICC);
        let mut packet = to_group(&scene, group).bytes();
        assert_eq!(
            scene.from_endpoint(AT_CLIENT, &mut packet),
            Verdict::Drop(DropReason::IccOff)
        );
        // Of an internal network that is no matter.
        let mut scene = Scene::new();
        scene.change(AT_CLIENT, |client| client.flags |= flags::INTERNAL);
        assert_eq!(scene.from_endpoint(AT_CLIENT, &mut packet), Verdict::Flood);
    }
}

#[test]
fn sources_that_a_group_may_hear_from() {
    let nobody_v4 = Addr::v4([0; 4]);
    for (group, source, is_fine) in [
        (NAMES_V4, nobody_v4, true),
        (NAMES_V4, WEB[0], false),
        (NAMES_V4, OUTSIDE[0], false),
        (NAMES_V6, Addr::NONE, true),
        (NAMES_V6, link_local(AT_CLIENT), true),
        (NAMES_V6, link_local(AT_WEB), false),
        (NAMES_V6, WEB[1], false),
        (SUBNET_BROADCAST, STRANGER[0], false),
    ] {
        let mut scene = Scene::new();
        let mut frame = to_group(&scene, group);
        frame.source = source;
        let verdict = scene.from_endpoint(AT_CLIENT, &mut frame.bytes());
        let expected = if is_fine {
            Verdict::Flood
        } else {
            Verdict::Drop(DropReason::SpoofedAddress)
        };
        assert_eq!(verdict, expected, "{source:?} to {group:?}");
    }
}

#[test]
fn frame_and_address_have_to_agree() {
    let mut scene = Scene::new();
    // A group in a frame for one alone is nobody's.
    for group in [NAMES_V4, Addr::v4([255; 4]), NAMES_V6] {
        let mut frame = to_group(&scene, group);
        frame.to = mac(AT_WEB);
        assert_eq!(
            scene.from_endpoint(AT_CLIENT, &mut frame.bytes()),
            Verdict::Drop(DropReason::Multicast)
        );
        assert_eq!(
            scene.to_endpoint_from(AT_CLIENT, AT_WEB, &mut frame.bytes()),
            Verdict::Drop(DropReason::HostTraffic)
        );
    }
    // One alone in a frame for all is just that one.
    for (destination, verdict) in [
        (WEB[0], Verdict::Peer),
        (GATEWAY[0], Verdict::Host),
        (OUTSIDE[0], Verdict::Neighbour),
        (STRANGER[0], Verdict::Drop(DropReason::Isolated)),
        (
            Addr::v4([172, 19, 255, 255]),
            Verdict::Drop(DropReason::Isolated),
        ),
    ] {
        let mut frame = to_group(&scene, NAMES_V4);
        (frame.to, frame.destination) = (EVERYBODY, destination);
        let found = scene.from_endpoint(AT_CLIENT, &mut frame.bytes());
        assert_eq!(found, verdict, "{destination:?}");
    }
    // The broadcast address in a frame for the gateway is an address that nobody has.
    let mut frame = to_group(&scene, SUBNET_BROADCAST);
    frame.to = mac(BRIDGE);
    assert_eq!(
        scene.from_endpoint(AT_CLIENT, &mut frame.bytes()),
        Verdict::Drop(DropReason::NoNeighbor)
    );
}

#[test]
fn fragments_of_what_is_for_a_group_wait_for_nothing() {
    let mut scene = Scene::new();
    let mut packet = to_group(&scene, NAMES_V4).bytes();
    packet[20..22].copy_from_slice(&[0, 0x10]);
    assert_eq!(scene.from_endpoint(AT_CLIENT, &mut packet), Verdict::Flood);
    assert!(scene.memory.fragments.is_empty());
}

#[test]
fn the_resolver_speaks_to_no_group() {
    let mut scene = Scene::new();
    let mut frame = scene.frame(RESOLVER, GATEWAY[0], NAMES_V4, Payload::EchoRequest(1, 1));
    frame.to = [1, 0, 0x5e, 0, 0, 0xfb];
    assert_eq!(
        scene.from_endpoint(RESOLVER, &mut frame.bytes()),
        Verdict::Drop(DropReason::Multicast)
    );
}
