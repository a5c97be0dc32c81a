//! What is not a plain packet: fragments in any order, IPv4 options, IPv6 extension headers, packets
//! for the stack to cut. Each goes where a plain one would, and checksums stay right.

use netd_common::{
    Addr, DropReason,
    limits::{FRAGMENT_SECONDS, MAX_PARKED_PER_DATAGRAM, PARKED_SECONDS},
    packet::{
        Verdict,
        testing::{
            ORDERS, Payload, Scene, correct_header_sum, correct_sums, cut, names::*, ports,
            sums_are_right, whole, with_extension, with_options,
        },
    },
};

const FAMILIES: [usize; 2] = [0, 1];
const SECOND: u64 = 1_000_000_000;
/// Octets of a fragment in these tests.
const SIZE: usize = 64;
/// Their identification.
const ID: u16 = 0x1234;

fn datagram(source: u16, destination: u16) -> Payload {
    Payload::Udp(source, destination, (0..150).collect())
}

/// Sends fragments in an order and, as the kernel would, what comes in once more; each with its
/// verdict when it went on.
fn send(
    scene: &mut Scene,
    pieces: &[Vec<u8>],
    order: &[usize],
    go: impl Fn(&mut Scene, &mut Vec<u8>) -> Verdict,
) -> Vec<(Verdict, Vec<u8>)> {
    let mut carried = Vec::new();
    for number in order {
        let mut coming = vec![pieces[*number].clone()];
        while let Some(mut packet) = coming.pop() {
            let verdict = go(scene, &mut packet);
            coming.extend(scene.lot.again.drain(..).rev());
            if !matches!(verdict, Verdict::Kept | Verdict::Pass) {
                carried.push((verdict, packet));
            }
        }
    }
    carried
}

/// The datagram that fragments, carried in whatever order, make.
fn reassembled(carried: &[(Verdict, Vec<u8>)], expected: Verdict) -> Vec<u8> {
    let mut pieces: Vec<Vec<u8>> = carried
        .iter()
        .map(|(verdict, packet)| {
            assert_eq!(*verdict, expected);
            packet.clone()
        })
        .collect();
    let is_v4 = pieces[0][12] == 8;
    pieces.sort_by_key(|packet| {
        let at = if is_v4 { 20 } else { 56 };
        let field = u16::from_be_bytes([packet[at], packet[at + 1]]);
        if is_v4 {
            field & 0x1fff
        } else {
            field & 0xfff8
        }
    });
    whole(&pieces)
}

#[test]
fn out_through_masquerade_in_any_order_and_back() {
    for family in FAMILIES {
        for order in ORDERS {
            for echo in [false, true] {
                let mut scene = Scene::new();
                let payload = |there| match (echo, there) {
                    (false, true) => datagram(20_000, 53),
                    (false, false) => datagram(53, 20_000),
                    (true, true) => Payload::Icmp([8, 128][family], vec![7; 158]),
                    (true, false) => Payload::Icmp([0, 129][family], vec![7; 158]),
                };
                let (own, far) = (CLIENT[family], OUTSIDE[family]);
                let frame = scene.frame(AT_CLIENT, own, far, payload(true)).bytes();
                let out = |scene: &mut Scene, packet: &mut Vec<u8>| {
                    scene.from_endpoint(AT_CLIENT, packet)
                };
                let carried = send(&mut scene, &cut(&frame, SIZE, ID), &order, out);
                assert_eq!(carried.len(), 3, "{order:?}");
                let sent = reassembled(&carried, Verdict::Neighbour);
                assert!(sums_are_right(&sent), "{order:?}");
                assert!(scene.lot.parked.is_empty());

                let mut reply = scene
                    .outside_frame(far, HOST[family], payload(false))
                    .bytes();
                let transport = [34, 54][family];
                if echo {
                    let identifier = sent[transport + 4..transport + 6].to_vec();
                    reply[transport + 4..transport + 6].copy_from_slice(&identifier);
                } else {
                    let port = ports(&sent)[0].to_be_bytes();
                    reply[transport + 2..transport + 4].copy_from_slice(&port);
                }
                correct_sums(&mut reply);
                let back = |scene: &mut Scene, packet: &mut Vec<u8>| scene.from_uplink(packet);
                let carried = send(&mut scene, &cut(&reply, SIZE, ID), &order, back);
                let received = reassembled(&carried, Verdict::Peer);
                assert!(sums_are_right(&received), "{order:?}");
                let expected = scene.frame(AT_CLIENT, far, own, payload(false)).bytes();
                assert_eq!(received[transport..], expected[transport..], "{order:?}");
            }
        }
    }
}

