//! How plots look: lines over one or two log axes in panels with one legend, and bars. Knows no
//! records.

use anyhow::Result;
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::words;
use crate::record::Unit;

/// The first one that is there is used; all have letters of one width.
const FONT: &str = "DejaVu Sans, Verdana, sans-serif";
const TITLE: (&str, u32) = (FONT, 22);
const PANEL_TITLE: (&str, u32) = (FONT, 16);
const SMALL: (&str, u32) = (FONT, 13);
/// A panel's size, pixels.
const PANEL: (u32, u32) = (480, 340);
/// Title and legend above the panels, pixels.
const HEAD: u32 = 84;
/// A bar's height with the gap to the next, pixels.
const BAR: u32 = 16;
/// Between a row of bars and the next, in bars.
const GAP: f64 = 0.6;

/// Axes, their titles and faint lines.
macro_rules! mesh {
    ($chart:ident, $panel:ident) => {
        $chart
            .configure_mesh()
            .x_desc($panel.x_title.as_str())
            .y_desc($panel.y_title.as_str())
            .x_labels(6)
            .y_labels(7)
            .x_label_formatter(&|value| words::tick(*value, $panel.x_unit))
            .y_label_formatter(&|value| words::tick(*value, $panel.y_unit))
            .label_style(SMALL.into_font())
            .axis_desc_style(SMALL.into_font())
            .light_line_style(TRANSPARENT)
            .bold_line_style(RGBColor(225, 225, 225))
            .draw()?
    };
}

/// The lines; where dots are wished, with the spread at each of them.
macro_rules! series {
    ($chart:ident, $panel:ident) => {
        for line in &$panel.lines {
            let style = colour(&line.mode).stroke_width(stroke(&line.mode));
            let way = line.points.iter().map(|point| (point.x, point.y));
            $chart.draw_series(LineSeries::new(way, style))?;
            if !$panel.dots {
                continue;
            }
            for &Point { x, y, low, high } in &line.points {
                $chart.draw_series([PathElement::new(vec![(x, low), (x, high)], style)])?;
                $chart.draw_series([Circle::new((x, y), 4, colour(&line.mode).filled())])?;
            }
        }
    };
}

/// A drawing area of an SVG.
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Values of one mode.
pub struct Line {
    /// Whose.
    pub mode: String,
    /// Where, and what.
    pub points: Vec<Point>,
}

/// A value with its spread.
#[derive(Clone, Copy)]
pub struct Point {
    /// On the log axis: above 0.
    pub x: f64,
    /// The median.
    pub y: f64,
    /// Its spread.
    pub low: f64,
    /// Its spread.
    pub high: f64,
}

/// One pair of axes.
pub struct Panel {
    /// Above it.
    pub title: String,
    /// Below it.
    pub x_title: String,
    /// Of the x axis, which is logarithmic.
    pub x_unit: Unit,
    /// Beside it.
    pub y_title: String,
    /// Of the y axis.
    pub y_unit: Unit,
    /// Logarithmic, too; else it begins at 0.
    pub y_log: bool,
    /// The values stand for themselves: dots at each of them.
    pub dots: bool,
    /// What is in it.
    pub lines: Vec<Line>,
}

/// A colour for each mode, told apart also by people who see red and green alike (Okabe, Ito).
pub fn colour(mode: &str) -> RGBColor {
    match mode {
        "none" => RGBColor(110, 110, 110),
        "iptables-nft" => RGBColor(213, 94, 0),
        "iptables-legacy" => RGBColor(230, 159, 0),
        "nftables" => RGBColor(0, 158, 115),
        "netd" => RGBColor(0, 90, 180),
        "docker" => RGBColor(204, 121, 167),
        "docker-noproxy" => RGBColor(136, 34, 85),
        "podman" => RGBColor(86, 180, 233),
        _ => RGBColor(60, 60, 60),
    }
}

