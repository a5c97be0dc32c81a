//! A record as text: for the terminal, and as Markdown.

use comfy_table::{Table, presets};

use super::grid::{self, Grid};
use crate::record::Record;

const LEGEND: &str = "Medians of the rounds, ± half the interquartile range; in brackets how many \
times better netd does (median of the ratios within a round).";

/// Tables as wide as they are.
pub fn terminal(record: &Record) -> String {
    let mut text = String::new();
    for grid in grid::groups(record).iter().chain([&grid::targets(record)]) {
        let mut table = Table::new();
        table
            .load_style(presets::UTF8_FULL_CONDENSED)
            .set_header(&grid.header);
        for row in &grid.rows {
            table.add_row(row);
        }
        text += &format!("\n{}\n{table}\n", grid.title);
    }
    text += &format!("\n{LEGEND}\n");
    for gap in &record.gaps {
        text += &format!("not measured: {}: {}\n", gap.what, gap.why);
    }
    text
}

/// The machine, the tables and what is missing.
pub fn markdown(record: &Record) -> String {
    let mut text = about(record);
    text += &format!("\n{LEGEND}\n");
    for grid in grid::groups(record) {
        text += &format!("\n### {}\n\n{}", grid.title, table(&grid));
    }
    let targets = grid::targets(record);
    text += &format!(
        "\n### {}\n\nMet: the median reaches the target, or the target lies within the spread \
         (brackets: quartiles).\n\n{}",
        targets.title,
        table(&targets)
    );
    if !record.gaps.is_empty() {
        text += "\n### Not measured in this run\n\n";
        for gap in &record.gaps {
            text += &format!("- {}: {}\n", gap.what, one_line(&gap.why));
        }
    }
    text
}

fn about(record: &Record) -> String {
    let machine = &record.machine;
    let versions = machine.versions.iter();
    let versions: Vec<String> = versions
        .map(|(name, version)| format!("{name}: {version}"))
        .collect();
    let rounds = record.samples.iter().map(|sample| sample.round + 1).max();
    let mut lines = vec![
        format!("- run: `{}`, {}", record.command, record.started),
        format!(
            "- {} samples in {} rounds, {:.0} minutes",
            record.samples.len(),
            rounds.unwrap_or(0),
            record.seconds / 60.0
        ),
        format!("- netd: {}", record.netd),
        format!(
            "- machine: {}, {} CPUs, {} MiB, {}",
            machine.cpu,
            machine.cpus,
            machine.memory_mib,
            machine
                .hypervisor
                .as_deref()
                .map_or("no hypervisor".to_owned(), |name| format!(
                    "virtual ({name})"
                ))
        ),
        format!("- kernel: {}", machine.kernel),
    ];
    if !machine.mitigations.is_empty() {
        lines.push(format!("- mitigations: {}", machine.mitigations.join("; ")));
    }
    if !versions.is_empty() {
        lines.push(format!("- compared with: {}", versions.join("; ")));
    }
    lines.join("\n") + "\n"
}

fn table(grid: &Grid) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| one_line(cell)).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule = vec!["---".to_owned(); grid.header.len()];
    let rows: String = grid.rows.iter().map(|row| line(row)).collect();
    line(&grid.header) + &line(&rule) + &rows
}

/// Without what would end a table's cell.
fn one_line(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    #[test]
    fn markdown_tables_are_whole() {
        let text = markdown(&example::record());
        let mut width = None;
        for line in text.lines() {
            let bars = line.matches('|').count();
            match (bars, width) {
                (0, _) => width = None,
                (bars, None) => width = Some(bars),
                (bars, Some(width)) => assert_eq!(bars, width, "{line}"),
            }
        }
        for part in [
            "Made-up CPU",
            "### Targets",
            "docker: not installed",
            "| met |",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn the_terminal_shows_gaps() {
        assert!(terminal(&example::record()).contains("not measured: docker: not installed"));
    }
}