#[test]
fn to_a_published_port_in_any_order() {
    for family in FAMILIES {
        for order in ORDERS {
            let mut scene = Scene::new();
            let frame = scene.outside_frame(OUTSIDE[family], HOST[family], datagram(5_353, PORT));
            let pieces = cut(&frame.bytes(), SIZE, ID);
            let go = |scene: &mut Scene, packet: &mut Vec<u8>| scene.from_uplink(packet);
            let carried = send(&mut scene, &pieces, &order, go);
            let received = reassembled(&carried, Verdict::Peer);
            assert!(sums_are_right(&received), "{order:?}");
            assert_eq!(ports(&received), [5_353, 80]);
            // A neighbour in the same network, too: the flow has the dialled address.
            let mut scene = Scene::new();
            let frame = scene.frame(
                AT_CLIENT,
                CLIENT[family],
                HOST[family],
                datagram(5_353, PORT),
            );
            let pieces = cut(&frame.bytes(), SIZE, ID);
            let go =
                |scene: &mut Scene, packet: &mut Vec<u8>| scene.from_endpoint(AT_CLIENT, packet);
            let carried = send(&mut scene, &pieces, &order, go);
            assert!(sums_are_right(&reassembled(&carried, Verdict::Peer)));
            let reply = scene.frame(AT_WEB, WEB[family], CLIENT[family], datagram(80, 5_353));
            let pieces = cut(&reply.bytes(), SIZE, ID);
            let go = |scene: &mut Scene, packet: &mut Vec<u8>| scene.from_endpoint(AT_WEB, packet);
            let carried = send(&mut scene, &pieces, &order, go);
            let received = reassembled(&carried, Verdict::Peer);
            assert!(sums_are_right(&received), "{order:?}");
            assert_eq!(ports(&received), [PORT, 5_353]);
        }
    }
}

#[test]
fn inside_a_network_fragments_need_no_first() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        let frame = scene.frame(AT_CLIENT, CLIENT[family], WEB[family], datagram(1, 2));
        for piece in cut(&frame.bytes(), SIZE, ID).iter().rev() {
            let verdict = scene.from_endpoint(AT_CLIENT, &mut piece.clone());
            assert_eq!(verdict, Verdict::Peer);
        }
        assert!(scene.memory.fragments.is_empty());
    }
}

#[test]
fn what_is_the_hosts_goes_on_to_the_host() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        let frame = scene.outside_frame(OUTSIDE[family], HOST[family], datagram(1, 2));
        let pieces = cut(&frame.bytes(), SIZE, ID);
        for number in [2, 0, 1] {
            let mut packet = pieces[number].clone();
            assert_eq!(scene.from_uplink(&mut packet), Verdict::Pass);
            assert_eq!(packet, pieces[number]);
        }
        assert!(scene.lot.again.is_empty(), "the host has it already");
        // Nor is what is for somebody else, or too much to keep, of any concern.
        let frame = scene.outside_frame(OUTSIDE[family], OUTSIDE_TOO[family], datagram(1, 2));
        for piece in cut(&frame.bytes(), SIZE, ID) {
            assert_eq!(scene.from_uplink(&mut piece.clone()), Verdict::Pass);
        }
        let frame = scene.outside_frame(OUTSIDE[family], HOST[family], datagram(1, 2));
        for piece in cut(&frame.bytes(), 8, ID).iter().skip(1) {
            assert_eq!(scene.from_uplink(&mut piece.clone()), Verdict::Pass);
        }
        assert!(scene.lot.parked.len() <= MAX_PARKED_PER_DATAGRAM as usize);
    }
}

#[test]
fn only_so_many_wait_and_not_for_long() {
    let mut scene = Scene::new();
    let frame = scene.frame(AT_CLIENT, CLIENT[0], OUTSIDE[0], datagram(1, 2));
    let pieces = cut(&frame.bytes(), 8, ID);
    let mut verdicts: Vec<Verdict> = pieces[1..10]
        .iter()
        .map(|piece| scene.from_endpoint(AT_CLIENT, &mut piece.clone()))
        .collect();
    assert_eq!(
        verdicts.pop(),
        Some(Verdict::Drop(DropReason::FragmentOverflow))
    );
    assert_eq!(verdicts, [Verdict::Kept; 8]);
    // After a second others take their places, and they are counted.
    scene.memory.now += (PARKED_SECONDS + 1) * SECOND;
    let verdict = scene.from_endpoint(AT_CLIENT, &mut pieces[9].clone());
    assert_eq!(verdict, Verdict::Kept);
    assert_eq!(scene.lot.expired, 1);
    // The first one comes too late for those that are left, which are counted, too.
    scene.memory.now += SECOND / 2;
    let go = |scene: &mut Scene, packet: &mut Vec<u8>| scene.from_endpoint(AT_CLIENT, packet);
    let carried = send(&mut scene, &pieces, &[0], go);
    assert_eq!(carried.len(), 2);
    assert_eq!(scene.lot.expired, 8);
    assert!(scene.lot.parked.is_empty());
}

