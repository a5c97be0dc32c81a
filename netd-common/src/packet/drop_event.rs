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
    event.source_port = transport.source_port;
    event.destination_port = transport.destination_port;
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

#[cfg(test)]
mod tests {
    use super::*;

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
