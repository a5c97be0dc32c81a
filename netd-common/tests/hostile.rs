//! Whatever comes: no decision panics, no rewrite leaves the packet, and what is translated there
//! is translated back.

use netd_common::{
    Addr, DropReason,
    packet::{
        Packet, Verdict, Work, from_endpoint, from_uplink,
        testing::{Bare, Frame, Payload, Scene, names::*, sums_are_right},
        to_uplink,
        view::{ETHERNET, ethertype},
    },
};
use proptest::{
    collection::vec, prelude::*, sample::select, strategy::ValueTree, test_runner::TestRunner,
};

/// Every decision on these bytes, on a host that has flows.
fn decide_everything(bytes: &[u8]) {
    let mut scene = scene_with_flows();
    for interface in [AT_WEB, AT_CLIENT, AT_STRANGER, RESOLVER] {
        check(bytes, |packet| scene.from_endpoint(interface, packet));
    }
    for forwarded in [false, true] {
        check(bytes, |packet| scene.to_endpoint(AT_WEB, forwarded, packet));
        check(bytes, |packet| scene.to_uplink(forwarded, packet));
    }
    check(bytes, |packet| scene.from_uplink(packet));
    for ethertype in [ethertype::IPV4, ethertype::IPV6, ethertype::ARP] {
        check_bare(&mut scene, Bare { ethertype, bytes });
        let behind_header = bytes.get(ETHERNET..).unwrap_or_default();
        let bare = Bare {
            ethertype,
            bytes: behind_header,
        };
        check_bare(&mut scene, bare);
    }
}

/// A packet of a link without Ethernet headers has the fate of one with a header.
fn check_bare(scene: &mut Scene, bare: Bare<'_>) {
    let of = |work: &Work| (work.view, work.outcome, work.flow);
    let mut other = scene.clone();
    let framed = [&bare.header(), bare.bytes].concat();
    let packet = framed.as_slice();
    let uplink = UPLINK.into();
    let here = from_uplink::decide(&bare, uplink, &mut scene.memory, &mut scene.work);
    let there = from_uplink::decide(&packet, uplink, &mut other.memory, &mut other.work);
    assert_eq!((here, of(&scene.work)), (there, of(&other.work)));
    for forwarded in [false, true] {
        let here = to_uplink::decide(&bare, forwarded, &mut scene.memory, &mut scene.work);
        let there = to_uplink::decide(&packet, forwarded, &mut other.memory, &mut other.work);
        assert_eq!((here, of(&scene.work)), (there, of(&other.work)));
    }
}

/// What is dropped or passes stays as it is, and what goes on keeps its length.
fn check(bytes: &[u8], mut decide: impl FnMut(&mut Vec<u8>) -> Verdict) {
    let mut packet = bytes.to_vec();
    match decide(&mut packet) {
        Verdict::Drop(_)
        | Verdict::Pass
        | Verdict::Dns
        | Verdict::IcmpError
        | Verdict::Fragment
        | Verdict::Kept
        | Verdict::Flood => {
            assert_eq!(packet, bytes)
        }
        Verdict::Answer => assert!(packet.len() == 42 || packet.len() == 86),
        Verdict::Host | Verdict::Peer | Verdict::Neighbour => {
            assert_eq!(packet.len(), bytes.len());
        }
    }
}

fn scene_with_flows() -> Scene {
    let mut scene = Scene::new();
    for family in [0, 1] {
        for payload in payloads() {
            let frame = scene.frame(AT_CLIENT, CLIENT[family], OUTSIDE[family], payload.clone());
            scene.from_endpoint(AT_CLIENT, &mut frame.bytes());
            let frame = scene.outside_frame(OUTSIDE[family], HOST[family], payload);
            scene.from_uplink(&mut frame.bytes());
        }
    }
    scene
}

fn payloads() -> Vec<Payload> {
    vec![
        Payload::Tcp(20_000, PORT, 2),
        Payload::Udp(20_000, PORT, vec![1, 2, 3]),
        Payload::Udp(10_053, 10_053, vec![0; 30]),
        Payload::EchoRequest(7, 1),
        Payload::EchoReply(7, 1),
        Payload::Icmp(135, vec![0; 28]),
        Payload::Icmp(3, vec![0; 28]),
        Payload::Other(0, vec![0; 16]),
    ]
}

/// Good frames of everybody to everybody.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let people = [WEB, CLIENT, STRANGER, GATEWAY, HOST, OUTSIDE, OUTSIDE_TOO];
    let interfaces = vec![AT_WEB, AT_CLIENT, AT_STRANGER, RESOLVER, UPLINK];
    (
        select(interfaces),
        select(people.to_vec()),
        select(people.to_vec()),
        0..2_usize,
        select(payloads()),
        any::<u8>(),
    )
        .prop_map(|(from, source, destination, family, payload, hops)| {
            let frame = Frame {
                to: mac(BRIDGE),
                from: mac(from),
                source: source[family],
                destination: destination[family],
                hops,
                payload,
            };
            frame.bytes()
        })
}

/// A packet whose VLAN tag the kernel keeps beside it.
struct Tagged<'a>(&'a [u8]);

impl Packet for Tagged<'_> {
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.0.read(offset)
    }

    fn read_into<const N: usize>(&self, offset: usize, into: &mut [u8; N]) -> Option<()> {
        self.0.read_into(offset, into)
    }

    fn length(&self) -> usize {
        self.0.len()
    }

    fn is_tagged(&self) -> bool {
        true
    }
}