#[test]
fn one_that_is_too_large_to_wait_is_counted() {
    let mut scene = Scene::new();
    let payload = Payload::Udp(1, 2, vec![0; 4_000]);
    let frame = scene.frame(AT_CLIENT, CLIENT[0], OUTSIDE[0], payload);
    let pieces = cut(&frame.bytes(), 2_000, ID);
    let verdict = scene.from_endpoint(AT_CLIENT, &mut pieces[1].clone());
    assert_eq!(verdict, Verdict::Drop(DropReason::FragmentOverflow));
}

#[test]
fn a_datagram_is_known_for_a_while_and_to_its_endpoint_alone() {
    let mut scene = Scene::new();
    let frame = scene.frame(AT_CLIENT, CLIENT[0], OUTSIDE[0], datagram(1, 2));
    let pieces = cut(&frame.bytes(), SIZE, ID);
    let go = |scene: &mut Scene, packet: &mut Vec<u8>| scene.from_endpoint(AT_CLIENT, packet);
    assert_eq!(send(&mut scene, &pieces, &[0, 1], go).len(), 2);
    // The endpoint's address, at another interface: what a former one sent is not for it.
    let mut successor = scene.memory.interfaces[&u32::from(AT_CLIENT)];
    successor.ifindex = 200;
    scene.put(&successor);
    let verdict = scene.from_endpoint(200, &mut pieces[1].clone());
    assert_eq!(verdict, Verdict::Kept);
    scene.memory.now += (FRAGMENT_SECONDS + 1) * SECOND;
    let verdict = scene.from_endpoint(AT_CLIENT, &mut pieces[1].clone());
    assert_eq!(verdict, Verdict::Kept);
}

#[test]
fn what_is_too_big_is_cut_by_the_stack_and_translated_behind_it() {
    let mut scene = Scene::new();
    scene.memory.too_big = true;
    let payload = Payload::Udp(20_000, 53, (0..=255).cycle().take(2_000).collect());
    let frame = scene.frame(AT_CLIENT, CLIENT[0], OUTSIDE[0], payload);
    let mut packet = frame.bytes();
    // Without "don't fragment".
    packet[20] = 0;
    correct_sums(&mut packet);
    let before = packet.clone();
    assert_eq!(scene.from_endpoint(AT_CLIENT, &mut packet), Verdict::Host);
    assert_eq!(packet, before, "the stack gets it as it is");
    let order: Vec<usize> = (0..4).collect();
    let go = |scene: &mut Scene, packet: &mut Vec<u8>| scene.to_uplink(true, packet);
    let carried = send(&mut scene, &cut(&before, 576, ID), &order, go);
    let sent = reassembled(&carried, Verdict::Host);
    assert!(sums_are_right(&sent));
    assert_eq!(sent[26..30], HOST[0].octets_v4());
    // One that comes without its first is nobody's.
    let mut stray = cut(&before, 576, ID).remove(1);
    stray[18] ^= 1;
    let verdict = scene.to_uplink(true, &mut stray);
    assert_eq!(verdict, Verdict::Drop(DropReason::Fragment));
}

/// The packet without its options, its header sum right if it was before.
fn without_options(packet: &[u8]) -> Vec<u8> {
    let end = 14 + usize::from(packet[14] & 15) * 4;
    let mut checked = packet.to_vec();
    correct_header_sum(&mut checked);
    assert_eq!(checked, packet, "the header's sum");
    let mut plain = packet.to_vec();
    plain.drain(34..end);
    plain[14] = 0x45;
    let length = (plain.len() - 14) as u16;
    plain[16..18].copy_from_slice(&length.to_be_bytes());
    correct_header_sum(&mut plain);
    plain
}

