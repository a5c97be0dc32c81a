//! ARP and neighbour discovery of containers: every address of the network is answered by netd,
//! and nobody can lie to another.

use netd_common::{
    Addr, DropReason,
    packet::{
        Verdict,
        testing::{Frame, Payload, Scene, names::*, sums_are_right},
    },
};

fn arp(sender: u8, sender_address: Addr, target: Addr) -> Vec<u8> {
    let mut bytes = [
        &[0xff; 6][..],
        &mac(sender),
        &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1],
    ]
    .concat();
    bytes.extend(mac(sender));
    bytes.extend(sender_address.octets_v4());
    bytes.extend([0; 6]);
    bytes.extend(target.octets_v4());
    bytes
}

#[test]
fn arp_tells_who_has_an_address() {
    for (target, owner) in [(WEB[0], AT_WEB), (GATEWAY[0], BRIDGE)] {
        let mut scene = Scene::new();
        let mut packet = arp(AT_CLIENT, CLIENT[0], target);
        // Some hosts pad to the shortest Ethernet frame.
        packet.resize(60, 0);
        assert_eq!(scene.from_endpoint(AT_CLIENT, &mut packet), Verdict::Answer);
        let mut expected = [&mac(AT_CLIENT)[..], &mac(owner)].concat();
        expected.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 2]);
        expected.extend(mac(owner));
        expected.extend(target.octets_v4());
        expected.extend(mac(AT_CLIENT));
        expected.extend(CLIENT[0].octets_v4());
        assert_eq!(packet, expected);
    }
}

#[test]
fn arp_that_is_not_answered() {
    let mut scene = Scene::new();
    let mut reason = |mut packet: Vec<u8>| match scene.from_endpoint(AT_CLIENT, &mut packet) {
        Verdict::Drop(reason) => reason,
        other => panic!("{other:?}"),
    };
    let request = arp(AT_CLIENT, CLIENT[0], WEB[0]);
    // Of another network, of nobody, of itself (an announcement or a probe).
    for nobody in [STRANGER[0], Addr::v4([172, 18, 0, 99]), OUTSIDE[0]] {
        let packet = arp(AT_CLIENT, CLIENT[0], nobody);
        assert_eq!(reason(packet), DropReason::NoNeighbor);
    }
    let probe = arp(AT_CLIENT, Addr::ANY_V4, CLIENT[0]);
    assert_eq!(reason(probe), DropReason::Arp);
    // A reply, a foreign sender inside, another hardware, and every length that is too short.
    for (at, value) in [(21, 2), (27, AT_WEB), (15, 6), (18, 8), (19, 16)] {
        let mut packet = request.clone();
        packet[at] = value;
        assert_eq!(reason(packet), DropReason::Arp, "octet {at}");
    }
    for length in 14..request.len() {
        assert_eq!(reason(request[..length].to_vec()), DropReason::Arp);
    }
}

fn solicitation(source: Addr, target: Addr) -> Frame {
    let mut group = Addr::v6([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0]);
    group.0[13..].copy_from_slice(&target.0[13..]);
    let mut rest = [&[0; 4][..], &target.0].concat();
    if !source.is_none() {
        rest.extend([1, 1]);
        rest.extend(mac(AT_CLIENT));
    }
    Frame {
        to: [0x33, 0x33, 0xff, 0, 0, target.0[15]],
        from: mac(AT_CLIENT),
        source,
        destination: group,
        hops: 255,
        payload: Payload::Icmp(135, rest),
    }
}

#[test]
fn a_solicitation_is_answered() {
    let link_local = Addr::v6([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x42, 0, 0, 0, 0, 0, 7]);
    for (target, owner, flags) in [(WEB[1], AT_WEB, 0x60), (GATEWAY[1], BRIDGE, 0xe0)] {
        for source in [CLIENT[1], link_local] {
            let mut scene = Scene::new();
            let mut packet = solicitation(source, target).bytes();
            assert_eq!(scene.from_endpoint(AT_CLIENT, &mut packet), Verdict::Answer);
            let mut rest = [&[flags, 0, 0, 0][..], &target.0, &[2, 1]].concat();
            rest.extend(mac(owner));
            let expected = Frame {
                to: mac(AT_CLIENT),
                from: mac(owner),
                source: target,
                destination: source,
                hops: 255,
                payload: Payload::Icmp(136, rest),
            };
            assert_eq!(packet, expected.bytes());
            assert!(sums_are_right(&packet));
        }
    }
}

#[test]
fn a_newcomer_learns_that_its_address_is_taken() {
    let mut scene = Scene::new();
    let mut packet = solicitation(Addr::NONE, WEB[1]).bytes();
    assert_eq!(scene.from_endpoint(AT_CLIENT, &mut packet), Verdict::Answer);
    let all_nodes = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    assert_eq!(packet[38..54], all_nodes);
    assert_eq!(packet[..6], [0x33, 0x33, 0, 0, 0, 1]);
    // Not solicited, overriding.
    assert_eq!(packet[58], 0x20);
    assert!(sums_are_right(&packet));
    // Its own is free.
    let mut packet = solicitation(Addr::NONE, CLIENT[1]).bytes();
    assert_eq!(
        scene.from_endpoint(AT_CLIENT, &mut packet),
        Verdict::Drop(DropReason::Neighbor)
    );
}

#[test]
fn discovery_that_is_not_answered() {
    let mut scene = Scene::new();
    let mut reason = |frame: &Frame| match scene.from_endpoint(AT_CLIENT, &mut frame.bytes()) {
        Verdict::Drop(reason) => reason,
        other => panic!("{other:?}"),
    };
    let good = solicitation(CLIENT[1], WEB[1]);
    for (kind, expected) in [
        (133, DropReason::Neighbor),
        (134, DropReason::RouterAdvertisement),
        (136, DropReason::Neighbor),
        (137, DropReason::Neighbor),
    ] {
        let mut frame = good.clone();
        frame.payload = Payload::Icmp(kind, vec![0; 28]);
        assert_eq!(reason(&frame), expected);
        // Also to a neighbour alone.
        frame.destination = WEB[1];
        assert_eq!(reason(&frame), expected);
    }
    let mut forwarded = good.clone();
    forwarded.hops = 254;
    assert_eq!(reason(&forwarded), DropReason::Neighbor);
    assert_eq!(
        reason(&solicitation(CLIENT[1], STRANGER[1])),
        DropReason::NoNeighbor
    );
    let mut short = good;
    short.payload = Payload::Icmp(135, vec![0; 12]);
    assert_eq!(reason(&short), DropReason::Truncated);
}

#[test]
fn the_resolver_reaches_everybody_by_one_mac() {
    let mut scene = Scene::new();
    let mut packet = arp(RESOLVER, GATEWAY[0], CLIENT[0]);
    assert_eq!(scene.from_endpoint(RESOLVER, &mut packet), Verdict::Answer);
    assert_eq!(packet[22..28], mac(98));
}
