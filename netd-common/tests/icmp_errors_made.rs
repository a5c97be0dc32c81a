//! ICMP errors that netd makes in the host's stack's place: who is told what, and who is not.

use netd_common::{
    Addr, DropReason,
    limits::ICMP_ERRORS_BURST,
    packet::{
        Verdict,
        testing::{Frame, Payload, Scene, cut, names::*, sums_are_right},
    },
};

const SYN: u8 = 2;
const FAMILIES: [usize; 2] = [0, 1];
/// Time exceeded, and too big, of each family.
const EXPIRED: [u8; 2] = [11, 3];
const TOO_BIG: [u8; 2] = [3, 2];

/// Type, code, the second word, and what is quoted.
fn parts(packet: &[u8], family: usize) -> ([u8; 2], [u8; 4], &[u8]) {
    let at = 14 + [20, 40][family];
    let word = packet[at + 4..at + 8].try_into().expect("four octets");
    ([packet[at], packet[at + 1]], word, &packet[at + 8..])
}

/// Source and destination of a packet.
fn addresses(packet: &[u8], family: usize) -> [Addr; 2] {
    [0, 1].map(|nth| {
        if family == 0 {
            let at = 26 + nth * 4;
            Addr::v4(packet[at..at + 4].try_into().expect("four octets"))
        } else {
            let at = 22 + nth * 16;
            Addr::v6(packet[at..at + 16].try_into().expect("sixteen octets"))
        }
    })
}

/// The octets of its packet that an error about a frame quotes.
fn quotable(frame: &Frame) -> Vec<u8> {
    let bytes = frame.bytes();
    let octets = (bytes.len() - 14).min(128) & !3;
    bytes[14..14 + octets].to_vec()
}

#[test]
fn the_gateway_is_the_first_hop() {
    for family in FAMILIES {
        for payload in [
            Payload::Tcp(20_000, 443, SYN),
            Payload::Udp(20_000, 33_434, vec![8; 300]),
            Payload::Udp(20_000, 33_434, vec![8; 3]),
            Payload::EchoRequest(7, 1),
        ] {
            for hops in [0, 1] {
                let mut scene = Scene::new();
                let mut frame =
                    scene.frame(AT_CLIENT, CLIENT[family], OUTSIDE[family], payload.clone());
                frame.hops = hops;
                let mut packet = frame.bytes();
                assert_eq!(scene.from_endpoint(AT_CLIENT, &mut packet), Verdict::Answer);
                assert_eq!(packet[..12], [mac(AT_CLIENT), mac(BRIDGE)].concat());
                assert_eq!(
                    addresses(&packet, family),
                    [GATEWAY[family], CLIENT[family]]
                );
                let quote = quotable(&frame);
                let expected = ([EXPIRED[family], 0], [0; 4], quote.as_slice());
                assert_eq!(parts(&packet, family), expected);
                assert!(sums_are_right(&packet));
            }
        }
    }
}

#[test]
fn what_is_too_big_for_the_uplink_is_said_with_its_mtu() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        scene.memory.too_big = true;
        let uplink = scene.memory.uplinks.get_mut(&UPLINK.into());
        uplink.expect("the uplink").mtu = 1_300;
        let payload = Payload::Udp(20_000, 53, vec![1; 1_400]);
        let frame = scene.frame(AT_CLIENT, CLIENT[family], OUTSIDE[family], payload);
        let mut packet = frame.bytes();
        assert_eq!(scene.from_endpoint(AT_CLIENT, &mut packet), Verdict::Answer);
        let quote = quotable(&frame);
        let code = [4, 0][family];
        let expected = ([TOO_BIG[family], code], [0, 0, 5, 20], quote.as_slice());
        assert_eq!(parts(&packet, family), expected);
        assert!(sums_are_right(&packet));
        assert!(scene.memory.new_flows.is_empty());
    }
    // IPv4 that may be fragmented is the stack's to cut; nobody is told.
    let mut scene = Scene::new();
    scene.memory.too_big = true;
    let payload = Payload::Udp(20_000, 53, vec![1; 1_400]);
    let mut packet = scene
        .frame(AT_CLIENT, CLIENT[0], OUTSIDE[0], payload)
        .bytes();
    packet[14 + 6] = 0;
    assert_eq!(scene.from_endpoint(AT_CLIENT, &mut packet), Verdict::Host);
}

