//! What a packet costs, in look-ups: the promise is at most one flow and two endpoints for
//! a packet of an established flow, and no flow at all inside a network.

use netd_common::{
    abi::endpoint::flags,
    packet::{
        Verdict,
        testing::{Lookups, Payload, Scene, cut, names::*},
    },
};

const SYN: u8 = 2;
const SYN_ACK: u8 = 18;
const ACK: u8 = 16;
const FAMILIES: [usize; 2] = [0, 1];

fn cost(scene: &mut Scene, send: impl FnOnce(&mut Scene) -> Verdict, expected: Verdict) -> Lookups {
    scene.memory.take_lookups();
    assert_eq!(send(scene), expected);
    scene.memory.take_lookups()
}

#[test]
fn inside_a_network() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        let frame = scene.frame(
            AT_CLIENT,
            CLIENT[family],
            WEB[family],
            Payload::Tcp(40_000, 80, SYN),
        );
        let cost = cost(
            &mut scene,
            |scene| scene.from_endpoint(AT_CLIENT, &mut frame.bytes()),
            Verdict::Peer,
        );
        let expected = Lookups {
            endpoints: 2,
            ..Lookups::default()
        };
        assert_eq!(cost, expected);
    }
}

#[test]
fn of_an_established_masqueraded_flow() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        let ours = |flags| {
            let payload = Payload::Tcp(20_000, 443, flags);
            move |scene: &mut Scene| {
                let frame = scene.frame(AT_CLIENT, CLIENT[family], OUTSIDE[family], payload);
                scene.from_endpoint(AT_CLIENT, &mut frame.bytes())
            }
        };
        let theirs = |flags| {
            let payload = Payload::Tcp(443, 20_000, flags);
            move |scene: &mut Scene| {
                let frame = scene.outside_frame(OUTSIDE[family], HOST[family], payload);
                scene.from_uplink(&mut frame.bytes())
            }
        };
        ours(SYN)(&mut scene);
        theirs(SYN_ACK)(&mut scene);
        ours(ACK)(&mut scene);
        let cost_ours = cost(&mut scene, ours(ACK), Verdict::Neighbour);
        // The gateway's address is known without a look-up, the destination's is not.
        let expected = Lookups {
            endpoints: 2,
            flows: 1,
            others: 0,
            routes: 1,
            ..Lookups::default()
        };
        assert_eq!(cost_ours, expected);
        let cost_theirs = cost(&mut scene, theirs(ACK), Verdict::Peer);
        let expected = Lookups {
            endpoints: 1,
            flows: 1,
            ..Lookups::default()
        };
        assert_eq!(cost_theirs, expected);
    }
}

#[test]
fn of_an_established_flow_to_a_published_port() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        let theirs = |flags| {
            let payload = Payload::Tcp(55_555, PORT, flags);
            move |scene: &mut Scene| {
                let frame = scene.outside_frame(OUTSIDE[family], HOST[family], payload);
                scene.from_uplink(&mut frame.bytes())
            }
        };
        let ours = |flags| {
            let payload = Payload::Tcp(80, 55_555, flags);
            move |scene: &mut Scene| {
                let frame = scene.frame(AT_WEB, WEB[family], OUTSIDE[family], payload);
                scene.from_endpoint(AT_WEB, &mut frame.bytes())
            }
        };
        theirs(SYN)(&mut scene);
        ours(SYN_ACK)(&mut scene);
        theirs(ACK)(&mut scene);
        let cost_theirs = cost(&mut scene, theirs(ACK), Verdict::Peer);
        assert_eq!((cost_theirs.endpoints, cost_theirs.flows), (1, 1));
        assert_eq!((cost_theirs.others, cost_theirs.routes), (0, 0));
        let cost_ours = cost(&mut scene, ours(ACK), Verdict::Neighbour);
        assert_eq!((cost_ours.endpoints, cost_ours.flows), (2, 1));
        assert_eq!((cost_ours.others, cost_ours.routes), (0, 1));
    }
}

#[test]
fn of_an_answer_to_a_socket_of_the_host() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        let payload = Payload::Tcp(80, 40_000, ACK);
        let frame = scene.frame(AT_WEB, WEB[family], GATEWAY[family], payload);
        let cost = cost(
            &mut scene,
            |scene| scene.from_endpoint(AT_WEB, &mut frame.bytes()),
            Verdict::Host,
        );
        // Whether the port is published, at the gateway's address or at all of the host's.
        let expected = Lookups {
            endpoints: 1,
            flows: 0,
            others: 2,
            ..Lookups::default()
        };
        assert_eq!(cost, expected);
    }
}

#[test]
fn the_number_of_published_ports_costs_nothing() {
    let count = |published: u16| {
        let mut scene = Scene::new();
        scene.publish(10_000, 10_000 + published, 1);
        let frame = scene.outside_frame(OUTSIDE[0], HOST[0], Payload::Tcp(5, PORT, SYN));
        cost(
            &mut scene,
            |scene| scene.from_uplink(&mut frame.bytes()),
            Verdict::Peer,
        )
    };
    assert_eq!(count(0), count(1000));
}

