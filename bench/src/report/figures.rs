//! Which plots there are, and what is in them.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{
    plot::{self, Bars, Line, Panel, Point},
    words,
};
use crate::{
    record::{Cores, Group, Latency, Record, Row, Unit},
    stats::{Cells, Summary, ratio},
    targets::JUDGED,
};

/// Paths whose latency is drawn; the tables have the others.
const PATHS: [&str; 4] = ["", "same-network", "published-outside", "outwards"];
/// Of what is measured beside several numbers of endpoints, the one that is drawn.
const BESIDE: [&str; 2] = ["", "10 endpoints"];
/// What the bars compare netd with.
const BASES: [&str; 2] = ["none", "iptables-nft"];

/// A plot.
pub struct Figure {
    /// Its file's name, without the ending.
    pub name: &'static str,
    /// What it shows.
    pub title: &'static str,
    /// The picture.
    pub svg: String,
}

/// All for which there are values.
pub fn all(record: &Record) -> Result<Vec<Figure>> {
    let cells = Cells::of(record);
    let ports = "Rate by number of published ports";
    let traffic = "How long a transaction takes (client and server on different cores)";
    let dns = "How long an answer takes (client and resolver on different cores)";
    let control = "Time of changes by scale";
    let panels = [
        ("ports", ports, by_scale(&cells, Group::Ports, false)),
        ("latency", traffic, distributions(record, Group::Traffic)),
        ("dns-latency", dns, distributions(record, Group::Dns)),
        ("control", control, by_scale(&cells, Group::Control, true)),
    ];
    let mut figures = Vec::new();
    for (name, title, panels) in panels {
        if !panels.is_empty() {
            let svg = plot::lines(title, &panels, 3)?;
            figures.push(Figure { name, title, svg });
        }
    }
    let rows = ratios(&cells);
    if !rows.is_empty() {
        let title = "netd's rate, in multiples of the others' (client and server on one core)";
        let svg = plot::bars(title, "times as fast; 1 is as fast as the other", &rows)?;
        figures.push(Figure {
            name: "ratios",
            title,
            svg,
        });
    }
    let rows = beside_floods(&cells);
    if !rows.is_empty() {
        let title = "What is left of the rate beside a flood, in parts of the rate without";
        let svg = plot::bars(title, "parts of the mode's own rate without a flood", &rows)?;
        figures.push(Figure {
            name: "flood",
            title,
            svg,
        });
    }
    Ok(figures)
}

/// Points of each mode.
type Lines<'a> = BTreeMap<&'a str, Vec<Point>>;

/// A panel for each work and path, a line for each mode, a point for each scale.
fn by_scale(cells: &Cells, group: Group, is_log: bool) -> Vec<Panel> {
    let mut panels: BTreeMap<(&str, &str, Cores, Unit), Lines<'_>> = BTreeMap::new();
    for row in cells
        .rows()
        .filter(|row| row.group == group && row.scale > 0)
    {
        for mode in cells.modes(row) {
            let Some(Summary {
                median, low, high, ..
            }) = cells.summary(row, mode)
            else {
                continue;
            };
            let key = (row.work.as_str(), row.path.as_str(), row.cores, row.unit);
            let point = Point {
                x: row.scale as f64,
                y: median,
                low,
                high,
            };
            let lines = panels.entry(key).or_default();
            lines.entry(mode).or_default().push(point);
        }
    }
    panels
        .into_iter()
        .filter(|((_, path, _, unit), lines)| {
            let is_time = *unit == Unit::Nanoseconds;
            let is_shown = group != Group::Control || BESIDE.contains(path);
            is_shown && (is_time || !is_log) && lines.values().any(|points| points.len() > 1)
        })
        .map(|((work, path, _, unit), lines)| Panel {
            title: joined(work, path),
            x_title: words::axis(group, work).to_owned(),
            x_unit: Unit::Count,
            y_title: words::counted(work, unit).to_owned(),
            y_unit: unit,
            y_log: is_log,
            dots: true,
            lines: in_order(lines),
        })
        .collect()
}

/// A panel for each work and path, with the distribution of single operations with each mode.
fn distributions(record: &Record, group: Group) -> Vec<Panel> {
    let mut panels: BTreeMap<&Row, BTreeMap<&str, Vec<&Latency>>> = BTreeMap::new();
    for sample in &record.samples {
        let row = &sample.row;
        let is_shown = row.group == group
            && row.cores == Cores::Different
            && PATHS.contains(&row.path.as_str());
        if let (true, Some(latency)) = (is_shown, &sample.latency) {
            let modes = panels.entry(row).or_default();
            modes.entry(&sample.mode).or_default().push(latency);
        }
    }
    panels
        .into_iter()
        .map(|(row, modes)| Panel {
            title: joined(&row.work, &row.path),
            x_title: "time".to_owned(),
            x_unit: Unit::Nanoseconds,
            y_title: "part that was faster, %".to_owned(),
            y_unit: Unit::Count,
            y_log: false,
            dots: false,
            lines: in_order(
                modes
                    .into_iter()
                    .filter_map(|(mode, all)| Some((mode, curve(&all)?)))
                    .collect(),
            ),
        })
        .collect()
}