#[test]
fn the_outside_is_told_by_the_address_that_it_dialled() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        let payload = Payload::Tcp(55_555, PORT, SYN);
        let mut frame = scene.outside_frame(OUTSIDE[family], HOST[family], payload);
        frame.hops = 1;
        let mut packet = frame.bytes();
        assert_eq!(scene.from_uplink(&mut packet), Verdict::Answer);
        assert_eq!(packet[..12], [frame.from, frame.to].concat());
        assert_eq!(addresses(&packet, family), [HOST[family], OUTSIDE[family]]);
        let quote = quotable(&frame);
        let expected = ([EXPIRED[family], 0], [0; 4], quote.as_slice());
        assert_eq!(parts(&packet, family), expected);
        assert!(sums_are_right(&packet));
    }
}

/// By a published port: whoever dials it, the first hop is the gateway of the own network.
#[test]
fn between_containers_it_is_the_own_gateway() {
    for family in FAMILIES {
        for (at, source, gateway) in [
            (AT_CLIENT, CLIENT, GATEWAY),
            (AT_STRANGER, STRANGER, OTHER_GATEWAY),
            (AT_WEB, WEB, GATEWAY),
        ] {
            for dialled in [HOST, gateway] {
                let mut scene = Scene::new();
                let payload = Payload::Tcp(55_555, PORT, SYN);
                let mut frame = scene.frame(at, source[family], dialled[family], payload);
                assert_eq!(
                    scene.from_endpoint(at, &mut frame.bytes()),
                    Verdict::Peer,
                    "it is reached"
                );
                let payload = Payload::Tcp(44_444, PORT, SYN);
                frame = scene.frame(at, source[family], dialled[family], payload);
                frame.hops = 1;
                let mut packet = frame.bytes();
                assert_eq!(scene.from_endpoint(at, &mut packet), Verdict::Answer);
                assert_eq!(packet[..12], [frame.from, frame.to].concat());
                assert_eq!(
                    addresses(&packet, family),
                    [gateway[family], source[family]]
                );
                let quote = quotable(&frame);
                let expected = ([EXPIRED[family], 0], [0; 4], quote.as_slice());
                assert_eq!(parts(&packet, family), expected);
                assert!(sums_are_right(&packet));
            }
        }
    }
}

#[test]
fn errors_are_limited_in_number() {
    let mut scene = Scene::new();
    let payload = Payload::Udp(20_000, 53, vec![]);
    let mut frame = scene.frame(AT_CLIENT, CLIENT[0], OUTSIDE[0], payload);
    frame.hops = 1;
    for _ in 0..ICMP_ERRORS_BURST {
        let verdict = scene.from_endpoint(AT_CLIENT, &mut frame.bytes());
        assert_eq!(verdict, Verdict::Answer);
    }
    let drop = Verdict::Drop(DropReason::TtlExpired);
    assert_eq!(scene.from_endpoint(AT_CLIENT, &mut frame.bytes()), drop);
    // Path MTU discovery is not.
    scene.memory.too_big = true;
    scene.memory.new_flows.clear();
    assert_eq!(
        scene.from_endpoint(AT_CLIENT, &mut frame.bytes()),
        Verdict::Answer
    );
    scene.memory.too_big = false;
    scene.memory.now += 1_000_000_000;
    assert_eq!(
        scene.from_endpoint(AT_CLIENT, &mut frame.bytes()),
        Verdict::Answer
    );
}

/// RFC 1122 section 3.2.2: of IPv4, about the first fragment alone.
#[test]
fn of_a_later_fragment_only_ipv6_is_told() {
    for (family, expected) in [
        (0, Verdict::Drop(DropReason::TtlExpired)),
        (1, Verdict::Answer),
    ] {
        let mut scene = Scene::new();
        let payload = Payload::Udp(20_000, 53, vec![7; 100]);
        let mut frame = scene.frame(AT_CLIENT, CLIENT[family], OUTSIDE[family], payload);
        frame.hops = 1;
        let [mut first, mut later] = cut(&frame.bytes(), 64, 1).try_into().expect("two");
        let verdict = scene.from_endpoint(AT_CLIENT, &mut first);
        assert_eq!(verdict, Verdict::Answer);
        assert_eq!(scene.from_endpoint(AT_CLIENT, &mut later), expected);
    }
}

#[test]
fn who_cannot_be_told_is_not() {
    let mut scene = Scene::new();
    let payload = Payload::Udp(20_000, 53, vec![]);
    let mut frame = scene.frame(AT_CLIENT, CLIENT[0], OUTSIDE[0], payload);
    frame.hops = 1;
    // Sent to everybody on the link.
    frame.to = [0xff; 6];
    let drop = Verdict::Drop(DropReason::TtlExpired);
    assert_eq!(scene.from_endpoint(AT_CLIENT, &mut frame.bytes()), drop);
    // A network without a gateway.
    frame.to = mac(BRIDGE);
    scene.change(AT_CLIENT, |client| client.gateways = [Addr::NONE; 2]);
    assert_eq!(scene.from_endpoint(AT_CLIENT, &mut frame.bytes()), drop);
}
