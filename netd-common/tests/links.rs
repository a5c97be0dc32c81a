//! Links on a network that keeps its endpoints apart: what an exposed port lets pass, both families,
//! and nothing else.

use netd_common::{
    DropReason,
    abi::{
        endpoint::flags,
        link::{LinkKey, OpenPorts, OpenRange, side},
    },
    packet::{
        Verdict,
        testing::{Payload, Scene, names::*},
    },
};

const SYN: u8 = 2;
const SYN_ACK: u8 = 18;
const ACK: u8 = 16;
const FAMILIES: [usize; 2] = [0, 1];
/// Indexes of the endpoints.
const IS_WEB: u32 = 11;
const IS_CLIENT: u32 = 12;

/// The client has a link to the web server, which exposes TCP 80 and UDP 53 to 55.
fn linked() -> Scene {
    let mut scene = Scene::new();
    for endpoint in [AT_WEB, AT_CLIENT] {
        scene.change(endpoint, |e| {
            e.flags = e.flags & !flags::ICC | flags::LINKED;
        });
    }
    let open = |side| {
        let mut open = OpenPorts::default();
        for (slot, (protocol, first, last)) in
            open.ranges.iter_mut().zip([(6, 80, 80), (17, 53, 55)])
        {
            *slot = OpenRange {
                first,
                last,
                protocol,
                side,
            };
        }
        open
    };
    let key = |from, to| LinkKey { from, to };
    let links = &mut scene.memory.links;
    links.insert(key(IS_CLIENT, IS_WEB), open(side::SERVED));
    links.insert(key(IS_WEB, IS_CLIENT), open(side::ANSWERS));
    scene
}

fn passes(scene: &mut Scene, from: u8, family: usize, payload: Payload) -> bool {
    let (source, destination) = if from == AT_CLIENT {
        (CLIENT[family], WEB[family])
    } else {
        (WEB[family], CLIENT[family])
    };
    let frame = scene.frame(from, source, destination, payload);
    match scene.from_endpoint(from, &mut frame.bytes()) {
        Verdict::Peer => true,
        Verdict::Drop(DropReason::IccOff) => false,
        other => panic!("{other:?}"),
    }
}

fn udp(source: u16, destination: u16) -> Payload {
    Payload::Udp(source, destination, vec![1, 2, 3])
}

#[test]
fn exposed_ports_answer_and_nothing_else_does() {
    for family in FAMILIES {
        let mut scene = linked();
        for (payload, open) in [
            (Payload::Tcp(4_000, 80, SYN), true),
            (Payload::Tcp(4_000, 80, ACK), true),
            (Payload::Tcp(4_000, 79, SYN), false),
            (Payload::Tcp(4_000, 81, SYN), false),
            (Payload::Tcp(80, 4_000, SYN), false),
            (Payload::Tcp(80, 4_000, ACK), false),
            (Payload::Tcp(4_000, 53, SYN), false),
            (udp(4_000, 52), false),
            (udp(4_000, 53), true),
            (udp(4_000, 55), true),
            (udp(4_000, 56), false),
            (udp(4_000, 80), false),
            (Payload::EchoRequest(1, 1), false),
            (Payload::EchoReply(1, 1), false),
            (
                Payload::Other(132, vec![0, 80, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0]),
                false,
            ),
            (Payload::Other(47, vec![0; 12]), false),
        ] {
            let text = format!("{payload:?}");
            assert_eq!(
                passes(&mut scene, AT_CLIENT, family, payload),
                open,
                "{text}"
            );
        }
        for (payload, open) in [
            (Payload::Tcp(80, 4_000, SYN_ACK), true),
            (Payload::Tcp(80, 4_000, ACK), true),
            // An exposed port answers, it does not ask.
            (Payload::Tcp(80, 4_000, SYN), false),
            (Payload::Tcp(4_000, 80, SYN), false),
            (Payload::Tcp(81, 4_000, SYN_ACK), false),
            (udp(53, 4_000), true),
            (udp(56, 4_000), false),
            (udp(4_000, 53), false),
            (Payload::EchoRequest(1, 1), false),
        ] {
            let text = format!("{payload:?}");
            assert_eq!(passes(&mut scene, AT_WEB, family, payload), open, "{text}");
        }
    }
}

#[test]
fn one_look_up_and_only_where_there_is_a_link() {
    let mut scene = linked();
    scene.memory.take_lookups();
    assert!(passes(&mut scene, AT_CLIENT, 0, udp(4_000, 53)));
    let linked = scene.memory.take_lookups();
    scene.change(AT_CLIENT, |client| client.flags &= !flags::LINKED);
    scene.memory.take_lookups();
    assert!(!passes(&mut scene, AT_CLIENT, 0, udp(4_000, 53)));
    let alone = scene.memory.take_lookups();
    assert_eq!((linked.others, alone.others), (1, 0));
    assert_eq!(linked.endpoints, alone.endpoints);
    // Where everybody may talk, a link costs nothing.
    for endpoint in [AT_WEB, AT_CLIENT] {
        scene.change(endpoint, |e| e.flags |= flags::ICC | flags::LINKED);
    }
    scene.memory.take_lookups();
    assert!(passes(&mut scene, AT_CLIENT, 0, udp(4_000, 99)));
    assert_eq!(scene.memory.take_lookups().others, 0);
}

#[test]
fn an_error_about_an_open_port_passes() {
    for family in FAMILIES {
        let unreachable = [3, 1][family];
        let error = |scene: &Scene, from: u8, quoted: Payload| {
            let (source, destination) = if from == AT_CLIENT {
                (CLIENT[family], WEB[family])
            } else {
                (WEB[family], CLIENT[family])
            };
            let bytes = scene.frame(from, source, destination, quoted).bytes();
            Payload::Icmp(unreachable, [&[0; 4], &bytes[14..]].concat())
        };
        let mut scene = linked();
        for (quoted, open) in [
            (udp(4_000, 53), true),
            (udp(4_000, 56), false),
            (Payload::Tcp(4_000, 80, SYN), true),
            (Payload::EchoRequest(1, 1), false),
        ] {
            let text = format!("{quoted:?}");
            let payload = error(&scene, AT_CLIENT, quoted);
            assert_eq!(passes(&mut scene, AT_WEB, family, payload), open, "{text}");
        }
        // The client about an answer; and about what was never sent to it.
        let payload = error(&scene, AT_WEB, udp(53, 4_000));
        assert!(passes(&mut scene, AT_CLIENT, family, payload));
        let payload = error(&scene, AT_CLIENT, udp(4_000, 53));
        assert!(!passes(&mut scene, AT_CLIENT, family, payload));
    }
}

#[test]
fn later_fragments_pass_with_their_protocol() {
    let mut scene = linked();
    for (protocol, open) in [(17, true), (6, true), (1, false), (132, false)] {
        let payload = Payload::Other(protocol, vec![0; 24]);
        let mut packet = scene.frame(AT_CLIENT, CLIENT[0], WEB[0], payload).bytes();
        packet[20..22].copy_from_slice(&[0x00, 0x10]);
        let verdict = scene.from_endpoint(AT_CLIENT, &mut packet);
        assert_eq!(verdict == Verdict::Peer, open, "{protocol}: {verdict:?}");
    }
}
