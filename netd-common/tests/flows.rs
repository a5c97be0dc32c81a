//! The life of a flow: new, established, over, begun again, lost by half, of a former endpoint.

use netd_common::{
    DropReason,
    abi::flow::{Flow, FlowKey, flow_flags},
    limits,
    packet::{
        Verdict,
        flow::{self, Timeouts},
        testing::{Payload, Scene, names::*, ports},
    },
};

const FIN_ACK: u8 = 17;
const SYN: u8 = 2;
const RST: u8 = 4;
const SYN_ACK: u8 = 18;
const ACK: u8 = 16;
const SECOND: u64 = 1_000_000_000;

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

    /// Halves in (`NEW_FLOWS`, `FLOWS`).
    fn halves(&self) -> (usize, usize) {
        let memory = &self.scene.memory;
        (memory.new_flows.len(), memory.flows.len())
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

    fn their_key(&self) -> FlowKey {
        FlowKey {
            zone: 0,
            source: OUTSIDE[0],
            destination: HOST[0],
            source_port: 443_u16.to_be_bytes(),
            destination_port: 20_000_u16.to_be_bytes(),
            protocol: 6,
            reserved: [0; 3],
        }
    }

    fn half(&self, key: &FlowKey) -> Flow {
        let memory = &self.scene.memory;
        let found = memory.flows.get(key).or(memory.new_flows.get(key));
        *found.expect("the half")
    }

    /// Idle seconds that the flow survives.
    fn survives(&self) -> u64 {
        let (key, twin_key) = (self.our_key(), self.their_key());
        let (half, twin) = (self.half(&key), self.half(&twin_key));
        let last = half.last_seen.max(twin.last_seen);
        let gone = |seconds: u64| {
            let now = last + seconds * SECOND + 1;
            let gone = flow::expired(&key, &half, Some(&twin), &Timeouts::default(), now);
            assert_eq!(
                gone,
                flow::expired(&twin_key, &twin, Some(&half), &Timeouts::default(), now)
            );
            gone
        };
        (0..10_000).find(|seconds| gone(*seconds)).expect("an end")
    }
}

#[test]
fn a_connection_is_established_when_its_originator_confirms_it() {
    let mut connection = Connection::new();
    connection.ours(SYN);
    assert_eq!(connection.halves(), (2, 0));
    assert_eq!(connection.survives(), limits::TCP_OPENING_SECONDS);
    connection.ours(SYN);
    connection.theirs(SYN_ACK);
    // A flood of SYNs to somebody who answers gets no further than this.
    assert_eq!(connection.halves(), (2, 0));
    assert_eq!(connection.survives(), limits::TCP_OPENING_SECONDS);
    connection.ours(ACK);
    assert_eq!(connection.halves(), (0, 2));
    connection.theirs(ACK);
    assert_eq!(connection.survives(), limits::TCP_ESTABLISHED_SECONDS);
    for key in [connection.our_key(), connection.their_key()] {
        let half = connection.half(&key);
        assert_ne!(half.flags & flow_flags::ESTABLISHED, 0);
        assert!(half.packets >= 2);
    }
    assert_eq!(connection.half(&connection.our_key()).packets, 3);
    assert_eq!(connection.half(&connection.our_key()).bytes, 120);
    assert_eq!(connection.half(&connection.their_key()).packets, 2);
}

#[test]
fn a_connection_ends_with_both_fins_or_a_reset() {
    let mut connection = Connection::established();
    connection.theirs(ACK);
    connection.ours(FIN_ACK);
    // One side may go on sending.
    assert_eq!(connection.survives(), limits::TCP_ESTABLISHED_SECONDS);
    connection.theirs(FIN_ACK);
    assert_eq!(connection.survives(), limits::TCP_CLOSING_SECONDS);

    let mut connection = Connection::established();
    connection.theirs(RST);
    assert_eq!(connection.survives(), limits::TCP_CLOSING_SECONDS);
}