#[test]
fn what_is_tagged_is_another_links() {
    let mut scene = scene_with_flows();
    let payload = Payload::Udp(20_000, PORT, vec![1, 2, 3]);
    let (memory, work) = (&mut scene.memory, &mut scene.work);
    let frame = Frame {
        to: mac(BRIDGE),
        from: mac(AT_CLIENT),
        source: CLIENT[0],
        destination: WEB[0],
        hops: 64,
        payload,
    };
    let mut bytes = frame.bytes();
    assert_eq!(
        from_endpoint::decide(&Tagged(&bytes), AT_CLIENT.into(), memory, work),
        Verdict::Drop(DropReason::UnknownEthertype)
    );
    assert_eq!(
        to_uplink::decide(&Tagged(&bytes), true, memory, work),
        Verdict::Pass
    );
    let frame = Frame {
        source: OUTSIDE[0],
        destination: HOST[0],
        ..frame
    };
    bytes = frame.bytes();
    assert_eq!(
        from_uplink::decide(&bytes.as_slice(), UPLINK.into(), memory, work),
        Verdict::Peer
    );
    assert_eq!(
        from_uplink::decide(&Tagged(&bytes), UPLINK.into(), memory, work),
        Verdict::Pass
    );
}

#[test]
fn random_bytes_of_every_length() {
    let mut runner = TestRunner::deterministic();
    for length in 0..=128 {
        for _ in 0..8 {
            let mut bytes = vec(any::<u8>(), length)
                .new_tree(&mut runner)
                .expect("bytes")
                .current();
            decide_everything(&bytes);
            // From a known sender, with a known type, more of it is looked at.
            if length >= 14 {
                bytes[6..12].copy_from_slice(&mac(AT_CLIENT));
                for ethertype in [[8, 0], [8, 6], [0x86, 0xdd]] {
                    bytes[12..14].copy_from_slice(&ethertype);
                    decide_everything(&bytes);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn mutated_packets(
        frame in frames(),
        mutations in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
        more in vec(any::<u8>(), 0..20),
    ) {
        let mut bytes = frame;
        for (at, value) in mutations {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes.extend(more);
        decide_everything(&bytes);
    }

    #[test]
    fn there_and_back(
        family in 0..2_usize,
        last in any::<[u8; 2]>(),
        numbers in any::<(u16, u16)>(),
        data in vec(any::<u8>(), 0..40),
        kind in 0..4,
        masquerade in any::<bool>(),
    ) {
        let mut scene = Scene::new();
        let (own, far) = numbers;
        if !masquerade {
            scene.change(AT_CLIENT, |client| {
                client.flags &= !netd_common::abi::endpoint::flags::MASQUERADE;
            });
        }
        let mut outside: Addr = OUTSIDE[family];
        outside.0[14..].copy_from_slice(&last);
        let (there, back) = match kind {
            0 => (Payload::Tcp(own, far, 2), Payload::Tcp(far, own, 18)),
            1 => (Payload::Udp(own, far, data.clone()), Payload::Udp(far, own, data)),
            2 if family == 0 => (
                Payload::UdpUnchecked(own, far, data.clone()),
                Payload::UdpUnchecked(far, own, data),
            ),
            _ => (Payload::EchoRequest(own, far), Payload::EchoReply(own, far)),
        };
        let sent = scene.frame(AT_CLIENT, CLIENT[family], outside, there).bytes();
        let mut packet = sent.clone();
        prop_assert_eq!(scene.from_endpoint(AT_CLIENT, &mut packet), Verdict::Neighbour);
        prop_assert!(sums_are_right(&packet));

        // The far side answers what it saw.
        let expected = scene.frame(AT_CLIENT, outside, CLIENT[family], back.clone()).bytes();
        let mut reply = scene.outside_frame(outside, HOST[family], back).bytes();
        mirror(&mut reply, &packet, kind == 3 || (kind == 2 && family == 1));
        prop_assert!(sums_are_right(&reply));
        prop_assert_eq!(scene.from_uplink(&mut reply), Verdict::Peer);
        prop_assert!(sums_are_right(&reply));
        // All but MACs, hops and checksums, which differ by the hops.
        let transport = if family == 0 { 34 } else { 54 };
        prop_assert_eq!(&reply[transport - 8..], &expected[transport - 8..]);
    }
}

/// Makes a packet the reply to what somebody saw: addresses and ports turned round, or the same
/// identifier; with right checksums.
fn mirror(reply: &mut [u8], seen: &[u8], echo: bool) {
    let (addresses, length, transport) = if seen[12] == 8 {
        (26, 4, 34)
    } else {
        (22, 16, 54)
    };
    let mut patch = |at: usize, bytes: &[u8]| {
        let old = reply[at..at + bytes.len()].to_vec();
        reply[at..at + bytes.len()].copy_from_slice(bytes);
        old
    };
    let (source, destination) = (
        &seen[addresses..addresses + length],
        &seen[addresses + length..addresses + 2 * length],
    );
    patch(addresses, destination);
    patch(addresses + length, source);
    if echo {
        patch(transport + 4, &seen[transport + 4..transport + 6]);
    } else {
        patch(transport, &seen[transport + 2..transport + 4]);
        patch(transport + 2, &seen[transport..transport + 2]);
    }
    netd_common::packet::testing::correct_sums(reply);
}
