//! What a packet costs, in look-ups: the promise is at most one flow and two endpoints for
//! a packet of an established flow, and no flow at all inside a network.

use netd_common::packet::{
    Verdict,
    testing::{Lookups, Payload, Scene, names::*},
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
            routes: 0,
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
