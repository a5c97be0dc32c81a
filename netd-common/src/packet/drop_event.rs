//! What is told of a dropped packet, and how often. Only who drops comes here, so other packets pay
//! nothing.

use super::{
    Packet, Work, bucket,
    transport::kind,
    view::{protocol, traits},
};
use crate::{
    DropReason,
    abi::{
        Program,
        drops::{DROP_EVENT_VERSION, DropEvent, EventBudget},
        fragment::{Parked, arrival},
    },
    limits::{DROP_EVENTS_BURST, DROP_EVENTS_PER_SECOND},
};

const NANOSECONDS_PER_TOKEN: u64 = 1_000_000_000 / DROP_EVENTS_PER_SECOND;

impl EventBudget {
    /// Whether there may be one more event at `now` (nanoseconds of CLOCK_MONOTONIC). If not, that is
    /// counted.
    #[inline(always)]
    pub fn take(&mut self, now: u64) -> bool {
        let may = bucket::take(
            &mut self.earned_until,
            &mut self.tokens,
            now,
            NANOSECONDS_PER_TOKEN,
            DROP_EVENTS_BURST,
        );
        if !may {
            self.suppressed += 1;
            self.untold += 1;
        }
        may
    }

    /// Counts an event that there was no room for.
    pub fn lose(&mut self) {
        self.lost += 1;
        self.untold += 1;
    }

    /// Drops that this event stands for, besides its own.
    pub fn take_untold(&mut self) -> u32 {
        let untold = self.untold.min(u64::from(u32::MAX)) as u32;
        self.untold = 0;
        untold
    }
}

/// Tells who dropped a packet and why, and what is known of the packet: `event` has been zeroed.
pub fn fill<P: Packet>(
    packet: &P,
    program: Program,
    reason: DropReason,
    work: &Work,
    event: &mut DropEvent,
) {
    let (ip, transport) = (&work.view.ip, &work.view.transport);
    event.version = DROP_EVENT_VERSION;
    event.reason = reason as u16;
    event.program = program as u16;
    event.network = work.outcome.network;
    event.endpoint = work.outcome.endpoint;
    event.protocol = ip.protocol;
    event.source = ip.source;
    event.destination = ip.destination;
    // Of ICMP that is no echo it is no identifier that stands there.
    if transport.kind != kind::NONE {
        event.source_port = transport.source_port;
        event.destination_port = transport.destination_port;
    }
    let has_ports = matches!(ip.protocol, protocol::TCP | protocol::UDP | protocol::SCTP)
        && ip.traits & traits::LATER_FRAGMENT == 0;
    // Not every decision had to look at them.
    if transport.kind == kind::NONE
        && has_ports
        && let Some([s0, s1, d0, d1]) = packet.read(ip.transport.into())
    {
        event.source_port = [s0, s1];
        event.destination_port = [d0, d1];
    }
}

