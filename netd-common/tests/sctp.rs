//! SCTP: associations go along flows like TCP's connections, but for their ports and checksum, which
//! nobody touches. Both families.

use netd_common::{
    DropReason,
    abi::port::PortKey,
    packet::{
        Verdict,
        flow::{Timeouts, expired},
        testing::{Frame, Payload, Scene, names::*, ports},
        view::protocol,
    },
};

const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const SACK: u8 = 3;
const ABORT: u8 = 6;
const FAMILIES: [usize; 2] = [0, 1];
/// What stands for the checksum; netd does not look at it.
const SUM: [u8; 4] = [0xde, 0xad, 0xbe, 0xef];

fn sctp(source: u16, destination: u16, chunk: u8) -> Payload {
    let ports = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    let bytes = [&ports[..], &[0, 0, 0, 9], &SUM, &[chunk, 0, 0, 4]].concat();
    Payload::Other(protocol::SCTP, bytes)
}

fn sum(packet: &[u8]) -> &[u8] {
    &packet[packet.len() - 8..packet.len() - 4]
}

/// The published port of SCTP: 8080, the same inside.
fn published() -> Scene {
    let mut scene = Scene::new();
    let mut more = Vec::new();
    for (bits, key, mut port) in scene.memory.ports.clone() {
        if key.protocol == protocol::TCP {
            let protocol = protocol::SCTP;
            port.target = port.first;
            more.push((bits, PortKey { protocol, ..key }, port));
        }
    }
    scene.memory.ports.extend(more);
    scene
}

#[test]
fn an_association_goes_out_with_its_port() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        // Not a port that netd would pick: it stays all the same.
        let frame = scene.frame(
            AT_CLIENT,
            CLIENT[family],
            OUTSIDE[family],
            sctp(40_000, 7_000, INIT),
        );
        let mut packet = frame.bytes();
        assert_eq!(
            scene.from_endpoint(AT_CLIENT, &mut packet),
            Verdict::Neighbour
        );
        let expected = Frame {
            source: HOST[family],
            hops: frame.hops - 1,
            ..frame.clone()
        };
        assert_eq!(packet[14..], expected.bytes()[14..]);
        let answer =
            scene.outside_frame(OUTSIDE[family], HOST[family], sctp(7_000, 40_000, INIT_ACK));
        let mut packet = answer.bytes();
        assert_eq!(scene.from_uplink(&mut packet), Verdict::Peer);
        assert_eq!(sum(&packet), SUM);
        assert_eq!(ports(&packet), [7_000, 40_000]);
        // Another one to the same place from the same port has nowhere to go.
        let frame = scene.frame(
            AT_WEB,
            WEB[family],
            OUTSIDE[family],
            sctp(40_000, 7_000, INIT),
        );
        let verdict = scene.from_endpoint(AT_WEB, &mut frame.bytes());
        assert_eq!(verdict, Verdict::Drop(DropReason::SctpPort));
        // To another place it has.
        let frame = scene.frame(
            AT_WEB,
            WEB[family],
            OUTSIDE_TOO[family],
            sctp(40_000, 7_000, INIT),
        );
        assert_eq!(
            scene.from_endpoint(AT_WEB, &mut frame.bytes()),
            Verdict::Neighbour
        );
    }
}

#[test]
fn a_published_port_leads_to_the_same_port() {
    for family in FAMILIES {
        let mut scene = published();
        let frame = scene.outside_frame(OUTSIDE[family], HOST[family], sctp(5_000, PORT, INIT));
        let mut packet = frame.bytes();
        assert_eq!(scene.from_uplink(&mut packet), Verdict::Peer);
        assert_eq!(ports(&packet), [5_000, PORT]);
        assert_eq!(sum(&packet), SUM);
        let answer = scene.frame(
            AT_WEB,
            WEB[family],
            OUTSIDE[family],
            sctp(PORT, 5_000, INIT_ACK),
        );
        let mut packet = answer.bytes();
        assert_eq!(scene.from_endpoint(AT_WEB, &mut packet), Verdict::Neighbour);
        let expected = Frame {
            source: HOST[family],
            hops: answer.hops - 1,
            ..answer.clone()
        };
        assert_eq!(packet[14..], expected.bytes()[14..]);
        // Out of the container's own port: published is published.
        let frame = scene.frame(
            AT_CLIENT,
            CLIENT[family],
            OUTSIDE[family],
            sctp(PORT, 1, INIT),
        );
        let verdict = scene.from_endpoint(AT_CLIENT, &mut frame.bytes());
        assert_eq!(verdict, Verdict::Drop(DropReason::SctpPort));
    }
}

#[test]
fn what_begins_an_association_and_what_does_not() {
    for (chunk, begins) in [
        (INIT, true),
        (SACK, true),
        (0, true),
        (INIT_ACK, false),
        (ABORT, false),
        (14, false),
    ] {
        let mut scene = Scene::new();
        let frame = scene.frame(AT_CLIENT, CLIENT[0], OUTSIDE[0], sctp(40_000, 7_000, chunk));
        let verdict = scene.from_endpoint(AT_CLIENT, &mut frame.bytes());
        let expected = if begins {
            Verdict::Neighbour
        } else {
            Verdict::Drop(DropReason::NotInFlow)
        };
        assert_eq!(verdict, expected, "{chunk}");
    }
}

#[test]
fn an_aborted_association_is_over_soon() {
    let mut scene = Scene::new();
    let mut say = |chunk| {
        let frame = scene.frame(AT_CLIENT, CLIENT[0], OUTSIDE[0], sctp(40_000, 7_000, chunk));
        scene.from_endpoint(AT_CLIENT, &mut frame.bytes());
        let answer = scene.outside_frame(OUTSIDE[0], HOST[0], sctp(7_000, 40_000, SACK));
        scene.from_uplink(&mut answer.bytes());
    };
    say(INIT);
    say(SACK);
    say(SACK);
    let ends = |scene: &Scene, seconds: u64| {
        let (key, flow) = scene.memory.flows.iter().next().expect("established");
        let timeouts = Timeouts::default();
        expired(
            key,
            flow,
            None,
            &timeouts,
            flow.last_seen + seconds * 1_000_000_000,
        )
    };
    say(ABORT);
    assert!(!ends(&scene, 9) && ends(&scene, 61));
}

#[test]
fn an_error_about_an_association_finds_it() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        let sent = scene.frame(
            AT_CLIENT,
            CLIENT[family],
            OUTSIDE[family],
            sctp(40_000, 7_000, INIT),
        );
        let mut left = sent.bytes();
        scene.from_endpoint(AT_CLIENT, &mut left);
        let unreachable = [3, 1][family];
        let quote = |packet: &[u8]| Payload::Icmp(unreachable, [&[0; 4], &packet[14..]].concat());
        let error = scene.outside_frame(OUTSIDE[family], HOST[family], quote(&left));
        let mut packet = error.bytes();
        assert_eq!(scene.from_uplink(&mut packet), Verdict::Peer);
        let expected = Frame {
            to: mac(AT_CLIENT),
            from: mac(BRIDGE),
            hops: error.hops - 1,
            ..scene.outside_frame(
                OUTSIDE[family],
                CLIENT[family],
                quote(
                    &Frame {
                        hops: sent.hops - 1,
                        ..sent.clone()
                    }
                    .bytes(),
                ),
            )
        };
        assert_eq!(packet, expected.bytes());
    }
}
