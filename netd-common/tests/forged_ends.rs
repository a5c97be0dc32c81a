//! RSTs, FINs and SYNs that somebody forges from outside with the right tuple: what speaks goes on, both
//! ways and by the same ports.

use netd_common::{
    limits,
    packet::{
        Verdict,
        flow::{self, Timeouts, twin_key},
        testing::{Payload, Scene, names::*, ports},
        transport::tcp::{ACK, FIN, RST, SYN},
    },
};

const SECOND: u64 = 1_000_000_000;
/// As long as a connection may be silent that seems to be over, less a moment.
const SILENCE: u64 = (limits::TCP_CLOSING_SECONDS - 1) * SECOND;

/// Who began the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A container, towards port 443 outside from a port that is kept.
    Masqueraded,
    /// A client outside, towards the published port.
    Published,
}

/// An established connection.
struct Connection {
    way: Way,
    family: usize,
    scene: Scene,
}

impl Connection {
    fn established(way: Way, family: usize) -> Connection {
        let mut connection = Connection {
            way,
            family,
            scene: Scene::new(),
        };
        if way == Way::Masqueraded {
            connection.inside(SYN);
            connection.outside(SYN | ACK);
            connection.inside(ACK);
            connection.outside(ACK);
        } else {
            connection.outside(SYN);
            connection.inside(SYN | ACK);
            connection.outside(ACK);
            connection.inside(ACK);
        }
        assert_eq!(connection.scene.memory.flows.len(), 2);
        connection
    }

    /// A packet of the container, which leaves by the port that it always had.
    #[track_caller]
    fn inside(&mut self, flags: u8) {
        let (interface, source, sent, leaves) = match self.way {
            Way::Masqueraded => (AT_CLIENT, CLIENT, [20_000, 443], [20_000, 443]),
            Way::Published => (AT_WEB, WEB, [80, 55_555], [PORT, 55_555]),
        };
        let payload = Payload::Tcp(sent[0], sent[1], flags);
        let (source, to) = (source[self.family], OUTSIDE[self.family]);
        let mut packet = self.scene.frame(interface, source, to, payload).bytes();
        let verdict = self.scene.from_endpoint(interface, &mut packet);
        assert_eq!(verdict, Verdict::Neighbour, "{:?}", self.way);
        assert_eq!(ports(&packet), leaves);
    }

    /// A packet with the far side's addresses and ports, whoever sent it. It is delivered: which it is,
    /// the container's stack knows.
    #[track_caller]
    fn outside(&mut self, flags: u8) {
        let (sent, arrives) = match self.way {
            Way::Masqueraded => ([443, 20_000], [443, 20_000]),
            Way::Published => ([55_555, PORT], [55_555, 80]),
        };
        let payload = Payload::Tcp(sent[0], sent[1], flags);
        let (source, to) = (OUTSIDE[self.family], HOST[self.family]);
        let mut packet = self.scene.outside_frame(source, to, payload).bytes();
        let verdict = self.scene.from_uplink(&mut packet);
        assert_eq!(verdict, Verdict::Peer, "{:?}", self.way);
        assert_eq!(ports(&packet), arrives);
    }

    /// Whether the agent would forget it now.
    fn has_expired(&self) -> bool {
        let memory = &self.scene.memory;
        let mut halves = memory.flows.iter().chain(&memory.new_flows);
        halves.any(|(key, half)| {
            let twin_key = twin_key(key, half);
            let twin = memory.flows.get(&twin_key);
            let twin = twin.or(memory.new_flows.get(&twin_key));
            flow::expired(key, half, twin, &Timeouts::default(), memory.now)
        })
    }
}

#[test]
fn what_is_forged_ends_nothing_that_speaks() {
    let all: [&[u8]; 6] = [
        &[RST],
        &[RST | ACK],
        &[FIN | ACK],
        &[RST, SYN],
        &[FIN | ACK, SYN],
        &[SYN],
    ];
    for way in [Way::Masqueraded, Way::Published] {
        for family in [0, 1] {
            for forged in all {
                let mut connection = Connection::established(way, family);
                forged.iter().for_each(|flags| connection.outside(*flags));
                for round in 1..=3 {
                    connection.scene.memory.now += SILENCE;
                    assert!(
                        !connection.has_expired(),
                        "{way:?}, round {round}: {forged:?}"
                    );
                    connection.inside(ACK);
                    connection.outside(ACK);
                    assert_eq!(
                        connection.scene.memory.flows.len()
                            + connection.scene.memory.new_flows.len(),
                        2
                    );
                }
                // Established, also where it had seemed to begin anew.
                assert_eq!(connection.scene.memory.flows.len(), 2);
            }
        }
    }
}

/// What the rule above costs: of what is silent for longer the flow is forgotten, and comes back with
/// the next packet of whoever began it.
#[test]
fn what_is_silent_after_a_forged_reset_is_picked_up_again() {
    for way in [Way::Masqueraded, Way::Published] {
        for family in [0, 1] {
            let mut connection = Connection::established(way, family);
            connection.scene.memory.now += 2 * SILENCE;
            assert!(!connection.has_expired());
            connection.outside(RST);
            connection.scene.memory.now += SILENCE + SECOND + 1;
            assert!(connection.has_expired());
            connection.scene.memory.flows.clear();
            if way == Way::Published {
                connection.outside(ACK);
            }
            connection.inside(ACK);
            connection.outside(ACK);
        }
    }
}