/// Panels side by side, at most `columns` in a row, below one title and one legend.
pub fn lines(title: &str, panels: &[Panel], columns: usize) -> Result<String> {
    let columns = columns.min(panels.len()).max(1);
    let rows = panels.len().div_ceil(columns).max(1);
    // Title and legend need room, also above a single panel.
    let width = (PANEL.0 * columns as u32).max(720);
    let height = HEAD + PANEL.1 * rows as u32;
    let mut modes: Vec<&str> = panels
        .iter()
        .flat_map(|panel| panel.lines.iter().map(|line| line.mode.as_str()))
        .collect();
    modes.sort_by_key(|mode| words::place(mode));
    modes.dedup();
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        root.fill(&WHITE)?;
        head(&root, title, &modes)?;
        let (_, body) = root.split_vertically(HEAD);
        let areas = body.split_evenly((rows, columns));
        for (panel, area) in panels.iter().zip(&areas) {
            draw(panel, area)?;
        }
        root.present()?;
    }
    Ok(svg)
}

fn text(font: (&'static str, u32), h: HPos, v: VPos) -> TextStyle<'static> {
    font.into_font().color(&BLACK).pos(Pos::new(h, v))
}

/// Title and legend, each entry as wide as its name.
fn head(root: &Area<'_>, title: &str, modes: &[&str]) -> Result<()> {
    root.draw(&Text::new(
        title.to_owned(),
        (20, 14),
        text(TITLE, HPos::Left, VPos::Top),
    ))?;
    let mut x = 24;
    for mode in modes {
        let y = 62;
        let style = colour(mode).stroke_width(stroke(mode));
        root.draw(&PathElement::new(vec![(x, y), (x + 28, y)], style))?;
        root.draw(&Circle::new((x + 14, y), 4, colour(mode).filled()))?;
        root.draw(&Text::new(
            (*mode).to_owned(),
            (x + 36, y),
            text(SMALL, HPos::Left, VPos::Center),
        ))?;
        x += 60 + 9 * mode.len() as i32;
    }
    Ok(())
}

/// netd's line is what one looks for.
fn stroke(mode: &str) -> u32 {
    if mode == "netd" { 3 } else { 2 }
}

fn draw(panel: &Panel, area: &Area<'_>) -> Result<()> {
    let points = || panel.lines.iter().flat_map(|line| &line.points);
    let (x_least, x_most) = bounds(points().map(|point| point.x));
    let (y_least, y_most) = bounds(points().flat_map(|point| [point.low, point.high]));
    let x_most = wider(x_least, x_most);
    let x = (x_least..x_most).log_scale();
    let x = x.with_key_points(marks(x_least, x_most));
    let mut builder = ChartBuilder::on(area);
    builder
        .caption(&panel.title, text(PANEL_TITLE, HPos::Center, VPos::Top))
        .margin(12)
        .margin_right(26)
        .x_label_area_size(46)
        .y_label_area_size(74);
    // Two types of axes, hence twice.
    if panel.y_log {
        let (y_least, y_most) = (decade_below(y_least), decade_above(y_most));
        let y = (y_least..y_most).log_scale();
        let y = y.with_key_points(marks(y_least, y_most));
        let mut chart = builder.build_cartesian_2d(x, y)?;
        mesh!(chart, panel);
        series!(chart, panel);
    } else {
        let mut chart = builder.build_cartesian_2d(x, 0.0..y_most * 1.08)?;
        mesh!(chart, panel);
        series!(chart, panel);
    }
    Ok(())
}

/// The least and the largest of the values that a log axis has; 1 to 10 where there are none.
fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let values = values.filter(|value| value.is_finite() && *value > 0.0);
    let (least, most) = values.fold((f64::INFINITY, 0.0), |(least, most): (f64, f64), value| {
        (least.min(value), most.max(value))
    });
    if least > most {
        (1.0, 10.0)
    } else {
        (least, most)
    }
}

/// An axis needs some length.
fn wider(least: f64, most: f64) -> f64 {
    if most > least { most } else { least * 10.0 }
}

/// Where a log axis is marked: at powers of ten, and between them where those are few.
fn marks(least: f64, most: f64) -> Vec<f64> {
    let decades = (most / least).log10();
    let within: &[f64] = match decades {
        few if few < 1.2 => &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
        some if some < 2.5 => &[1.0, 2.0, 5.0],
        _ => &[1.0],
    };
    let first = least.log10().floor() as i32;
    let last = most.log10().ceil() as i32;
    (first..=last)
        .flat_map(|power| within.iter().map(move |mark| mark * 10f64.powi(power)))
        .filter(|mark| (least * 0.999..=most * 1.001).contains(mark))
        .collect()
}

fn decade_below(value: f64) -> f64 {
    10f64.powf(value.log10().floor())
}

fn decade_above(value: f64) -> f64 {
    10f64.powf((value * 1.0001).log10().ceil())
}

/// A row of bars.
pub struct Bars {
    /// Beside it.
    pub name: String,
    /// Against whom, and the ratio with its spread.
    pub bars: Vec<(String, Point)>,
}

/// Horizontal bars from 0, with a line at 1. `x` of a bar's value is not used.
pub fn bars(title: &str, x_title: &str, rows: &[Bars]) -> Result<String> {
    let mut modes: Vec<&str> = rows
        .iter()
        .flat_map(|row| row.bars.iter().map(|(mode, _)| mode.as_str()))
        .collect();
    modes.sort_by_key(|mode| words::place(mode));
    modes.dedup();
    let slots: f64 = rows.iter().map(|row| row.bars.len() as f64 + GAP).sum();
    let height = HEAD + (f64::from(BAR) * slots) as u32 + 70;
    let highs = rows
        .iter()
        .flat_map(|row| row.bars.iter().map(|(_, bar)| bar.high));
    let most = highs.fold(1.0, f64::max) * 1.12;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (960, height)).into_drawing_area();
        root.fill(&WHITE)?;
        head(&root, title, &modes)?;
        let (_, body) = root.split_vertically(HEAD);
        let mut chart = ChartBuilder::on(&body)
            .margin(12)
            .margin_right(26)
            .x_label_area_size(46)
            .y_label_area_size(240)
            .build_cartesian_2d(0.0..most, slots..0.0)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .y_labels(0)
            .x_desc(x_title)
            .label_style(SMALL.into_font())
            .axis_desc_style(SMALL.into_font())
            .light_line_style(TRANSPARENT)
            .bold_line_style(RGBColor(225, 225, 225))
            .x_label_formatter(&|value| format!("{value:.1}"))
            .draw()?;
        // First and grey, so that figures on it can be read.
        let one = vec![(1.0, 0.0), (1.0, slots)];
        let style = RGBColor(150, 150, 150).stroke_width(2);
        chart.draw_series([PathElement::new(one, style)])?;
        let mut at = GAP / 2.0;
        for row in rows {
            let middle = at + row.bars.len() as f64 / 2.0;
            let beside = text(SMALL, HPos::Right, VPos::Center);
            chart.draw_series([
                EmptyElement::at((0.0, middle)) + Text::new(row.name.clone(), (-10, 0), beside)
            ])?;
            for (mode, bar) in &row.bars {
                let fill = colour(mode).filled();
                chart.draw_series([Rectangle::new([(0.0, at + 0.1), (bar.y, at + 0.9)], fill)])?;
                let spread = vec![(bar.low, at + 0.5), (bar.high, at + 0.5)];
                chart.draw_series([PathElement::new(spread, BLACK)])?;
                let behind = text(SMALL, HPos::Left, VPos::Center);
                chart.draw_series([EmptyElement::at((bar.high.max(bar.y), at + 0.5))
                    + Text::new(format!("{:.2}", bar.y), (6, 0), behind)])?;
                at += 1.0;
            }
            at += GAP;
        }
        root.present()?;
    }
    Ok(svg)
}
