//! Tables as rows of text, for the terminal and for documents alike.

use std::collections::BTreeSet;

use super::words;
use crate::{
    record::{Cores, Group, Record, Row},
    stats::{Cells, digits, written},
    targets::{self, JUDGED},
};

/// A table.
pub struct Grid {
    /// Above it.
    pub title: String,
    /// Names of its columns.
    pub header: Vec<String>,
    /// As wide as the header.
    pub rows: Vec<Vec<String>>,
}

/// A table for each group that was measured.
pub fn groups(record: &Record) -> Vec<Grid> {
    let cells = Cells::of(record);
    words::GROUPS
        .into_iter()
        .filter_map(|group| one(group, record, &cells))
        .collect()
}

/// Targets and how the record measures up to them.
pub fn targets(record: &Record) -> Grid {
    let judged = targets::judge(&Cells::of(record)).into_iter();
    Grid {
        title: "Targets".to_owned(),
        header: ["row", "against", "target", "measured", ""]
            .map(str::to_owned)
            .to_vec(),
        rows: judged
            .map(|one| {
                vec![
                    one.row,
                    one.against,
                    one.bound,
                    one.measured,
                    one.verdict.name().to_owned(),
                ]
            })
            .collect(),
    }
}

fn one(group: Group, record: &Record, cells: &Cells) -> Option<Grid> {
    let rows: Vec<&Row> = cells.rows().filter(|row| row.group == group).collect();
    if rows.is_empty() {
        return None;
    }
    let modes: BTreeSet<&str> = rows.iter().flat_map(|row| cells.modes(row)).collect();
    let mut modes: Vec<&str> = modes.into_iter().collect();
    modes.sort_by_key(|mode| words::place(mode));
    let has_path = rows.iter().any(|row| !row.path.is_empty());
    let has_cores = rows.iter().any(|row| row.cores != Cores::Any);
    let scales: BTreeSet<u64> = rows.iter().map(|row| row.scale).collect();
    let lead = |work: &str, path: &str, scale: &str, cores: &str| {
        let parts = [
            (true, work),
            (has_path, path),
            (scales.len() > 1, scale),
            (has_cores, cores),
        ];
        let shown = parts.into_iter().filter(|(shown, _)| *shown);
        shown.map(|(_, text)| text.to_owned()).collect::<Vec<_>>()
    };
    let mut header = lead("work", "path", "scale", "cores");
    header.extend(modes.iter().map(|mode| (*mode).to_owned()));
    let rows = rows
        .into_iter()
        .map(|row| {
            let scale = format!(
                "{} {}",
                words::scale(row.scale),
                words::axis(group, &row.work)
            );
            let mut line = lead(&row.work, &row.path, &scale, words::cores(row.cores));
            line.extend(modes.iter().map(|mode| cell(record, cells, row, mode)));
            line
        })
        .collect();
    Some(Grid {
        title: words::title(group).to_owned(),
        header,
        rows,
    })
}

/// `412 k/s ±2% (×1.08)`: the median, half the spread, and how many times better netd does.
fn cell(record: &Record, cells: &Cells, row: &Row, mode: &str) -> String {
    let Some(summary) = cells.summary(row, mode) else {
        return String::new();
    };
    let mut text = written(summary.median, row.unit);
    if summary.count > 1 {
        text += &format!(" ±{:.0}%", summary.relative() * 100.0);
    }
    if mode != JUDGED
        && let Some(ratio) = cells.advantage(row, JUDGED, mode)
    {
        text += &format!(" (×{})", digits(ratio.median));
    }
    let samples = record.samples.iter();
    let lost: u64 = samples
        .filter(|sample| sample.row == *row && sample.mode == mode)
        .map(|sample| sample.lost)
        .sum();
    if lost > 0 {
        text += &format!(" lost {}", words::scale(lost));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    #[test]
    fn every_group_has_its_table() {
        let grids = groups(&example::record());
        let titles: Vec<&str> = grids.iter().map(|grid| grid.title.as_str()).collect();
        assert_eq!(titles.len(), 8, "{titles:?}");
        for grid in &grids {
            let width = grid.header.len();
            assert!(
                grid.rows.iter().all(|row| row.len() == width),
                "{}",
                grid.title
            );
        }
    }

    #[test]
    fn a_cell_tells_median_spread_and_ratio() {
        let grids = groups(&example::record());
        let line = grids[0]
            .rows
            .iter()
            .find(|row| row[0] == "tcp-rr" && row[2] == "one");
        let line = line.expect("tcp-rr").join("|");
        assert!(line.contains("82.9 k/s ±1% (×1.05)"), "{line}");
    }

    #[test]
    fn losses_are_told() {
        let mut record = example::record();
        record.samples[0].lost = 1234;
        let text: Vec<String> = groups(&record)[0].rows.concat();
        assert!(text.iter().any(|cell| cell.ends_with("lost 1,234")));
    }
}
