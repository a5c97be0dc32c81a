//! Containers dialled by their own address: gateway modes, trusted interfaces, direct routing, from
//! outside and between networks; an address of its own for a network; DHCP servers.

use netd_common::{
    Addr, DropReason,
    abi::{
        endpoint::flags,
        host::{HostAddress, Uplink},
    },
    packet::{
        Verdict,
        testing::{Frame, Payload, Scene, names::*, ports},
    },
};

const SYN: u8 = 2;
const SYN_ACK: u8 = 18;
const RST: u8 = 4;
const FAMILIES: [usize; 2] = [0, 1];
const OPEN: u16 = 80;
const CLOSED: u16 = 81;

/// [`WEB`]'s network has these flags, and its port [`OPEN`] is published.
fn scene(more: u32) -> Scene {
    let mut scene = Scene::new();
    scene.change_network(1, |subnet| subnet.flags |= more);
    for interface in [AT_WEB, AT_CLIENT] {
        scene.change(interface, |endpoint| endpoint.flags |= more);
    }
    for address in WEB {
        scene.open_port(address, OPEN);
    }
    scene
}

fn tcp(to: u16) -> Payload {
    Payload::Tcp(40_000, to, SYN)
}

/// What becomes of packets to the open port, to another, and of a ping, from outside.
fn from_outside(scene: &mut Scene, family: usize) -> [Verdict; 3] {
    [tcp(OPEN), tcp(CLOSED), Payload::EchoRequest(7, 1)].map(|payload| {
        let frame = scene.outside_frame(OUTSIDE[family], WEB[family], payload);
        let verdict = scene.from_uplink(&mut frame.bytes());
        assert_eq!(scene.work.outcome.network, 1);
        verdict
    })
}

/// The same from another network.
fn from_stranger(scene: &mut Scene, family: usize) -> [Verdict; 3] {
    [tcp(OPEN), tcp(CLOSED), Payload::EchoRequest(7, 1)].map(|payload| {
        let frame = scene.frame(AT_STRANGER, STRANGER[family], WEB[family], payload);
        scene.from_endpoint(AT_STRANGER, &mut frame.bytes())
    })
}

#[test]
fn each_mode_lets_in_what_it_says() {
    for family in FAMILIES {
        let refused = Verdict::Drop(DropReason::DirectRouting);
        let apart = Verdict::Drop(DropReason::Isolated);
        let yes = Verdict::Peer;
        for (more, outside, stranger) in [
            (0, [refused; 3], [apart; 3]),
            (
                flags::ROUTED[family],
                [yes, refused, yes],
                [yes, apart, yes],
            ),
            (flags::UNPROTECTED[family], [yes; 3], [yes; 3]),
            (flags::DIRECT, [yes, refused, refused], [yes, apart, apart]),
            // A mode is of one family.
            (flags::ROUTED[1 - family], [refused; 3], [apart; 3]),
            (flags::UNPROTECTED[1 - family], [refused; 3], [apart; 3]),
            // And of no internal network.
            (
                flags::UNPROTECTED[family] | flags::INTERNAL,
                [refused; 3],
                [apart; 3],
            ),
        ] {
            assert_eq!(from_outside(&mut scene(more), family), outside, "{more:x}");
            // What the dialling network's own mode is does not matter.
            for own in [0, flags::ROUTED[family], flags::UNPROTECTED[family]] {
                let mut scene = scene(more);
                scene.change(AT_STRANGER, |endpoint| endpoint.flags |= own);
                scene.change_network(2, |subnet| subnet.flags |= own);
                let seen = from_stranger(&mut scene, family);
                assert_eq!(seen, stranger, "{more:x} from {own:x}");
            }
        }
    }
}

