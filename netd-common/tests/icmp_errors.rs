//! ICMP errors about flows: found by what they quote, translated with it, both ways and both
//! families. Every checksum is compared with one made anew: expected packets are built, not changed.

use netd_common::{
    Addr, DropReason,
    packet::{
        Verdict,
        testing::{
            Frame, Payload, Scene, cut, names::*, sums_are_right, with_extension, with_options,
        },
    },
};
use proptest::prelude::*;

const SYN: u8 = 2;
const SYN_ACK: u8 = 18;
const FAMILIES: [usize; 2] = [0, 1];
/// Destination unreachable, of each family.
const UNREACHABLE: [u8; 2] = [3, 1];
/// Every error that is carried: unreachable, time exceeded, parameter problem; of IPv6, too big.
const ERRORS: [&[u8]; 2] = [&[3, 11, 12], &[1, 2, 3, 4]];

/// An error of this type that quotes a packet's first `octets` from its IP header on.
fn error(message: u8, quoted: &[u8], octets: usize) -> Payload {
    let quote = &quoted[14..quoted.len().min(14 + octets)];
    Payload::Icmp(message, [&[0, 0, 5, 120], quote].concat())
}

/// What an error quotes of a frame that went one or no hop.
fn quoted(frame: &Frame, hops: u8) -> Vec<u8> {
    let hops = Frame {
        hops,
        ..frame.clone()
    };
    hops.bytes()
}

fn flows(scene: &Scene) -> impl PartialEq + std::fmt::Debug + use<> {
    (scene.memory.flows.clone(), scene.memory.new_flows.clone())
}

fn conversations() -> [Payload; 4] {
    [
        Payload::Tcp(20_000, 443, SYN),
        Payload::Udp(20_000, 53, vec![1, 2, 3]),
        Payload::UdpUnchecked(20_000, 53, vec![4; 8]),
        Payload::EchoRequest(7, 1),
    ]
}

/// A container's packet leaves, an error of `by` about it comes in; what arrives must be what `by`
/// would have said to the container itself.
fn about_masqueraded(family: usize, by: Addr, message: u8, payload: Payload, octets: usize) {
    let mut scene = Scene::new();
    // Another container has the port already, so that it changes.
    let taken = scene.frame(AT_WEB, WEB[family], OUTSIDE[family], payload.clone());
    scene.from_endpoint(AT_WEB, &mut taken.bytes());
    let sent = scene.frame(AT_CLIENT, CLIENT[family], OUTSIDE[family], payload);
    let mut left = sent.bytes();
    assert_eq!(
        scene.from_endpoint(AT_CLIENT, &mut left),
        Verdict::Neighbour
    );
    let before = flows(&scene);
    let frame = scene.outside_frame(by, HOST[family], error(message, &left, octets));
    let mut packet = frame.bytes();
    assert_eq!(scene.from_uplink(&mut packet), Verdict::Peer);
    let expected = Frame {
        to: mac(AT_CLIENT),
        from: mac(BRIDGE),
        hops: 59,
        ..scene.outside_frame(
            by,
            CLIENT[family],
            error(message, &quoted(&sent, 63), octets),
        )
    };
    assert_eq!(packet, expected.bytes());
    assert!(sums_are_right(&packet));
    assert_eq!(scene.work.outcome.ifindex, u32::from(AT_CLIENT));
    assert_eq!(scene.work.outcome.network, 1);
    assert_eq!(flows(&scene), before, "an error is no part of a flow");
}

