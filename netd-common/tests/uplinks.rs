//! Ways out that change: an uplink's address, the uplink itself, rules of the host.

use netd_common::{
    Addr, DropReason,
    abi::host::{HostAddress, Uplink},
    packet::{
        Verdict,
        tables::Route,
        testing::{Payload, Scene, names::*},
    },
};

const SYN: u8 = 2;
const SYN_ACK: u8 = 18;
const ACK: u8 = 16;
const FAMILIES: [usize; 2] = [0, 1];
/// Another address of the host, and another uplink with an address of its own.
const NEW: [Addr; 2] = [Addr::v4([198, 18, 0, 77]), six(0x18, 77)];
const BACKUP: u32 = 51;
const AT_BACKUP: [Addr; 2] = [Addr::v4([198, 19, 0, 2]), six(0x19, 2)];

const fn six(network: u8, host: u8) -> Addr {
    Addr::v6([
        0x20, 1, 0x0d, 0xb8, 0, network, 0, 0, 0, 0, 0, 0, 0, 0, 0, host,
    ])
}

/// Sends out; where it leaves and what it is from.
fn out(scene: &mut Scene, family: usize, payload: Payload) -> (u32, Addr) {
    let frame = scene.frame(AT_CLIENT, CLIENT[family], OUTSIDE[family], payload);
    let mut packet = frame.bytes();
    let verdict = scene.from_endpoint(AT_CLIENT, &mut packet);
    assert_eq!(verdict, Verdict::Neighbour);
    (scene.work.outcome.ifindex, source_of(&packet))
}

fn source_of(packet: &[u8]) -> Addr {
    if packet[12..14] == [8, 0] {
        Addr::v4(packet[26..30].try_into().expect("four octets"))
    } else {
        Addr::v6(packet[22..38].try_into().expect("sixteen octets"))
    }
}

/// A connection that is established from port 20,000.
fn established(family: usize) -> Scene {
    let mut scene = Scene::new();
    out(&mut scene, family, Payload::Tcp(20_000, 443, SYN));
    let back = Payload::Tcp(443, 20_000, SYN_ACK);
    let frame = scene.outside_frame(OUTSIDE[family], HOST[family], back);
    assert_eq!(scene.from_uplink(&mut frame.bytes()), Verdict::Peer);
    let at = out(&mut scene, family, Payload::Tcp(20_000, 443, ACK));
    assert_eq!(at, (u32::from(UPLINK), HOST[family]));
    assert_eq!(scene.memory.flows.len(), 2);
    scene
}

fn give(scene: &mut Scene, address: Addr, ifindex: u32) {
    let value = HostAddress {
        ifindex,
        network: 0,
    };
    scene.memory.host_addresses.insert(address, value);
}

fn add_backup(scene: &mut Scene) {
    let backup = Uplink {
        addresses: AT_BACKUP,
        mtu: 1500,
        flags: 0,
    };
    scene.memory.uplinks.insert(BACKUP, backup);
    for address in AT_BACKUP {
        give(scene, address, BACKUP);
    }
}

fn by_backup(family: usize) -> Route {
    Route::Via {
        ifindex: BACKUP,
        next_hop: OUTSIDE[family],
        resolved: true,
    }
}

#[test]
fn a_next_hop_without_a_mac_is_noted() {
    let mut scene = Scene::new();
    let payload = Payload::Udp(20_000, 53, vec![0; 8]);
    let frame = scene.frame(AT_CLIENT, CLIENT[0], OUTSIDE[0], payload);
    for resolved in [true, false, true] {
        let route = Route::Via {
            ifindex: UPLINK.into(),
            next_hop: OUTSIDE[0],
            resolved,
        };
        scene.memory.routes.insert(OUTSIDE[0], route);
        let verdict = scene.from_endpoint(AT_CLIENT, &mut frame.bytes());
        assert_eq!(verdict, Verdict::Neighbour);
        assert_eq!(scene.work.outcome.unresolved, u32::from(!resolved));
    }
}

#[test]
fn flows_do_not_keep_an_address_that_is_gone() {
    for family in FAMILIES {
        let mut scene = established(family);
        scene.memory.host_addresses.remove(&HOST[family]);
        give(&mut scene, NEW[family], UPLINK.into());
        let uplink = scene.memory.uplinks.get_mut(&UPLINK.into());
        uplink.expect("the uplink").addresses = NEW;
        let at = out(&mut scene, family, Payload::Tcp(20_000, 443, ACK));
        assert_eq!(at, (u32::from(UPLINK), NEW[family]));
        assert!(
            scene.memory.flows.is_empty(),
            "nothing is left of the old one"
        );
        let at = out(&mut scene, family, Payload::Udp(20_000, 53, vec![]));
        assert_eq!(at, (u32::from(UPLINK), NEW[family]));
    }
}

