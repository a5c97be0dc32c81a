//! How many errors netd makes: a bucket of tokens per CPU, as the kernel's `icmp_msgs_per_sec` and
//! `icmp_msgs_burst` limit its own.

use zerocopy::FromBytes;

use crate::{
    limits::{ICMP_ERRORS_BURST, ICMP_ERRORS_PER_SECOND},
    packet::bucket,
};

const NANOSECONDS_PER_TOKEN: u64 = 1_000_000_000 / ICMP_ERRORS_PER_SECOND;

/// The bucket. All zero is a full one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes)]
pub struct Budget {
    /// Nanoseconds of CLOCK_MONOTONIC up to which tokens were earned.
    pub earned_until: u64,
    /// Tokens left.
    pub tokens: u64,
}

impl Budget {
    /// Takes a token, if there is one at `now` (nanoseconds of CLOCK_MONOTONIC).
    #[inline(always)]
    pub fn take(&mut self, now: u64) -> bool {
        bucket::take(
            &mut self.earned_until,
            &mut self.tokens,
            now,
            NANOSECONDS_PER_TOKEN,
            ICMP_ERRORS_BURST,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_then_the_rate() {
        let mut budget = Budget::default();
        let start = 100 * SECOND;
        let at_once = (0..1000).filter(|_| budget.take(start)).count() as u64;
        assert_eq!(at_once, ICMP_ERRORS_BURST);
        // Asked far more often than it earns, it still gives what it earns.
        let during = (1..=100_000).filter(|i| budget.take(start + i * SECOND / 100_000));
        assert_eq!(during.count() as u64, ICMP_ERRORS_PER_SECOND);
    }

    #[test]
    fn a_clock_that_stands_or_goes_back_gives_nothing() {
        let mut budget = Budget {
            earned_until: 5 * SECOND,
            tokens: 0,
        };
        assert!(!budget.take(5 * SECOND));
        assert!(!budget.take(4 * SECOND));
    }
}