/// Its gateway is an address of the host's: for the network, and for whom the network lets in.
#[test]
fn a_gateway_is_dialled_from_outside_where_its_network_may_be() {
    let pass = Verdict::Pass;
    let refused = Verdict::Drop(DropReason::DirectRouting);
    for family in FAMILIES {
        for (more, expected) in [
            (0, refused),
            (flags::ROUTED[family], pass),
            (flags::UNPROTECTED[family], pass),
            (flags::DIRECT, pass),
            (flags::ROUTED[1 - family], refused),
            (flags::DIRECT | flags::INTERNAL, refused),
            (flags::TRUSTS, refused),
        ] {
            let mut scene = scene(more);
            for payload in [tcp(22), Payload::EchoRequest(7, 1)] {
                let frame = scene.outside_frame(OUTSIDE[family], GATEWAY[family], payload);
                assert_eq!(scene.from_uplink(&mut frame.bytes()), expected, "{more:x}");
            }
            // What is published is at every address of the host's.
            let frame = scene.outside_frame(OUTSIDE[family], GATEWAY[family], tcp(PORT));
            assert_eq!(scene.from_uplink(&mut frame.bytes()), Verdict::Peer);
            // The answer comes from the gateway's address and leaves, though its source is in a subnet.
            let answer = Payload::Tcp(OPEN, 40_000, SYN_ACK);
            let frame = scene.frame(AT_WEB, WEB[family], OUTSIDE[family], answer);
            let mut packet = frame.bytes();
            assert_eq!(scene.from_endpoint(AT_WEB, &mut packet), Verdict::Neighbour);
            assert_eq!(ports(&packet), [PORT, 40_000]);
            assert_eq!(scene.to_uplink(true, &mut packet), pass, "{more:x}");
        }
        let mut scene = scene(flags::TRUSTS);
        scene.memory.trusted.insert((1, UPLINK.into()));
        let frame = scene.outside_frame(OUTSIDE[family], GATEWAY[family], tcp(22));
        assert_eq!(scene.from_uplink(&mut frame.bytes()), pass);
    }
}

#[test]
fn an_internal_network_does_not_reach_out() {
    let mut scene = scene(flags::UNPROTECTED[0]);
    scene.change(AT_STRANGER, |stranger| stranger.flags |= flags::INTERNAL);
    let apart = Verdict::Drop(DropReason::Isolated);
    assert_eq!(from_stranger(&mut scene, 0), [apart; 3]);
}

#[test]
fn trusted_interfaces_dial_open_ports() {
    for family in FAMILIES {
        let mut scene = scene(flags::TRUSTS);
        let refused = Verdict::Drop(DropReason::DirectRouting);
        let apart = Verdict::Drop(DropReason::Isolated);
        assert_eq!(from_outside(&mut scene, family), [refused; 3]);
        scene.memory.trusted.insert((1, UPLINK.into()));
        let open = [Verdict::Peer, refused, refused];
        assert_eq!(from_outside(&mut scene, family), open);
        assert_eq!(from_stranger(&mut scene, family), [apart; 3]);
        scene.memory.trusted.insert((1, OTHER_BRIDGE.into()));
        let open = [Verdict::Peer, apart, apart];
        assert_eq!(from_stranger(&mut scene, family), open);
    }
}

#[test]
fn what_is_dialled_directly_is_not_translated_nor_are_its_answers() {
    for family in FAMILIES {
        let mut scene = scene(flags::UNPROTECTED[family]);
        let frame = scene.outside_frame(OUTSIDE[family], WEB[family], tcp(OPEN));
        let mut packet = frame.bytes();
        assert_eq!(scene.from_uplink(&mut packet), Verdict::Peer);
        let expected = Frame {
            to: mac(AT_WEB),
            from: mac(BRIDGE),
            hops: 59,
            ..frame
        };
        assert_eq!(packet, expected.bytes());
        let outcome = &scene.work.outcome;
        assert_eq!((outcome.ifindex, outcome.receiver), (AT_WEB.into(), 11));
        // Though what the container begins itself is masqueraded.
        let answer = Payload::Tcp(OPEN, 40_000, SYN_ACK);
        let frame = scene.frame(AT_WEB, WEB[family], OUTSIDE[family], answer);
        let mut packet = frame.bytes();
        assert_eq!(scene.from_endpoint(AT_WEB, &mut packet), Verdict::Neighbour);
        assert_eq!(packet, Frame { hops: 63, ..frame }.bytes());
    }
}

