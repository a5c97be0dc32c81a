//! How many established flows an endpoint may have, and that each half is counted once.

use netd_common::{
    DropReason,
    abi::flow::FlowKey,
    packet::{
        Verdict,
        testing::{Payload, Scene, names::*, ports},
    },
};

const FIN_ACK: u8 = 17;
const SYN: u8 = 2;
const SYN_ACK: u8 = 18;
const ACK: u8 = 16;

/// A connection of the client to port 443 outside, from a port that is kept.
struct Connection {
    scene: Scene,
}

impl Connection {
    fn new() -> Connection {
        Connection {
            scene: Scene::new(),
        }
    }

    fn established() -> Connection {
        let mut connection = Connection::new();
        connection.ours(SYN);
        connection.theirs(SYN_ACK);
        connection.ours(ACK);
        connection
    }

    fn try_ours(&mut self, flags: u8) -> Verdict {
        let payload = Payload::Tcp(20_000, 443, flags);
        let frame = self.scene.frame(AT_CLIENT, CLIENT[0], OUTSIDE[0], payload);
        let mut packet = frame.bytes();
        let verdict = self.scene.from_endpoint(AT_CLIENT, &mut packet);
        if verdict == Verdict::Neighbour {
            assert_eq!(ports(&packet), [20_000, 443]);
        }
        verdict
    }

    fn ours(&mut self, flags: u8) {
        assert_eq!(self.try_ours(flags), Verdict::Neighbour);
    }

    fn try_theirs(&mut self, flags: u8) -> Verdict {
        let payload = Payload::Tcp(443, 20_000, flags);
        let frame = self.scene.outside_frame(OUTSIDE[0], HOST[0], payload);
        self.scene.from_uplink(&mut frame.bytes())
    }

    fn theirs(&mut self, flags: u8) {
        assert_eq!(self.try_theirs(flags), Verdict::Peer);
    }

    fn our_key(&self) -> FlowKey {
        FlowKey {
            zone: 1,
            source: CLIENT[0],
            destination: OUTSIDE[0],
            source_port: 20_000_u16.to_be_bytes(),
            destination_port: 443_u16.to_be_bytes(),
            protocol: 6,
            reserved: [0; 3],
        }
    }
}

/// The far side's half counts with its endpoint, too.
fn counted(scene: &Scene, endpoint: u32) -> i64 {
    scene.memory.counts.get(&endpoint).copied().unwrap_or(0)
}

#[test]
fn an_endpoint_has_no_more_flows_than_it_may() {
    let mut connection = Connection::established();
    assert_eq!(counted(&connection.scene, 12), 2);
    connection.scene.memory.config.endpoint_halves = 2;
    let (dial, answer) = (
        |flags| Payload::Tcp(20_001, 443, flags),
        Payload::Tcp(443, 20_001, SYN_ACK),
    );
    let ours = |scene: &mut Scene, flags| {
        let frame = scene.frame(AT_CLIENT, CLIENT[0], OUTSIDE[0], dial(flags));
        scene.from_endpoint(AT_CLIENT, &mut frame.bytes())
    };
    let scene = &mut connection.scene;
    assert_eq!(ours(scene, SYN), Verdict::Neighbour);
    let back = scene.outside_frame(OUTSIDE[0], HOST[0], answer);
    assert_eq!(scene.from_uplink(&mut back.bytes()), Verdict::Peer);
    assert_eq!(ours(scene, ACK), Verdict::Drop(DropReason::EndpointFlows));
    // What it has goes on, and others may have theirs.
    connection.ours(ACK);
    connection.theirs(ACK);
    let scene = &mut connection.scene;
    for flags in [SYN, SYN_ACK, ACK] {
        let verdict = if flags == SYN_ACK {
            let back = Payload::Tcp(443, 20_002, SYN_ACK);
            let frame = scene.outside_frame(OUTSIDE[0], HOST[0], back);
            scene.from_uplink(&mut frame.bytes())
        } else {
            let payload = Payload::Tcp(20_002, 443, flags);
            let frame = scene.frame(AT_STRANGER, STRANGER[0], OUTSIDE[0], payload);
            scene.from_endpoint(AT_STRANGER, &mut frame.bytes())
        };
        assert!(!matches!(verdict, Verdict::Drop(_)), "{verdict:?}");
    }
    assert_eq!(counted(scene, 21), 2);
    // With one over there is room again.
    connection.ours(FIN_ACK);
    connection.theirs(FIN_ACK);
    connection.ours(SYN);
    assert_eq!(counted(&connection.scene, 12), 0);
    assert_eq!(ours(&mut connection.scene, ACK), Verdict::Neighbour);
    assert_eq!(counted(&connection.scene, 12), 2);
}

#[test]
fn every_half_is_counted_once() {
    // Made again from the other half; then of a former life of the endpoint.
    let mut connection = Connection::established();
    let lost = connection.our_key();
    connection.scene.memory.flows.remove(&lost);
    connection.scene.memory.counts.insert(12, 1);
    connection.ours(ACK);
    assert_eq!(counted(&connection.scene, 12), 2);
    connection.scene.memory.flows.remove(&lost);
    connection.scene.memory.counts.insert(12, 1);
    connection
        .scene
        .change(AT_CLIENT, |client| client.generation = 2);
    connection.ours(SYN);
    assert_eq!(counted(&connection.scene, 12), 0);
    // No room for both: none is counted.
    let mut connection = Connection::new();
    connection.scene.memory.max_flows = 1;
    connection.ours(SYN);
    connection.theirs(SYN_ACK);
    let full = Verdict::Drop(DropReason::FlowTableFull);
    assert_eq!(connection.try_ours(ACK), full);
    assert_eq!(counted(&connection.scene, 12), 0);
}