/// The curve of the round whose median is the median of all, up to 99.9 %: the slowest of all would
/// stretch the axis.
fn curve(all: &[&Latency]) -> Option<Vec<Point>> {
    let mut sorted = all.to_vec();
    sorted.sort_by_key(|latency| latency.p50);
    let latency = sorted.get(sorted.len() / 2)?;
    let points = latency.curve.iter();
    let points = points.filter(|(part, time)| *part <= 0.999 && *time > 0);
    let points: Vec<Point> = points
        .map(|&(part, time)| {
            let y = part * 100.0;
            Point {
                x: time as f64,
                y,
                low: y,
                high: y,
            }
        })
        .collect();
    (!points.is_empty()).then_some(points)
}

/// netd's ratios for traffic on one core.
fn ratios(cells: &Cells) -> Vec<Bars> {
    let rows = cells.rows().filter(|row| {
        row.group == Group::Traffic && row.cores == Cores::Same && row.unit.more_is_better()
    });
    let mut rows: Vec<&Row> = rows.collect();
    let path = |row: &Row| crate::plan::PATHS.iter().position(|path| *path == row.path);
    rows.sort_by_key(|row| path(row));
    rows.into_iter()
        .map(|row| Bars {
            name: joined(&row.work, &row.path),
            bars: BASES
                .into_iter()
                .filter_map(|base| {
                    let ratio = cells.advantage(row, JUDGED, base)?;
                    Some((base.to_owned(), Point::from(ratio)))
                })
                .collect(),
        })
        .filter(|row| !row.bars.is_empty())
        .collect()
}

/// Each mode's rate beside a flood, in parts of its rate without.
fn beside_floods(cells: &Cells) -> Vec<Bars> {
    let rows = cells
        .rows()
        .filter(|row| row.group == Group::Flood && row.scale > 0);
    rows.map(|row| {
        let quiet = Row {
            scale: 0,
            ..row.clone()
        };
        let left = |mode: &str| {
            let (beside, without) = (cells.rounds(row, mode)?, cells.rounds(&quiet, mode)?);
            Some((mode.to_owned(), Point::from(ratio(beside, without)?)))
        };
        let mut bars: Vec<(String, Point)> = cells.modes(row).filter_map(left).collect();
        bars.sort_by_key(|(mode, _)| words::place(mode).0);
        Bars {
            name: joined(&row.work, &row.path),
            bars,
        }
    })
    .filter(|row| !row.bars.is_empty())
    .collect()
}

/// A bar has no place of its own on the other axis.
impl From<Summary> for Point {
    fn from(
        Summary {
            median: y,
            low,
            high,
            ..
        }: Summary,
    ) -> Point {
        Point {
            x: 0.0,
            y,
            low,
            high,
        }
    }
}

fn in_order(lines: Lines<'_>) -> Vec<Line> {
    let mut lines: Vec<Line> = lines
        .into_iter()
        .map(|(mode, points)| Line {
            mode: mode.to_owned(),
            points,
        })
        .collect();
    // netd last, so that no other line hides it.
    lines.sort_by_key(|line| line.mode == JUDGED);
    lines
}

fn joined(work: &str, path: &str) -> String {
    match path {
        "" => work.to_owned(),
        path => format!("{work}, {path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{example, report::png::Renderer};

    #[test]
    fn every_plot_is_drawn_and_rendered() {
        let figures = all(&example::record()).expect("plots");
        let names: Vec<&str> = figures.iter().map(|figure| figure.name).collect();
        assert_eq!(
            names,
            [
                "ports",
                "latency",
                "dns-latency",
                "control",
                "ratios",
                "flood"
            ]
        );
        let ports = &figures[0].svg;
        for part in ["published ports", "iptables-legacy", "connections a second"] {
            assert!(ports.contains(part), "{part}");
        }
        let png = Renderer::new()
            .and_then(|r| r.render(ports))
            .expect("rendered");
        assert!(png.starts_with(b"\x89PNG"));
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let empty = Record {
            samples: Vec::new(),
            ..example::record()
        };
        assert!(all(&empty).expect("no plots").is_empty());
    }
}