#[test]
fn a_routed_network_is_seen_as_it_is() {
    for family in FAMILIES {
        let mut scene = scene(flags::ROUTED[family]);
        for family_too in FAMILIES {
            let frame = scene.frame(AT_WEB, WEB[family_too], OUTSIDE[family_too], tcp(443));
            let mut packet = frame.bytes();
            assert_eq!(scene.from_endpoint(AT_WEB, &mut packet), Verdict::Neighbour);
            let kept = packet == Frame { hops: 63, ..frame }.bytes();
            assert_eq!(kept, family == family_too);
        }
    }
}

#[test]
fn a_masqueraded_network_is_the_gateway_to_another_one() {
    for family in FAMILIES {
        for (more, seen) in [
            (0, GATEWAY[family]),
            (flags::ROUTED[family], STRANGER[family]),
        ] {
            let mut scene = scene(flags::UNPROTECTED[family]);
            scene.change(AT_STRANGER, |stranger| stranger.flags |= more);
            let frame = scene.frame(
                AT_STRANGER,
                STRANGER[family],
                WEB[family],
                Payload::Tcp(20_000, OPEN, SYN),
            );
            let mut packet = frame.bytes();
            assert_eq!(scene.from_endpoint(AT_STRANGER, &mut packet), Verdict::Peer);
            let expected = Frame {
                to: mac(AT_WEB),
                from: mac(BRIDGE),
                source: seen,
                hops: 63,
                ..frame
            };
            assert_eq!(packet, expected.bytes());
            let answer = Payload::Tcp(OPEN, 20_000, SYN_ACK);
            let frame = scene.frame(AT_WEB, WEB[family], seen, answer);
            let mut packet = frame.bytes();
            assert_eq!(scene.from_endpoint(AT_WEB, &mut packet), Verdict::Peer);
            let expected = Frame {
                to: mac(AT_STRANGER),
                from: mac(OTHER_BRIDGE),
                destination: STRANGER[family],
                hops: 63,
                ..frame
            };
            assert_eq!(packet, expected.bytes());
            assert_eq!(scene.work.outcome.ifindex, u32::from(AT_STRANGER));
        }
    }
}

#[test]
fn who_may_not_begin_does_not() {
    let mut scene = scene(flags::UNPROTECTED[0]);
    let refused = Verdict::Drop(DropReason::DirectRouting);
    for payload in [
        Payload::Tcp(40_000, OPEN, RST),
        Payload::EchoReply(7, 1),
        Payload::Other(47, vec![0; 12]),
    ] {
        let frame = scene.outside_frame(OUTSIDE[0], WEB[0], payload);
        assert_eq!(scene.from_uplink(&mut frame.bytes()), refused);
    }
    // Nobody outside has the host's address, nor a container's.
    for source in [HOST[0], STRANGER[0]] {
        let frame = scene.outside_frame(source, WEB[0], tcp(OPEN));
        let spoofed = Verdict::Drop(DropReason::SpoofedAddress);
        assert_eq!(scene.from_uplink(&mut frame.bytes()), spoofed);
    }
    let nobody = Addr::v4([172, 18, 0, 99]);
    let frame = scene.outside_frame(OUTSIDE[0], nobody, tcp(OPEN));
    let verdict = scene.from_uplink(&mut frame.bytes());
    assert_eq!(verdict, Verdict::Drop(DropReason::NoNeighbor));
    scene.change(AT_WEB, |web| web.flags &= !flags::UP);
    let frame = scene.outside_frame(OUTSIDE[0], WEB[0], tcp(OPEN));
    let verdict = scene.from_uplink(&mut frame.bytes());
    assert_eq!(verdict, Verdict::Drop(DropReason::EndpointDown));
    assert!(scene.memory.new_flows.is_empty());
}

