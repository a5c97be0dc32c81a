//! The generated part of docs/performance.md: between two markers, from the record of a run.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};

use super::{figures, text};
use crate::record::Record;

const BEGIN: &str = "<!-- figures: begin (made by netd-bench report --docs) -->";
const END: &str = "<!-- figures: end -->";
/// Beside the document.
const PLOTS: &str = "plots";

/// Puts tables and plots of the record into the document.
pub fn replace(record: &Record, file: &Path) -> Result<()> {
    let old =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let dir = file.with_file_name(PLOTS);
    fs::create_dir_all(&dir)?;
    let mut made = text::markdown(record);
    made += "\n### Plots\n";
    for figure in figures::all(record)? {
        let name = format!("{}.svg", figure.name);
        fs::write(dir.join(&name), &figure.svg)?;
        made += &format!("\n![{}]({PLOTS}/{name})\n", figure.title);
    }
    let new = between(&old, &made).with_context(|| format!("cannot change {}", file.display()))?;
    fs::write(file, new).with_context(|| format!("cannot write {}", file.display()))
}

fn between(document: &str, made: &str) -> Result<String> {
    let (head, rest) = document
        .split_once(BEGIN)
        .with_context(|| format!("it has no `{BEGIN}`"))?;
    let (old, tail) = rest
        .split_once(END)
        .with_context(|| format!("it has no `{END}`"))?;
    ensure!(!old.contains(BEGIN), "it has two beginnings");
    Ok(format!("{head}{BEGIN}\n\n{made}\n{END}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let document = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let once = between(&document, "new\n").expect("markers");
        assert_eq!(once, format!("before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"));
        assert_eq!(between(&once, "new\n").expect("markers"), once);
        assert!(between("nothing", "new").is_err());
    }

    #[test]
    fn the_document_has_its_markers() {
        let document = include_str!("../../../docs/performance.md");
        between(document, "").expect("markers");
    }
}
