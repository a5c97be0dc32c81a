//! The host's own sockets come first: no flow takes a port of theirs, and one that has it gives way.

use netd_common::{
    Addr, DropReason,
    packet::{
        Verdict,
        testing::{Payload, Scene, names::*, ports},
        view::protocol,
    },
};

const SYN: u8 = 2;
const SYN_ACK: u8 = 18;
const RST: u8 = 4;
const ACK: u8 = 16;
const FAMILIES: [usize; 2] = [0, 1];

fn out(scene: &mut Scene, family: usize, payload: Payload) -> (Verdict, [u16; 2]) {
    let frame = scene.frame(AT_CLIENT, CLIENT[family], OUTSIDE[family], payload);
    let mut packet = frame.bytes();
    let verdict = scene.from_endpoint(AT_CLIENT, &mut packet);
    (verdict, ports(&packet))
}

/// The host itself sends out by the uplink.
fn host_sends(scene: &mut Scene, to: Addr, payload: Payload) -> u32 {
    let family = usize::from(!to.is_v4());
    let frame = scene.outside_frame(HOST[family], to, payload);
    let mut packet = frame.bytes();
    assert_eq!(scene.to_uplink(false, &mut packet), Verdict::Pass);
    assert_eq!(packet, frame.bytes(), "as it was");
    scene.work.outcome.noted
}

#[test]
fn a_port_that_the_host_uses_is_not_taken() {
    for family in FAMILIES {
        for (number, payload) in [
            (protocol::TCP, Payload::Tcp(20_000, 443, SYN)),
            (protocol::UDP, Payload::Udp(20_000, 443, vec![])),
        ] {
            let mut scene = Scene::new();
            let socket = (number, HOST[family], 20_000_u16.to_be_bytes());
            scene.memory.sockets.insert(socket);
            let (verdict, [port, _]) = out(&mut scene, family, payload);
            assert_eq!(verdict, Verdict::Neighbour);
            assert_ne!(port, 20_000);
        }
    }
}

#[test]
fn with_all_ports_used_by_the_host_there_is_none() {
    let mut scene = Scene::new();
    scene.memory.config.ports = [[5_000, 5_001], [1, 0]];
    for port in [5_000_u16, 5_001] {
        let socket = (protocol::TCP, HOST[0], port.to_be_bytes());
        scene.memory.sockets.insert(socket);
    }
    let (verdict, _) = out(&mut scene, 0, Payload::Tcp(40_000, 443, SYN));
    assert_eq!(verdict, Verdict::Drop(DropReason::PortsExhausted));
    // Those of UDP are others.
    let (verdict, _) = out(&mut scene, 0, Payload::Udp(40_000, 443, vec![]));
    assert_eq!(verdict, Verdict::Neighbour);
}

#[test]
fn a_flow_gives_way_to_a_socket_that_comes_later() {
    for family in FAMILIES {
        for (payload, far) in [
            (
                Payload::Tcp(20_000, 443, SYN),
                Payload::Tcp(443, 20_000, SYN_ACK),
            ),
            (
                Payload::Udp(20_000, 53, vec![]),
                Payload::Udp(53, 20_000, vec![]),
            ),
            (Payload::EchoRequest(7, 1), Payload::EchoReply(7, 1)),
        ] {
            let mut scene = Scene::new();
            let (verdict, _) = out(&mut scene, family, payload.clone());
            assert_eq!(verdict, Verdict::Neighbour);
            // Towards somebody else the port is free.
            let elsewhere = host_sends(&mut scene, OUTSIDE_TOO[family], payload.clone());
            assert_eq!(elsewhere, 0);
            assert_eq!(scene.memory.new_flows.len(), 2);

            let noted = host_sends(&mut scene, OUTSIDE[family], payload.clone());
            assert_eq!(noted, DropReason::FlowYielded as u32);
            assert_eq!(scene.work.outcome.network, 1);
            assert!(scene.memory.new_flows.is_empty());
            // The answer is the host's.
            let frame = scene.outside_frame(OUTSIDE[family], HOST[family], far);
            assert_eq!(scene.from_uplink(&mut frame.bytes()), Verdict::Pass);
            // Told once.
            assert_eq!(host_sends(&mut scene, OUTSIDE[family], payload), 0);
        }
    }
}

#[test]
fn an_established_flow_gives_way_too_and_goes_on_by_another_port() {
    let mut scene = Scene::new();
    out(&mut scene, 0, Payload::Tcp(20_000, 443, SYN));
    let frame = scene.outside_frame(OUTSIDE[0], HOST[0], Payload::Tcp(443, 20_000, SYN_ACK));
    assert_eq!(scene.from_uplink(&mut frame.bytes()), Verdict::Peer);
    out(&mut scene, 0, Payload::Tcp(20_000, 443, ACK));
    assert_eq!(scene.memory.flows.len(), 2);
    let noted = host_sends(&mut scene, OUTSIDE[0], Payload::Tcp(20_000, 443, SYN));
    assert_eq!(noted, DropReason::FlowYielded as u32);
    assert!(scene.memory.flows.is_empty());
    let socket = (protocol::TCP, HOST[0], 20_000_u16.to_be_bytes());
    scene.memory.sockets.insert(socket);
    let (verdict, [port, _]) = out(&mut scene, 0, Payload::Tcp(20_000, 443, ACK));
    assert_eq!(verdict, Verdict::Neighbour);
    assert_ne!(port, 20_000);
}

#[test]
fn what_is_no_socket_of_the_host_ends_nothing() {
    let mut scene = Scene::new();
    out(&mut scene, 0, Payload::Tcp(20_000, 443, SYN));
    out(&mut scene, 0, Payload::EchoRequest(7, 1));
    // The host's stack refuses a stray packet; it answers the ping of somebody outside.
    for payload in [Payload::Tcp(20_000, 443, RST), Payload::EchoReply(7, 1)] {
        assert_eq!(host_sends(&mut scene, OUTSIDE[0], payload), 0);
    }
    assert_eq!(scene.memory.new_flows.len(), 4);
    // A published port's answer by way of the host is no masqueraded flow.
    let mut scene = Scene::new();
    scene.publish(20_000, 20_000, 80);
    let dial = scene.outside_frame(OUTSIDE[0], HOST[0], Payload::Tcp(443, 20_000, SYN));
    assert_eq!(scene.from_uplink(&mut dial.bytes()), Verdict::Peer);
    let answer = Payload::Tcp(20_000, 443, SYN_ACK);
    assert_eq!(host_sends(&mut scene, OUTSIDE[0], answer), 0);
    assert_eq!(scene.memory.new_flows.len(), 2);
}

#[test]
fn most_of_the_hosts_packets_are_not_looked_up() {
    let mut scene = Scene::new();
    for payload in [
        Payload::Tcp(40_000, 443, SYN),
        Payload::Udp(53, 53, vec![]),
        Payload::EchoReply(7, 1),
    ] {
        scene.memory.take_lookups();
        host_sends(&mut scene, OUTSIDE[0], payload);
        assert_eq!(scene.memory.take_lookups().flows, 0);
    }
}