#[test]
fn about_a_masqueraded_flow() {
    for family in FAMILIES {
        for payload in conversations() {
            if family == 1 && matches!(payload, Payload::UdpUnchecked(..)) {
                continue;
            }
            for message in ERRORS[family] {
                // The far end itself, or a router on the way.
                for by in [OUTSIDE, OUTSIDE_TOO] {
                    about_masqueraded(family, by[family], *message, payload.clone(), 500);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn however_much_is_quoted(
        family in 0usize..2,
        kind in 0usize..4,
        source: u16,
        destination: u16,
        data: Vec<u8>,
        words in 0usize..60,
    ) {
        let payload = match kind {
            0 => Payload::Tcp(source, destination, SYN),
            1 if family == 0 => Payload::UdpUnchecked(source, destination, data),
            1 | 2 => Payload::Udp(source, destination, data),
            _ => Payload::EchoRequest(source, destination),
        };
        let header = [20, 40][family];
        about_masqueraded(
            // Half a checksum is left as it is: nobody can use it.
            family, OUTSIDE_TOO[family], UNREACHABLE[family], payload, header + 8 + words * 2,
        );
    }
}

/// As [`about_masqueraded`], where `sent` dresses what is quoted and `told` the error.
fn about_dressed(
    family: usize,
    payload: &Payload,
    sent: impl Fn(&[u8]) -> Vec<u8>,
    told: impl Fn(&[u8]) -> Vec<u8>,
) {
    let mut scene = Scene::new();
    let taken = scene.frame(AT_WEB, WEB[family], OUTSIDE[family], payload.clone());
    scene.from_endpoint(AT_WEB, &mut taken.bytes());
    let frame = scene.frame(AT_CLIENT, CLIENT[family], OUTSIDE[family], payload.clone());
    let mut left = sent(&frame.bytes());
    assert_eq!(
        scene.from_endpoint(AT_CLIENT, &mut left),
        Verdict::Neighbour
    );
    let by = OUTSIDE_TOO[family];
    let payload = error(UNREACHABLE[family], &left, 500);
    let mut packet = told(&scene.outside_frame(by, HOST[family], payload).bytes());
    assert_eq!(scene.from_uplink(&mut packet), Verdict::Peer);
    let payload = error(UNREACHABLE[family], &sent(&quoted(&frame, 63)), 500);
    let expected = Frame {
        to: mac(AT_CLIENT),
        from: mac(BRIDGE),
        hops: 59,
        ..scene.outside_frame(by, CLIENT[family], payload)
    };
    assert_eq!(packet, told(&expected.bytes()));
}

/// Options and extension headers, of what is quoted and of the error: a kernel that tells of a packet
/// with a record of the route puts that into the error, too. And of fragments the first is enough.
#[test]
fn about_packets_with_options_extension_headers_and_in_fragments() {
    let plain = <[u8]>::to_vec;
    let padding = [0, 0, 1, 4, 0, 0, 0, 0];
    for family in FAMILIES {
        let dressed = |packet: &[u8]| match family {
            0 => with_options(packet, &[7, 7, 4, 0, 0, 0, 0, 0]),
            _ => with_extension(&with_extension(packet, 60, &padding), 0, &padding),
        };
        for payload in conversations() {
            if family == 1 && matches!(payload, Payload::UdpUnchecked(..)) {
                continue;
            }
            about_dressed(family, &payload, dressed, plain);
            about_dressed(family, &payload, plain, dressed);
            about_dressed(family, &payload, dressed, dressed);
        }
        let first = |packet: &[u8]| cut(packet, 64, 0x1234).remove(0);
        let payload = Payload::Udp(20_000, 53, vec![3; 200]);
        about_dressed(family, &payload, first, plain);
    }
}

/// What is quoted of a later fragment says nothing of its flow; nor does what hides behind too many
/// headers.
#[test]
fn what_shows_no_ports_is_nobodys() {
    let mut scene = Scene::new();
    let payload = Payload::Udp(20_000, 53, vec![3; 200]);
    let sent = scene.frame(AT_CLIENT, CLIENT[1], OUTSIDE[1], payload);
    let mut left = sent.bytes();
    scene.from_endpoint(AT_CLIENT, &mut left);
    let hidden = (0..7).fold(left.clone(), |packet, _| {
        with_extension(&packet, 60, &[0, 0, 1, 4, 0, 0, 0, 0])
    });
    for quote in [cut(&left, 64, 0x1234).remove(1), hidden] {
        let payload = error(UNREACHABLE[1], &quote, 500);
        let frame = scene.outside_frame(OUTSIDE[1], HOST[1], payload);
        assert_eq!(scene.from_uplink(&mut frame.bytes()), Verdict::Pass);
    }
}

/// Somebody outside dials the published port; the container answers with an error.
#[test]
fn about_a_published_port() {
    let pairs = [
        (
            Payload::Tcp(55_555, PORT, SYN),
            Payload::Tcp(55_555, 80, SYN),
        ),
        (
            Payload::Udp(55_555, PORT, vec![9; 5]),
            Payload::Udp(55_555, 80, vec![9; 5]),
        ),
    ];
    for family in FAMILIES {
        for (dialled, delivered) in pairs.clone() {
            let mut scene = Scene::new();
            let sent = scene.outside_frame(OUTSIDE[family], HOST[family], dialled);
            let mut packet = sent.bytes();
            assert_eq!(scene.from_uplink(&mut packet), Verdict::Peer);
            let arrived = scene.outside_frame(OUTSIDE[family], WEB[family], delivered);
            assert_eq!(packet[14..], quoted(&arrived, 59)[14..]);

            let before = flows(&scene);
            let answer = error(UNREACHABLE[family], &packet, 500);
            let frame = scene.frame(AT_WEB, WEB[family], OUTSIDE[family], answer);
            let mut packet = frame.bytes();
            assert_eq!(scene.from_endpoint(AT_WEB, &mut packet), Verdict::Neighbour);
            let answer = error(UNREACHABLE[family], &quoted(&sent, 59), 500);
            let mut expected = scene.frame(AT_WEB, HOST[family], OUTSIDE[family], answer);
            expected.hops = 63;
            assert_eq!(packet, expected.bytes());
            assert_eq!(flows(&scene), before);

            // And of the way back: a router says that the reply was too big.
            let mut reply = scene
                .frame(
                    AT_WEB,
                    WEB[family],
                    OUTSIDE[family],
                    match &sent.payload {
                        Payload::Tcp(..) => Payload::Tcp(80, 55_555, SYN_ACK),
                        _ => Payload::Udp(80, 55_555, vec![7; 40]),
                    },
                )
                .bytes();
            let inside = reply.clone();
            assert_eq!(scene.from_endpoint(AT_WEB, &mut reply), Verdict::Neighbour);
            let too_big = error(ERRORS[family][1], &reply, 60);
            let frame = scene.outside_frame(OUTSIDE_TOO[family], HOST[family], too_big);
            let mut packet = frame.bytes();
            assert_eq!(scene.from_uplink(&mut packet), Verdict::Peer);
            assert!(sums_are_right(&packet));
            let addresses = [14 + 12 + 8 + 20, 14 + 8 + 8 + 40][family];
            let ports = [14 + 20, 14 + 40][family];
            assert_eq!(
                packet[addresses..][..[12, 36][family]],
                inside[addresses - [28, 48][family]..ports + 4],
                "what is quoted is what the container sent"
            );
        }
    }
}

/// A neighbour dials the host's address; the publisher's error comes from there.
#[test]
fn between_containers_by_a_published_port() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        let dialled = Payload::Udp(5_000, PORT, vec![1; 3]);
        let sent = scene.frame(AT_CLIENT, CLIENT[family], HOST[family], dialled);
        let mut packet = sent.bytes();
        assert_eq!(scene.from_endpoint(AT_CLIENT, &mut packet), Verdict::Peer);
        let answer = error(UNREACHABLE[family], &packet, 500);
        let mut packet = scene
            .frame(AT_WEB, WEB[family], CLIENT[family], answer)
            .bytes();
        assert_eq!(scene.from_endpoint(AT_WEB, &mut packet), Verdict::Peer);
        let expected = Frame {
            to: mac(AT_CLIENT),
            from: mac(BRIDGE),
            hops: 63,
            ..scene.frame(
                AT_WEB,
                HOST[family],
                CLIENT[family],
                error(UNREACHABLE[family], &quoted(&sent, 63), 500),
            )
        };
        assert_eq!(packet, expected.bytes());
        // Between themselves they say what they like.
        let direct = scene.frame(
            AT_CLIENT,
            CLIENT[family],
            WEB[family],
            Payload::Udp(1, 2, vec![]),
        );
        let answer = error(UNREACHABLE[family], &direct.bytes(), 500);
        let frame = scene.frame(AT_WEB, WEB[family], CLIENT[family], answer);
        let mut packet = frame.bytes();
        assert_eq!(scene.from_endpoint(AT_WEB, &mut packet), Verdict::Peer);
        assert_eq!(packet[14..], frame.bytes()[14..]);
    }
}

#[test]
fn a_forged_error_reaches_no_container() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        let sent = scene.frame(
            AT_CLIENT,
            CLIENT[family],
            OUTSIDE[family],
            Payload::Udp(20_000, 53, vec![1]),
        );
        let mut left = sent.bytes();
        scene.from_endpoint(AT_CLIENT, &mut left);
        let of_host = |port: u16, by: usize| {
            let payload = Payload::Udp(port, 53, vec![1]);
            let frame = sent.clone();
            Frame {
                source: [HOST, OUTSIDE_TOO][by][family],
                payload,
                ..frame
            }
            .bytes()
        };
        let said = |quote: &[u8], octets: usize| error(UNREACHABLE[family], quote, octets);
        let header = [20, 40][family];
        // No such flow; about somebody else's packet; too little quoted: the host's own.
        for payload in [
            said(&of_host(20_001, 0), 500),
            said(&of_host(20_000, 1), 500),
            said(&left, header + 7),
            said(&left, header - 1),
            said(&left, 0),
        ] {
            let frame = scene.outside_frame(OUTSIDE[family], HOST[family], payload);
            assert_eq!(scene.from_uplink(&mut frame.bytes()), Verdict::Pass);
        }
        // To the container itself.
        let payload = said(&left, 500);
        let frame = scene.outside_frame(OUTSIDE[family], CLIENT[family], payload);
        assert_eq!(
            scene.from_uplink(&mut frame.bytes()),
            Verdict::Drop(DropReason::DirectRouting)
        );
        // A container about another one's flow.
        let reply = Frame {
            source: OUTSIDE[family],
            destination: CLIENT[family],
            payload: Payload::Udp(53, 20_000, vec![1]),
            ..sent.clone()
        };
        let payload = said(&reply.bytes(), 500);
        let frame = scene.frame(AT_WEB, WEB[family], OUTSIDE[family], payload);
        assert!(matches!(
            scene.from_endpoint(AT_WEB, &mut frame.bytes()),
            Verdict::Drop(DropReason::UnknownProtocol)
        ));
    }
}

#[test]
fn nobody_inherits_errors() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        let payload = Payload::Udp(20_000, 53, vec![1]);
        let sent = scene.frame(AT_CLIENT, CLIENT[family], OUTSIDE[family], payload);
        let mut left = sent.bytes();
        scene.from_endpoint(AT_CLIENT, &mut left);
        let payload = error(UNREACHABLE[family], &left, 500);
        let frame = scene.outside_frame(OUTSIDE[family], HOST[family], payload);
        let mut dying = frame.clone();
        dying.hops = 1;
        assert_eq!(
            scene.from_uplink(&mut dying.bytes()),
            Verdict::Drop(DropReason::TtlExpired),
            "no error about an error"
        );
        scene.memory.config.epoch += 1;
        let stale = Verdict::Drop(DropReason::StaleEndpoint);
        assert_eq!(scene.from_uplink(&mut frame.bytes()), stale);
        scene.memory.config.epoch -= 1;
        scene.change(AT_CLIENT, |client| client.generation += 1);
        assert_eq!(scene.from_uplink(&mut frame.bytes()), stale);
    }
}
