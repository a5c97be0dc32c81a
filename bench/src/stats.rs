//! Medians, spreads and ratios of samples. Knows neither files nor clocks.
//!
//! The spread is the interquartile range: of five rounds it leaves out the best and the worst one.
//! Ratios are taken within a round, where both sides met the same machine, and then summed up.

use std::collections::BTreeMap;

use crate::record::{Record, Row, Unit};

/// Some values, summed up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Half of the values are smaller.
    pub median: f64,
    /// First quartile.
    pub low: f64,
    /// Third quartile.
    pub high: f64,
    /// How many values there were.
    pub count: usize,
}

impl Summary {
    /// Of some values; nothing where there are none. What is no number is left out.
    pub fn of(values: &[f64]) -> Option<Summary> {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        Some(Summary {
            median: quantile(&sorted, 0.5)?,
            low: quantile(&sorted, 0.25)?,
            high: quantile(&sorted, 0.75)?,
            count: sorted.len(),
        })
    }

    /// Half the spread, in parts of the median.
    pub fn relative(&self) -> f64 {
        if self.median == 0.0 {
            return 0.0;
        }
        ((self.high - self.low) / 2.0 / self.median).abs()
    }
}

/// The value below which this part of sorted values lies, by linear interpolation.
fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let place = part * sorted.len().checked_sub(1)? as f64;
    let below = place.floor() as usize;
    let above = place.ceil() as usize;
    let fraction = place - place.floor();
    Some(sorted[below] + (sorted[above] - sorted[below]) * fraction)
}

/// The values of one row with one mode, by round.
pub type Rounds = BTreeMap<u32, f64>;

/// All samples of a record by row and mode. Several samples of a round count as their median.
pub struct Cells(BTreeMap<Row, BTreeMap<String, Rounds>>);

impl Cells {
    /// Sorts a record's samples.
    pub fn of(record: &Record) -> Cells {
        let mut all: BTreeMap<Row, BTreeMap<String, BTreeMap<u32, Vec<f64>>>> = BTreeMap::new();
        for sample in &record.samples {
            let modes = all.entry(sample.row.clone()).or_default();
            let rounds = modes.entry(sample.mode.clone()).or_default();
            rounds.entry(sample.round).or_default().push(sample.value);
        }
        let one = |values: Vec<f64>| Summary::of(&values).map(|summary| summary.median);
        let by_round = |rounds: BTreeMap<u32, Vec<f64>>| {
            let rounds = rounds.into_iter();
            rounds
                .filter_map(|(round, values)| Some((round, one(values)?)))
                .collect()
        };
        let by_mode = |modes: BTreeMap<String, BTreeMap<u32, Vec<f64>>>| {
            let modes = modes.into_iter();
            modes
                .map(|(mode, rounds)| (mode, by_round(rounds)))
                .collect()
        };
        Cells(
            all.into_iter()
                .map(|(row, modes)| (row, by_mode(modes)))
                .collect(),
        )
    }

    /// All rows in order.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.0.keys()
    }

    /// One row with one mode.
    pub fn rounds(&self, row: &Row, mode: &str) -> Option<&Rounds> {
        self.0.get(row)?.get(mode)
    }

    /// The same, summed up.
    pub fn summary(&self, row: &Row, mode: &str) -> Option<Summary> {
        let values: Vec<f64> = self.rounds(row, mode)?.values().copied().collect();
        Summary::of(&values)
    }

    /// Which modes a row was measured with.
    pub fn modes(&self, row: &Row) -> impl Iterator<Item = &str> {
        self.0
            .get(row)
            .into_iter()
            .flat_map(|modes| modes.keys().map(String::as_str))
    }

    /// How many times better `mode` does on the row than `base`: above 1 is faster or smaller.
    pub fn advantage(&self, row: &Row, mode: &str, base: &str) -> Option<Summary> {
        let (own, other) = (self.rounds(row, mode)?, self.rounds(row, base)?);
        if row.unit.more_is_better() {
            ratio(own, other)
        } else {
            ratio(other, own)
        }
    }
}

/// `over / under`, round by round.
pub fn ratio(over: &Rounds, under: &Rounds) -> Option<Summary> {
    let ratios: Vec<f64> = over
        .iter()
        .filter_map(|(round, over)| Some(over / under.get(round)?))
        .collect();
    Summary::of(&ratios)
}

/// A value as people write it, with its unit.
pub fn written(value: f64, unit: Unit) -> String {
    match unit {
        Unit::BitsPerSecond => format!("{}bit/s", scaled(value, 1000.0, &["", "k", "M", "G", "T"])),
        Unit::PerSecond => format!("{}/s", scaled(value, 1000.0, &["", "k", "M", "G"])),
        Unit::Nanoseconds if value >= 1e9 => format!("{} s", digits(value / 1e9)),
        Unit::Nanoseconds => scaled(value, 1000.0, &["ns", "µs", "ms"]),
        Unit::Octets => scaled(value, 1024.0, &["B", "KiB", "MiB", "GiB"]),
        Unit::Count => format!("{value:.0}"),
    }
}

/// A number with three digits and the prefix that suits it.
fn scaled(value: f64, step: f64, prefixes: &[&str]) -> String {
    let mut value = value;
    let mut at = 0;
    while value.abs() >= 0.9995 * step && at + 1 < prefixes.len() {
        value /= step;
        at += 1;
    }
    format!("{} {}", digits(value), prefixes[at])
}

/// Three digits, or all before the point.
pub fn digits(value: f64) -> String {
    match value.abs() {
        large if large >= 99.95 => format!("{value:.0}"),
        large if large >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
#[path = "stats_tests.rs"]
mod tests;