#[test]
fn a_port_is_used_again() {
    for end in [FIN_ACK, RST] {
        let mut connection = Connection::established();
        connection.scene.memory.now = 5 * SECOND;
        connection.ours(end);
        connection.theirs(end);
        connection.scene.memory.now = 6 * SECOND;
        connection.ours(SYN);
        // Begun anew, with nothing of its past.
        assert_eq!(connection.halves(), (2, 0));
        let half = connection.half(&connection.our_key());
        assert_eq!((half.packets, half.tcp_flags), (1, u16::from(SYN)));
        assert_eq!(half.created, 6 * SECOND);
        connection.theirs(SYN_ACK);
        connection.ours(ACK);
        assert_eq!(connection.halves(), (0, 2));
    }
    // A refused connection, dialled again.
    let mut connection = Connection::new();
    connection.ours(SYN);
    connection.theirs(RST | ACK);
    connection.ours(SYN);
    assert_eq!(connection.half(&connection.their_key()).tcp_flags, 0);
}

#[test]
fn a_repeated_syn_changes_nothing() {
    let mut connection = Connection::established();
    connection.ours(SYN);
    assert_eq!(connection.halves(), (0, 2));
}

#[test]
fn a_connection_without_a_flow_is_picked_up() {
    let mut connection = Connection::new();
    connection.ours(ACK);
    connection.theirs(ACK);
    connection.ours(ACK);
    assert_eq!(connection.halves(), (0, 2));
    assert_eq!(connection.survives(), limits::TCP_ESTABLISHED_SECONDS);
}

#[test]
fn udp_and_echo_live_shorter() {
    let mut scene = Scene::new();
    let idle = |key: &FlowKey, flow: &Flow, seconds: u64| {
        let now = flow.last_seen + seconds * SECOND;
        (
            flow::expired(key, flow, None, &Timeouts::default(), now),
            flow::expired(key, flow, None, &Timeouts::default(), now + 1),
        )
    };
    for (payload, seconds) in [
        (Payload::Udp(20_000, 53, vec![]), limits::UDP_NEW_SECONDS),
        (Payload::EchoRequest(7, 1), limits::ICMP_SECONDS),
    ] {
        let frame = scene.frame(AT_CLIENT, CLIENT[0], OUTSIDE[0], payload);
        scene.from_endpoint(AT_CLIENT, &mut frame.bytes());
        for (key, flow) in std::mem::take(&mut scene.memory.new_flows) {
            assert_eq!(idle(&key, &flow, seconds), (false, true));
        }
    }
    for (from_inside, payload) in [
        (true, Payload::Udp(20_000, 53, vec![])),
        (false, Payload::Udp(53, 20_000, vec![])),
        (true, Payload::Udp(20_000, 53, vec![])),
    ] {
        if from_inside {
            let frame = scene.frame(AT_CLIENT, CLIENT[0], OUTSIDE[0], payload);
            scene.from_endpoint(AT_CLIENT, &mut frame.bytes());
        } else {
            let frame = scene.outside_frame(OUTSIDE[0], HOST[0], payload);
            scene.from_uplink(&mut frame.bytes());
        }
    }
    assert_eq!(scene.memory.flows.len(), 2);
    for (key, flow) in &scene.memory.flows {
        assert_eq!(
            idle(key, flow, limits::UDP_ESTABLISHED_SECONDS),
            (false, true)
        );
    }
}

#[test]
fn a_lost_half_is_made_again() {
    // Theirs, in the evicting table: our next packet sees to it.
    let mut connection = Connection::new();
    connection.ours(SYN);
    let lost = connection.their_key();
    connection.scene.memory.new_flows.remove(&lost);
    assert_eq!(connection.try_theirs(SYN_ACK), Verdict::Pass);
    connection.ours(SYN);
    connection.theirs(SYN_ACK);

    // Ours, in both tables.
    let mut connection = Connection::new();
    connection.ours(SYN);
    let lost = connection.our_key();
    connection.scene.memory.new_flows.remove(&lost);
    connection.ours(SYN);
    assert_eq!(connection.halves(), (2, 0));

    let mut connection = Connection::established();
    connection.scene.memory.flows.remove(&lost);
    connection.ours(ACK);
    assert_eq!(connection.halves(), (0, 2));
    let half = connection.half(&connection.our_key());
    assert_ne!(half.flags & flow_flags::ESTABLISHED, 0);
    connection.theirs(ACK);
}