/// A masqueraded conversation up to its third packet, and what each of its packets costs.
fn of_a_masqueraded_conversation(family: usize, [there, back]: [Payload; 2]) -> [Lookups; 4] {
    let mut scene = Scene::new();
    scene.memory.config.endpoint_halves = 100;
    let ours = |scene: &mut Scene| {
        let payload = there.clone();
        let frame = scene.frame(AT_CLIENT, CLIENT[family], OUTSIDE[family], payload);
        scene.from_endpoint(AT_CLIENT, &mut frame.bytes())
    };
    let theirs = |scene: &mut Scene| {
        let frame = scene.outside_frame(OUTSIDE[family], HOST[family], back.clone());
        scene.from_uplink(&mut frame.bytes())
    };
    [
        cost(&mut scene, ours, Verdict::Neighbour),
        cost(&mut scene, theirs, Verdict::Peer),
        cost(&mut scene, ours, Verdict::Neighbour),
        cost(&mut scene, ours, Verdict::Neighbour),
    ]
}

#[test]
fn of_a_new_masqueraded_flow() {
    for family in FAMILIES {
        let payloads = [
            Payload::Udp(20_000, 443, vec![]),
            Payload::Udp(443, 20_000, vec![]),
        ];
        let [first, answer, third, fourth] = of_a_masqueraded_conversation(family, payloads);
        // The packet's tuple and the answer's; whether the destination is published, the host's or a
        // network's, and the source port published; the way and the source that belongs to it.
        let expected = Lookups {
            endpoints: 2,
            flows: 3,
            others: 6,
            routes: 2,
            sockets: 1,
            ..Lookups::default()
        };
        assert_eq!(first, expected);
        assert_eq!((answer.endpoints, answer.flows, answer.others), (1, 2, 0));
        // Established, if the endpoint may have one more.
        let expected = Lookups {
            endpoints: 2,
            flows: 3,
            routes: 1,
            counts: 1,
            ..Lookups::default()
        };
        assert_eq!(third, expected);
        let expected = Lookups {
            endpoints: 2,
            flows: 1,
            routes: 1,
            ..Lookups::default()
        };
        assert_eq!(fourth, expected, "an established one asks for no quota");
    }
}

#[test]
fn of_sctp_as_of_tcp() {
    let sctp = |source: u16, destination: u16, chunk: u8| {
        let ports = [source.to_be_bytes(), destination.to_be_bytes()].concat();
        Payload::Other(132, [&ports[..], &[0; 8], &[chunk, 0, 0, 4]].concat())
    };
    for family in FAMILIES {
        // DATA both ways.
        let payloads = [sctp(20_000, 7_000, 0), sctp(7_000, 20_000, 0)];
        let [first, .., fourth] = of_a_masqueraded_conversation(family, payloads);
        // The kernel tells of no such sockets.
        assert_eq!((first.flows, first.sockets), (3, 0));
        assert_eq!((fourth.endpoints, fourth.flows, fourth.routes), (2, 1, 1));
        assert_eq!((fourth.others, fourth.sockets), (0, 0));
    }
}

#[test]
fn of_fragments() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        let payload = Payload::Udp(20_000, 443, (0..150).collect());
        let frame = scene.frame(AT_CLIENT, CLIENT[family], OUTSIDE[family], payload);
        let pieces = cut(&frame.bytes(), 64, 7);
        let mut costs = Vec::new();
        for piece in &pieces {
            let send = |scene: &mut Scene| scene.from_endpoint(AT_CLIENT, &mut piece.clone());
            costs.push(cost(&mut scene, send, Verdict::Neighbour));
        }
        // One look-up more than a whole packet, for its datagram.
        assert!(costs.iter().all(|cost| cost.fragments == 1));
        let whole = Lookups {
            endpoints: 2,
            flows: 2,
            routes: 1,
            fragments: 1,
            ..Lookups::default()
        };
        // Nobody has answered yet: both tables, and the other half.
        assert_eq!(costs[1], Lookups { flows: 3, ..whole });
    }
}

#[test]
fn of_a_container_that_is_dialled_directly() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        scene.change_network(1, |subnet| subnet.flags |= flags::UNPROTECTED[family]);
        let theirs = |flags| {
            let payload = Payload::Tcp(55_555, 80, flags);
            move |scene: &mut Scene| {
                let frame = scene.outside_frame(OUTSIDE[family], WEB[family], payload);
                scene.from_uplink(&mut frame.bytes())
            }
        };
        let ours = |scene: &mut Scene| {
            let payload = Payload::Tcp(80, 55_555, SYN_ACK);
            let frame = scene.frame(AT_WEB, WEB[family], OUTSIDE[family], payload);
            scene.from_endpoint(AT_WEB, &mut frame.bytes())
        };
        cost(&mut scene, theirs(SYN), Verdict::Peer);
        cost(&mut scene, ours, Verdict::Neighbour);
        cost(&mut scene, theirs(ACK), Verdict::Peer);
        // As any established flow.
        let cost = cost(&mut scene, theirs(ACK), Verdict::Peer);
        assert_eq!((cost.endpoints, cost.flows), (1, 1));
        assert_eq!((cost.others, cost.routes), (0, 0));
    }
}

#[test]
fn of_what_the_host_sends_itself() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        let payload = Payload::Tcp(40_000, 80, ACK);
        let frame = scene.frame(AT_WEB, GATEWAY[family], WEB[family], payload);
        let send = |scene: &mut Scene| scene.to_endpoint(AT_WEB, false, &mut frame.bytes());
        let expected = Lookups {
            endpoints: 1,
            ..Lookups::default()
        };
        assert_eq!(cost(&mut scene, send, Verdict::Host), expected);
    }
}