#[test]
fn flows_keep_an_address_that_is_there_but_no_longer_the_first() {
    for family in FAMILIES {
        let mut scene = established(family);
        give(&mut scene, NEW[family], UPLINK.into());
        let uplink = scene.memory.uplinks.get_mut(&UPLINK.into());
        uplink.expect("the uplink").addresses = NEW;
        let at = out(&mut scene, family, Payload::Tcp(20_000, 443, ACK));
        assert_eq!(at, (u32::from(UPLINK), HOST[family]));
        // New ones have the new one.
        let at = out(&mut scene, family, Payload::Tcp(20_001, 443, SYN));
        assert_eq!(at, (u32::from(UPLINK), NEW[family]));
    }
}

#[test]
fn flows_do_not_leave_by_an_uplink_with_anothers_address() {
    for family in FAMILIES {
        let mut scene = established(family);
        add_backup(&mut scene);
        scene
            .memory
            .routes
            .insert(OUTSIDE[family], by_backup(family));
        let at = out(&mut scene, family, Payload::Tcp(20_000, 443, ACK));
        assert_eq!(at, (BACKUP, AT_BACKUP[family]));
    }
}

#[test]
fn the_routes_source_is_what_the_outside_sees() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        let preferred = NEW[family];
        // On the loopback interface, as routers have it.
        give(&mut scene, preferred, 1);
        scene.memory.preferred.insert(OUTSIDE[family], preferred);
        let at = out(&mut scene, family, Payload::Tcp(20_000, 443, SYN));
        assert_eq!(at, (u32::from(UPLINK), preferred));
        let back = Payload::Tcp(443, 20_000, SYN_ACK);
        let frame = scene.outside_frame(OUTSIDE[family], preferred, back);
        assert_eq!(scene.from_uplink(&mut frame.bytes()), Verdict::Peer);
        let at = out(&mut scene, family, Payload::Tcp(20_000, 443, ACK));
        assert_eq!(at, (u32::from(UPLINK), preferred));
        assert_eq!(scene.memory.flows.len(), 2);
    }
    // A link-local address reaches no further than the link.
    let mut scene = Scene::new();
    let local = Addr::v6([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    scene.memory.preferred.insert(OUTSIDE[1], local);
    let at = out(&mut scene, 1, Payload::Tcp(20_000, 443, SYN));
    assert_eq!(at, (u32::from(UPLINK), HOST[1]));
}

#[test]
fn rules_about_a_containers_address_choose_its_uplink() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        add_backup(&mut scene);
        scene
            .memory
            .policies
            .insert(CLIENT[family], by_backup(family));
        let at = out(&mut scene, family, Payload::Tcp(20_000, 443, SYN));
        assert_eq!(at, (BACKUP, AT_BACKUP[family]));
    }
}

#[test]
fn a_published_port_answers_the_way_the_host_does() {
    for family in FAMILIES {
        let mut scene = Scene::new();
        add_backup(&mut scene);
        // What is from the second uplink's address leaves by it.
        scene
            .memory
            .policies
            .insert(AT_BACKUP[family], by_backup(family));
        for dialled in [HOST[family], AT_BACKUP[family]] {
            let dial = Payload::Tcp(50_000, PORT, SYN);
            let frame = scene.outside_frame(OUTSIDE[family], dialled, dial);
            assert_eq!(scene.from_uplink(&mut frame.bytes()), Verdict::Peer);
        }
        // Which of both conversations an answer is of, its port says: the second got another.
        let mut halves = scene.memory.new_flows.clone();
        halves.retain(|key, _| key.zone == 1);
        assert_eq!(halves.len(), 2);
        for (key, flow) in halves {
            let to = u16::from_be_bytes(key.destination_port);
            let answer = Payload::Tcp(80, to, SYN_ACK);
            let frame = scene.frame(AT_WEB, WEB[family], OUTSIDE[family], answer);
            let mut packet = frame.bytes();
            assert_eq!(scene.from_endpoint(AT_WEB, &mut packet), Verdict::Neighbour);
            let expected = if flow.source == HOST[family] {
                u32::from(UPLINK)
            } else {
                BACKUP
            };
            assert_eq!(scene.work.outcome.ifindex, expected);
            assert_eq!(source_of(&packet), flow.source);
        }
    }
}

#[test]
fn without_an_address_nothing_leaves() {
    let mut scene = established(0);
    let uplink = scene.memory.uplinks.get_mut(&UPLINK.into());
    uplink.expect("the uplink").addresses = [Addr::NONE; 2];
    scene.memory.host_addresses.remove(&HOST[0]);
    let payload = Payload::Tcp(20_000, 443, ACK);
    let frame = scene.frame(AT_CLIENT, CLIENT[0], OUTSIDE[0], payload);
    let verdict = scene.from_endpoint(AT_CLIENT, &mut frame.bytes());
    assert_eq!(verdict, Verdict::Drop(DropReason::NoAddress));
    assert!(scene.memory.flows.is_empty());
}
