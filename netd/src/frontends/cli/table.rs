//! Rows as a table: columns three spaces apart without borders, as Docker prints them. Knows no verb.

use std::borrow::Cow;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};

use super::format::Column;

/// Letters of a column with the space behind it, at least: as Docker's.
const NARROWEST: usize = 10;
/// Letters between columns.
const GAP: usize = 3;

/// A heading and the rows. Where they are wider than the terminal, long cells go on in the next line,
/// within their column.
pub fn text<T>(columns: &[Column<T>], rows: &[T], width: Option<u16>) -> String {
    let cells: Vec<Vec<Cow<'_, str>>> = rows
        .iter()
        .map(|row| columns.iter().map(|(_, cell)| cell(row)).collect())
        .collect();
    let headings: Vec<&str> = columns.iter().map(|(heading, _)| *heading).collect();
    plain(&headings, &cells, width).unwrap_or_else(|| wrapped(&headings, &cells, width))
}

/// The table of cells that have one line of letters of one width each, unless it is wider than the
/// terminal. Most tables are such, and need none of the work that others do: it is half of what a list
/// of thousands takes.
fn plain(headings: &[&str], rows: &[Vec<Cow<'_, str>>], terminal: Option<u16>) -> Option<String> {
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.len()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            let is_plain = cell.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            *width = is_plain.then(|| cell.len().max(*width))?;
        }
    }
    let (last, before) = widths.split_last()?;
    let padded = |width: &usize| (width + GAP).max(NARROWEST);
    let widest = before.iter().map(padded).sum::<usize>() + last;
    if terminal.is_some_and(|terminal| widest > usize::from(terminal)) {
        return None;
    }
    let mut text = String::with_capacity((rows.len() + 1) * (widest + 1));
    let headings: Vec<Cow<'_, str>> = headings.iter().map(|heading| (*heading).into()).collect();
    for row in std::iter::once(&headings).chain(rows) {
        for (cell, width) in row.iter().zip(&widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', padded(width) - cell.len()));
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    Some(text)
}

fn wrapped(headings: &[&str], rows: &[Vec<Cow<'_, str>>], width: Option<u16>) -> String {
    let mut table = Table::new();
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(width);
    }
    table.load_style(presets::NOTHING);
    table.set_header(headings);
    table.add_rows(rows);
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, GAP as u16));
        // Ids are copied: they stay in one piece.
        let whole = i == 0 && width.is_some_and(|width| width >= 40);
        column.set_constraint(if whole {
            ColumnConstraint::ContentWidth
        } else {
            ColumnConstraint::LowerBoundary(Width::Fixed(NARROWEST as u16))
        });
    }
    table.trim_fmt() + "\n"
}

#[cfg(test)]
mod tests {
    use super::{Column, Cow, plain, text, wrapped};

    type Row = [&'static str; 3];

    const COLUMNS: [Column<Row>; 3] = [
        ("NETWORK ID", |row| row[0].into()),
        ("NAME", |row| row[1].into()),
        ("PORTS", |row| row[2].into()),
    ];
    const ROWS: [Row; 3] = [
        ["0596d26bced8", "app", ""],
        ["6277b26b242b", "a-longer-name", "8080->80/tcp"],
        ["b343f15d40b4", "", "80/tcp"],
    ];

    #[test]
    fn columns_stay_columns_on_a_narrow_terminal() {
        let table = |width| text(&COLUMNS, &ROWS, width);
        assert_eq!(table(Some(200)), table(None));
        let narrow = table(Some(42));
        assert!(narrow.lines().all(|line| line.len() <= 42), "{narrow}");
        assert!(
            narrow.contains("6277b26b242b") && narrow.lines().count() > 4,
            "{narrow}"
        );
        // As wide as it is, it needs no more.
        let widest = table(None).lines().map(str::len).max().unwrap() as u16;
        assert_eq!(table(Some(widest)), table(None));
        assert_ne!(table(Some(widest - 1)), table(None));
    }

    #[test]
    fn both_ways_make_one_table() {
        let headings = ["NETWORK ID", "NAME", "PORTS"];
        let cells = |rows: &[Row]| -> Vec<Vec<Cow<'static, str>>> {
            let cells = rows.iter().map(|row| row.map(Cow::Borrowed).to_vec());
            cells.collect()
        };
        for rows in [&ROWS[..], &ROWS[..1], &[]] {
            let rows = cells(rows);
            let plain = plain(&headings, &rows, None);
            assert_eq!(plain, Some(wrapped(&headings, &rows, None)));
        }
        // Letters that are as wide as two, or lines, are counted by others.
        for odd in ["\u{7db2}", "a\nb", "\u{e9}"] {
            let rows = cells(&[["1", odd, ""]]);
            assert_eq!(plain(&headings, &rows, None), None);
        }
        let wide = text(
            &COLUMNS,
            &[["1", "\u{7db2}\u{8def}", "x"], ["2", "abcd", "x"]],
            None,
        );
        let at = |line: usize| wide.lines().nth(line).unwrap().chars().count();
        assert_eq!((at(1), at(2)), (22, 24), "{wide}");
    }
}