/// The same of a fragment that waited for the first of its datagram: nobody knows its ports.
#[inline(always)]
pub fn fill_parked(program: Program, reason: DropReason, parked: &Parked, event: &mut DropEvent) {
    let key = &parked.key;
    event.version = DROP_EVENT_VERSION;
    event.reason = reason as u16;
    event.program = program as u16;
    event.network = parked.network;
    event.endpoint = parked.endpoint;
    // What came in by an uplink does not say by which one.
    if !matches!(
        key.arrival,
        arrival::OUTSIDE | arrival::LEAVING | arrival::ENTERING
    ) {
        event.ifindex = key.arrival;
    }
    event.octets = parked.length;
    event.protocol = key.protocol;
    event.source = key.source;
    event.destination = key.destination;
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use zerocopy::FromZeros as _;

    use super::*;
    use crate::{
        Addr,
        abi::{endpoint::flags, fragment::FragmentKey},
        packet::{
            Verdict, from_endpoint, from_uplink,
            testing::{Frame, Payload, Scene, cut, names::*},
        },
    };

    /// A packet of the client's.
    fn frame(destination: Addr, payload: Payload) -> Frame {
        Frame {
            to: mac(AT_WEB),
            from: mac(AT_CLIENT),
            source: CLIENT[usize::from(!destination.is_v4())],
            destination,
            hops: 64,
            payload,
        }
    }

    /// Who drops the client's packet tells this; ports as numbers.
    fn told(scene: &mut Scene, packet: &[u8]) -> (DropEvent, [u16; 2]) {
        let Scene { memory, work, .. } = scene;
        match from_endpoint::decide(&packet, AT_CLIENT.into(), memory, work) {
            Verdict::Drop(reason) => tell(packet, Program::FromEndpoint, reason, work),
            other => panic!("{other:?}"),
        }
    }

    fn tell(
        packet: &[u8],
        program: Program,
        reason: DropReason,
        work: &Work,
    ) -> (DropEvent, [u16; 2]) {
        let mut event = DropEvent::default();
        fill(&packet, program, reason, work, &mut event);
        let ports = [event.source_port, event.destination_port].map(u16::from_be_bytes);
        (event, ports)
    }

    #[test]
    fn both_families_are_told_with_their_ports() {
        let mut scene = Scene::new();
        for family in [0, 1] {
            let to = STRANGER[family];
            let packet = frame(to, Payload::Udp(5_353, 53, b"hello".to_vec())).bytes();
            let (event, ports) = told(&mut scene, &packet);
            let expected = DropEvent {
                version: DROP_EVENT_VERSION,
                reason: DropReason::Isolated as u16,
                program: Program::FromEndpoint as u16,
                protocol: protocol::UDP,
                network: 1,
                endpoint: 12,
                source_port: event.source_port,
                destination_port: event.destination_port,
                source: CLIENT[family],
                destination: to,
                ..DropEvent::default()
            };
            assert_eq!((event, ports), (expected, [5_353, 53]));
        }
    }

    /// To a neighbour that publishes nothing no decision looks at the ports.
    #[test]
    fn ports_are_told_that_nobody_asked_for() {
        let mut scene = Scene::new();
        for endpoint in scene.memory.interfaces.values_mut() {
            endpoint.flags &= !(flags::ICC | flags::PUBLISHES);
        }
        for family in [0, 1] {
            let packet = frame(WEB[family], Payload::Tcp(40_000, 80, 2)).bytes();
            let (event, ports) = told(&mut scene, &packet);
            assert_eq!(event.reason, DropReason::IccOff as u16);
            assert_eq!(scene.work.view.transport.kind, kind::NONE);
            assert_eq!(ports, [40_000, 80]);
        }
    }

    #[test]
    fn a_later_fragment_has_no_ports() {
        let mut scene = Scene::new();
        for endpoint in scene.memory.interfaces.values_mut() {
            endpoint.flags &= !(flags::ICC | flags::PUBLISHES);
        }
        for family in [0, 1] {
            let whole = frame(WEB[family], Payload::Udp(5_353, 53, [7; 100].to_vec())).bytes();
            let pieces = cut(&whole, 48, 9);
            let ports: Vec<[u16; 2]> = (pieces.iter())
                .map(|piece| {
                    let (event, ports) = told(&mut scene, piece);
                    assert_eq!(event.protocol, protocol::UDP);
                    assert_eq!(event.destination, WEB[family]);
                    ports
                })
                .collect();
            assert_eq!(ports, [[5_353, 53], [0; 2], [0; 2]]);
        }
    }

    #[test]
    fn an_echo_has_its_identifier_twice_and_other_icmp_nothing() {
        let mut scene = Scene::new();
        for family in [0, 1] {
            let of = |payload| frame(STRANGER[family], payload).bytes();
            let (event, ports) = told(&mut scene, &of(Payload::EchoRequest(77, 1)));
            assert_eq!(ports, [77; 2]);
            assert_eq!(event.protocol, [protocol::ICMP, protocol::ICMPV6][family]);
            // A time stamp (RFC 792) or a report of a listener (RFC 3810).
            let (_, ports) = told(
                &mut scene,
                &of(Payload::Icmp([13, 143][family], [9; 8].into())),
            );
            assert_eq!(ports, [0; 2]);
        }
    }

    #[test]
    fn nothing_of_a_former_packet_is_told() {
        let mut scene = Scene::new();
        let mut packet = frame(STRANGER[0], Payload::Udp(5_353, 53, Vec::new())).bytes();
        told(&mut scene, &packet);
        packet[11] ^= 1;
        let (event, ports) = told(&mut scene, &packet);
        assert_eq!(event.reason, DropReason::SpoofedMac as u16);
        assert_eq!((event.network, event.endpoint), (1, 12));
        assert_eq!(event.protocol, 0);
        assert_eq!((event.source, event.destination), (Addr::NONE, Addr::NONE));
        assert_eq!(ports, [0; 2]);
        // Nor by another program on the same CPU.
        let mut packet = frame(WEB[0], Payload::Udp(1, 2, Vec::new()));
        packet.source = OUTSIDE[0];
        let packet = &packet.bytes()[..];
        let Scene { memory, work, .. } = &mut scene;
        let verdict = from_uplink::decide(&packet, UPLINK.into(), memory, work);
        assert_eq!(verdict, Verdict::Drop(DropReason::DirectRouting));
        let (event, ports) = tell(packet, Program::FromUplink, DropReason::DirectRouting, work);
        assert_eq!((event.network, event.endpoint), (1, 0));
        assert_eq!((event.source, event.destination), (OUTSIDE[0], WEB[0]));
        assert_eq!(ports, [1, 2]);
    }

    #[test]
    fn a_fragment_that_waited_in_vain_is_told_with_its_sender() {
        let mut parked = Parked::new_zeroed();
        parked.network = 1;
        parked.endpoint = 12;
        parked.length = 68;
        parked.key = FragmentKey {
            source: CLIENT[1],
            destination: OUTSIDE[1],
            arrival: AT_CLIENT.into(),
            protocol: protocol::UDP,
            ..FragmentKey::default()
        };
        let fill = |parked: &Parked| {
            let mut event = DropEvent::default();
            let reason = DropReason::FragmentTimeout;
            fill_parked(Program::FromEndpoint, reason, parked, &mut event);
            event
        };
        let expected = DropEvent {
            version: DROP_EVENT_VERSION,
            reason: DropReason::FragmentTimeout as u16,
            program: Program::FromEndpoint as u16,
            protocol: protocol::UDP,
            network: 1,
            endpoint: 12,
            ifindex: AT_CLIENT.into(),
            octets: 68,
            source: CLIENT[1],
            destination: OUTSIDE[1],
            ..DropEvent::default()
        };
        assert_eq!(fill(&parked), expected);
        parked.key.arrival = arrival::OUTSIDE;
        assert_eq!(fill(&parked).ifindex, 0);
    }

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn what_is_not_told_is_counted() {
        let mut budget = EventBudget::default();
        let told = (0..1_000).filter(|_| budget.take(100 * SECOND)).count() as u64;
        assert_eq!(told, DROP_EVENTS_BURST);
        assert_eq!(budget.suppressed, 1_000 - told);
        assert!(budget.take(101 * SECOND));
        budget.lose();
        assert_eq!(budget.lost, 1);
        assert_eq!(u64::from(budget.take_untold()), 1_001 - told);
        assert_eq!(budget.take_untold(), 0);
    }

    #[test]
    fn the_rate_holds() {
        let mut budget = EventBudget::default();
        let per_second = |second: u64, budget: &mut EventBudget| {
            let at = |i| (100 + second) * SECOND + i * SECOND / 10_000;
            (0..10_000).filter(|i| budget.take(at(*i))).count() as u64
        };
        per_second(0, &mut budget);
        for second in 1..5 {
            assert_eq!(per_second(second, &mut budget), DROP_EVENTS_PER_SECOND);
        }
    }
}