#[test]
fn two_first_packets_at_once_lose_nothing() {
    for (number, payload) in [
        // A port that is kept, one by chance, one by the socket's address.
        (20_000, Payload::Tcp(20_000, 443, SYN)),
        (40_000, Payload::Tcp(40_000, 443, SYN)),
        (40_000, Payload::Udp(40_000, 53, vec![])),
    ] {
        let mut scene = Scene::new();
        let mut seen = Vec::new();
        for blind in [0, 1] {
            scene.memory.blind = blind;
            let frame = scene.frame(AT_CLIENT, CLIENT[0], OUTSIDE[0], payload.clone());
            let mut packet = frame.bytes();
            let verdict = scene.from_endpoint(AT_CLIENT, &mut packet);
            assert_eq!(verdict, Verdict::Neighbour);
            seen.push(ports(&packet));
        }
        assert_eq!(seen[0], seen[1], "both go by the winner's entry");
        assert_eq!(seen[0][0] == 20_000, number == 20_000);
        assert_eq!(scene.memory.new_flows.len(), 2, "and nothing is left over");
    }
}

#[test]
fn a_flood_displaces_only_its_like() {
    let mut connection = Connection::established();
    connection.scene.memory.max_new_flows = 8;
    for number in 1024..1100 {
        connection.scene.memory.now += 1;
        let payload = Payload::Tcp(number, 80, SYN);
        let frame = connection
            .scene
            .frame(AT_CLIENT, CLIENT[0], OUTSIDE_TOO[0], payload);
        let verdict = connection
            .scene
            .from_endpoint(AT_CLIENT, &mut frame.bytes());
        assert_eq!(verdict, Verdict::Neighbour);
    }
    assert_eq!(connection.halves(), (8, 2));
    connection.theirs(ACK);
    connection.ours(ACK);
}

#[test]
fn full_tables_are_told() {
    let mut connection = Connection::new();
    connection.scene.memory.max_new_flows = 0;
    let full = Verdict::Drop(DropReason::FlowTableFull);
    assert_eq!(connection.try_ours(SYN), full);
    assert_eq!(connection.halves(), (0, 0));

    for room in [0, 1] {
        let mut connection = Connection::new();
        connection.scene.memory.max_flows = room;
        connection.ours(SYN);
        connection.theirs(SYN_ACK);
        assert_eq!(connection.try_ours(ACK), full);
        // Not half of it: it may succeed later.
        assert_eq!(connection.halves(), (2, 0));
        connection.scene.memory.max_flows = 2;
        connection.ours(ACK);
        assert_eq!(connection.halves(), (0, 2));
    }
}

#[test]
fn timeouts_are_the_agents() {
    let connection = Connection::established();
    let (key, half) = (connection.our_key(), connection.half(&connection.our_key()));
    let timeouts = Timeouts {
        tcp_opening: 3,
        ..Timeouts::default()
    };
    for (seconds, over) in [(3, false), (4, true)] {
        let now = half.last_seen + seconds * SECOND;
        assert_eq!(flow::expired(&key, &half, None, &timeouts, now), over);
    }
}

#[test]
fn a_restarted_container_inherits_nothing() {
    let mut connection = Connection::established();
    connection
        .scene
        .change(AT_CLIENT, |client| client.generation = 2);
    assert_eq!(connection.try_theirs(ACK), Verdict::Pass);
    assert_eq!(connection.halves(), (0, 0));

    let mut connection = Connection::established();
    connection
        .scene
        .change(AT_CLIENT, |client| client.generation = 2);
    connection.ours(SYN);
    assert_eq!(connection.halves(), (2, 0));
    assert_eq!(connection.half(&connection.our_key()).generation, 2);
    assert_eq!(connection.half(&connection.their_key()).generation, 2);
}

#[test]
fn a_half_of_a_former_life_is_no_obstacle() {
    let mut connection = Connection::established();
    let lost = connection.our_key();
    connection.scene.memory.flows.remove(&lost);
    connection
        .scene
        .change(AT_CLIENT, |client| client.generation = 2);
    // The port is kept, though their half still has it.
    connection.ours(SYN);
    assert_eq!(connection.halves(), (2, 0));
}

