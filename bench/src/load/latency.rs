//! Durations of single operations, and what is kept of them.

use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::record::Latency;

/// The longest duration told apart, nanoseconds: longer than any time-out here.
const LONGEST: u64 = 60_000_000_000;
/// Quantiles of the curve: dense towards the slow end, where the modes differ.
const CURVE: [f64; 25] = [
    0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97,
    0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 1.0,
];

/// A collection of durations, exact to three digits.
pub struct Durations(Histogram<u64>);

impl Durations {
    /// An empty one.
    pub fn new() -> Result<Durations> {
        Ok(Durations(Histogram::new_with_bounds(1, LONGEST, 3)?))
    }

    /// One more.
    pub fn add(&mut self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.0.saturating_record(nanoseconds.max(1));
    }

    /// What is kept; nothing where nothing was added.
    pub fn summary(&self) -> Option<Latency> {
        let at = |quantile| self.0.value_at_quantile(quantile);
        (!self.0.is_empty()).then(|| Latency {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: self.0.max(),
            curve: CURVE.map(|quantile| (quantile, at(quantile))).to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_added() {
        let mut durations = Durations::new().unwrap();
        assert!(durations.summary().is_none());
        (1..=1000).for_each(|micros| durations.add(Duration::from_micros(micros)));
        let latency = durations.summary().unwrap();
        for (value, expected) in [
            (latency.p50, 500_000),
            (latency.p90, 900_000),
            (latency.p99, 990_000),
            (latency.p999, 999_000),
            (latency.max, 1_000_000),
        ] {
            let off = value.abs_diff(expected);
            assert!(off <= expected / 500, "{value} is not {expected}");
        }
        assert!(latency.curve.is_sorted_by_key(|(_, value)| *value));
    }
}