#[test]
fn ip_options_are_carried_but_for_source_routes() {
    // Record route, time stamps, router alert, padding; an unknown one.
    let options: [&[u8]; 4] = [
        &[7, 7, 4, 0, 0, 0, 0, 0],
        &[68, 8, 5, 0, 0, 0, 0, 0],
        &[148, 4, 0, 0, 1, 1, 1, 0],
        &[30, 4, 9, 9],
    ];
    for options in options {
        let mut scene = Scene::new();
        let frame = scene.frame(AT_CLIENT, CLIENT[0], OUTSIDE[0], datagram(20_000, 53));
        let mut packet = with_options(&frame.bytes(), options);
        assert_eq!(
            scene.from_endpoint(AT_CLIENT, &mut packet),
            Verdict::Neighbour
        );
        let plain = without_options(&packet);
        assert!(sums_are_right(&plain), "{options:?}");
        let reply = scene.outside_frame(OUTSIDE[0], HOST[0], datagram(53, ports(&plain)[0]));
        let mut packet = with_options(&reply.bytes(), options);
        assert_eq!(scene.from_uplink(&mut packet), Verdict::Peer);
        let plain = without_options(&packet);
        assert!(sums_are_right(&plain), "{options:?}");
        assert_eq!(ports(&plain), [53, 20_000]);
    }
    let mut scene = Scene::new();
    for options in [
        [131, 7, 4, 9, 9, 9, 9, 0],
        [1, 137, 7, 4, 9, 9, 9, 9],
        [7, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 7, 7, 4, 0],
    ] {
        let frame = scene.frame(AT_CLIENT, CLIENT[0], OUTSIDE[0], datagram(20_000, 53));
        let mut packet = with_options(&frame.bytes(), &options);
        assert_eq!(
            scene.from_endpoint(AT_CLIENT, &mut packet),
            Verdict::Drop(DropReason::IpOptions)
        );
        // From outside they are the host's to judge.
        let frame = scene.outside_frame(OUTSIDE[0], HOST[0], datagram(1, PORT));
        let mut packet = with_options(&frame.bytes(), &options);
        assert_eq!(scene.from_uplink(&mut packet), Verdict::Pass);
    }
}

fn without_extensions(packet: &[u8], octets: usize, protocol: u8) -> Vec<u8> {
    let mut plain = packet.to_vec();
    plain.drain(54..54 + octets);
    plain[20] = protocol;
    let length = (plain.len() - 54) as u16;
    plain[18..20].copy_from_slice(&length.to_be_bytes());
    plain
}

#[test]
fn extension_headers_are_carried() {
    let destination = [0, 0, 1, 4, 0, 0, 0, 0];
    let long = [0, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    // A route that ends here; a fragment header of a whole packet.
    let chains: [&[(u8, &[u8])]; 5] = [
        &[(60, &destination)],
        &[(0, &long)],
        &[(43, &[0, 0, 2, 0, 0, 0, 0, 0])],
        &[(44, &[0, 0, 0, 0, 1, 2, 3, 4])],
        &[
            (60, &destination),
            (44, &[0, 0, 0, 0, 1, 2, 3, 4]),
            (0, &long),
        ],
    ];
    for chain in chains {
        let mut scene = Scene::new();
        let octets: usize = chain.iter().map(|(_, header)| header.len()).sum();
        let dress = |packet: Vec<u8>| {
            chain.iter().fold(packet, |packet, (kind, header)| {
                with_extension(&packet, *kind, header)
            })
        };
        let frame = scene.frame(AT_CLIENT, CLIENT[1], OUTSIDE[1], datagram(20_000, 53));
        let mut packet = dress(frame.bytes());
        assert_eq!(
            scene.from_endpoint(AT_CLIENT, &mut packet),
            Verdict::Neighbour,
            "{chain:?}"
        );
        let plain = without_extensions(&packet, octets, 17);
        assert!(sums_are_right(&plain), "{chain:?}");
        let reply = scene.outside_frame(OUTSIDE[1], HOST[1], datagram(53, ports(&plain)[0]));
        let mut packet = dress(reply.bytes());
        assert_eq!(scene.from_uplink(&mut packet), Verdict::Peer);
        let plain = without_extensions(&packet, octets, 17);
        assert!(sums_are_right(&plain));
        assert_eq!(ports(&plain), [53, 20_000]);
    }
}

#[test]
fn neighbour_discovery_does_not_hide_behind_extension_headers() {
    let mut scene = Scene::new();
    let all = Addr([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let mut frame = scene.frame(AT_CLIENT, CLIENT[1], all, Payload::Icmp(134, vec![0; 60]));
    frame.hops = 255;
    let packet = with_extension(&frame.bytes(), 60, &[0, 0, 1, 4, 0, 0, 0, 0]);
    let advertisement = Verdict::Drop(DropReason::RouterAdvertisement);
    assert_eq!(
        scene.from_endpoint(AT_CLIENT, &mut packet.clone()),
        advertisement
    );
    let first = &cut(&frame.bytes(), 32, ID)[0];
    assert_eq!(
        scene.from_endpoint(AT_CLIENT, &mut first.clone()),
        advertisement
    );
}