#[test]
fn a_network_has_an_address_of_its_own_outside() {
    let own = [
        Addr::v4([198, 18, 0, 40]),
        Addr::v6([0x20, 1, 0x0d, 0xb8, 0, 0x18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 40]),
    ];
    for family in FAMILIES {
        let mut scene = scene(flags::EGRESS[family]);
        scene.change_network(1, |subnet| subnet.egress = own[family]);
        let frame = scene.frame(AT_CLIENT, CLIENT[family], OUTSIDE[family], tcp(443));
        let mut packet = frame.bytes();
        assert_eq!(
            scene.from_endpoint(AT_CLIENT, &mut packet),
            Verdict::Neighbour
        );
        let [port, _] = ports(&packet);
        let source = Frame {
            source: own[family],
            hops: 63,
            payload: Payload::Tcp(port, 443, SYN),
            ..frame.clone()
        };
        assert_eq!(packet, source.bytes());
        let back = Payload::Tcp(443, port, SYN_ACK);
        let back = scene.outside_frame(OUTSIDE[family], own[family], back);
        assert_eq!(scene.from_uplink(&mut back.bytes()), Verdict::Peer);
        // It stays, whatever uplink carries it.
        let uplink = Uplink {
            mtu: 1500,
            ..Uplink::default()
        };
        scene.memory.uplinks.insert(51, uplink);
        scene.memory.default_uplink = Some(51);
        let mut packet = frame.bytes();
        assert_eq!(
            scene.from_endpoint(AT_CLIENT, &mut packet),
            Verdict::Neighbour
        );
        assert_eq!(packet, source.bytes());
        // Other networks have the uplink's.
        let value = HostAddress::default();
        scene.memory.host_addresses.insert(HOST[family], value);
        scene.memory.default_uplink = Some(UPLINK.into());
        let frame = scene.frame(AT_STRANGER, STRANGER[family], OUTSIDE[family], tcp(443));
        let mut packet = frame.bytes();
        assert_eq!(
            scene.from_endpoint(AT_STRANGER, &mut packet),
            Verdict::Neighbour
        );
        assert!(!packet.windows(4).any(|at| at == own[family].octets_v4()));
    }
}

#[test]
fn a_container_is_no_dhcp_server_unless_it_may() {
    let broadcast = Addr::v4([255; 4]);
    let all_nodes = Addr::v6([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let refused = Verdict::Drop(DropReason::DhcpServer);
    for (family, port, everybody) in [(0, 68, broadcast), (1, 546, all_nodes)] {
        let mut scene = Scene::new();
        let offer = Payload::Udp(port - 1, port, vec![2; 240]);
        for to in [CLIENT[family], everybody, OUTSIDE[family]] {
            let frame = scene.frame(AT_WEB, WEB[family], to, offer.clone());
            assert_eq!(scene.from_endpoint(AT_WEB, &mut frame.bytes()), refused);
        }
        // Neither behind an option, nor in a first fragment.
        if family == 0 {
            let frame = scene.frame(AT_WEB, WEB[0], CLIENT[0], offer.clone());
            let mut packet = frame.bytes();
            packet[14] = 0x46;
            packet.splice(34..34, [1, 1, 1, 0]);
            let total = (packet.len() as u16 - 14).to_be_bytes();
            packet[16..18].copy_from_slice(&total);
            assert_eq!(scene.from_endpoint(AT_WEB, &mut packet), refused);
            let mut packet = frame.bytes();
            packet[20] = 0x20;
            assert_eq!(scene.from_endpoint(AT_WEB, &mut packet), refused);
        }
        // A client may ask, and other protocols have that port, too.
        for payload in [
            Payload::Udp(port, port - 1, vec![1; 240]),
            Payload::Tcp(port - 1, port, SYN),
        ] {
            let frame = scene.frame(AT_WEB, WEB[family], CLIENT[family], payload);
            let verdict = scene.from_endpoint(AT_WEB, &mut frame.bytes());
            assert_eq!(verdict, Verdict::Peer);
        }
        scene.change(AT_WEB, |web| web.flags |= flags::SERVES_DHCP);
        let frame = scene.frame(AT_WEB, WEB[family], CLIENT[family], offer);
        let verdict = scene.from_endpoint(AT_WEB, &mut frame.bytes());
        assert_eq!(verdict, Verdict::Peer);
    }
}