#[test]
fn other_rules_decide_anew() {
    let mut connection = Connection::established();
    connection.scene.memory.config.epoch += 1;
    connection.ours(ACK);
    assert_eq!(connection.halves(), (2, 0));
    let epoch = connection.scene.memory.config.epoch;
    assert_eq!(connection.half(&connection.our_key()).epoch, epoch);
}

#[test]
fn udp_to_a_restarted_server_reaches_the_new_one() {
    let mut scene = Scene::new();
    let dial = |scene: &mut Scene| {
        let payload = Payload::Udp(55_555, PORT, vec![]);
        let frame = scene.outside_frame(OUTSIDE[0], HOST[0], payload);
        scene.from_uplink(&mut frame.bytes())
    };
    assert_eq!(dial(&mut scene), Verdict::Peer);
    scene.change(AT_WEB, |web| web.generation = 2);
    scene
        .memory
        .ports
        .iter_mut()
        .for_each(|(_, _, port)| port.generation = 2);
    assert_eq!(dial(&mut scene), Verdict::Peer);
    assert_eq!(scene.memory.new_flows.len(), 2);
    let all_new = scene.memory.new_flows.values();
    assert!(all_new.into_iter().all(|flow| flow.generation == 2));
    // Unpublished: the epoch ends its flows.
    scene.memory.ports.clear();
    scene.memory.config.epoch += 1;
    assert_eq!(dial(&mut scene), Verdict::Pass);
    assert!(scene.memory.new_flows.is_empty());
}

#[test]
fn a_client_that_is_gone_gets_no_reply() {
    let mut scene = Scene::new();
    let dial = Payload::Tcp(40_000, PORT, SYN);
    let frame = scene.frame(AT_CLIENT, CLIENT[0], HOST[0], dial);
    let verdict = scene.from_endpoint(AT_CLIENT, &mut frame.bytes());
    assert_eq!(verdict, Verdict::Peer);
    let reply = Payload::Tcp(80, 40_000, SYN_ACK);
    let reply = scene.frame(AT_WEB, WEB[0], CLIENT[0], reply);
    scene.change(AT_CLIENT, |client| client.flags = 0);
    assert_eq!(
        scene.from_endpoint(AT_WEB, &mut reply.bytes()),
        Verdict::Drop(DropReason::EndpointDown)
    );
}

#[test]
fn a_publisher_still_talks_to_its_neighbours() {
    // No flow: delivered as to any neighbour, also where a flow of old no longer holds.
    let mut scene = Scene::new();
    let frame = |scene: &Scene| {
        let payload = Payload::Tcp(80, 40_000, ACK);
        scene.frame(AT_WEB, WEB[0], CLIENT[0], payload)
    };
    let mut packet = frame(&scene).bytes();
    assert_eq!(scene.from_endpoint(AT_WEB, &mut packet), Verdict::Peer);
    assert_eq!(scene.work.outcome.ifindex, u32::from(AT_CLIENT));
    assert_eq!(ports(&packet), [80, 40_000]);

    let dial = Payload::Tcp(40_000, PORT, SYN);
    let dial = scene.frame(AT_CLIENT, CLIENT[0], HOST[0], dial);
    scene.from_endpoint(AT_CLIENT, &mut dial.bytes());
    scene.memory.config.epoch += 1;
    let mut packet = frame(&scene).bytes();
    assert_eq!(scene.from_endpoint(AT_WEB, &mut packet), Verdict::Peer);
    assert_eq!(ports(&packet), [80, 40_000]);
    assert!(scene.memory.new_flows.is_empty());
}

#[test]
fn the_same_tuple_of_another_network_is_another_flow() {
    let mut connection = Connection::established();
    connection
        .scene
        .change(AT_STRANGER, |stranger| stranger.addresses = CLIENT);
    let payload = Payload::Tcp(20_000, 443, ACK);
    let frame = connection
        .scene
        .frame(AT_STRANGER, CLIENT[0], OUTSIDE[0], payload);
    let mut packet = frame.bytes();
    let verdict = connection.scene.from_endpoint(AT_STRANGER, &mut packet);
    assert_eq!(verdict, Verdict::Neighbour);
    assert_ne!(ports(&packet)[0], 20_000, "its own port");
}
