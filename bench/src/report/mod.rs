//! What is made from a record: tables, plots, and the figures in the documentation. Measures nothing.

mod docs;
mod figures;
mod grid;
mod plot;
mod png;
mod text;
pub mod words;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::Args;

use crate::{record::Record, recorder};
use png::Renderer;

/// What `netd-bench report` is asked for.
#[derive(Args, Debug)]
pub struct Wish {
    /// The record of a run.
    #[arg(long, value_name = "FILE", default_value = "target/bench/record.json")]
    record: PathBuf,
    /// Where tables and plots go (beside the record).
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace the generated part of this document, too, and put the plots beside it.
    #[arg(long, value_name = "FILE")]
    docs: Option<PathBuf>,
}

/// Makes everything again.
pub fn run(wish: &Wish) -> Result<()> {
    let record = recorder::read(&wish.record)?;
    let beside = wish.record.parent().map(Path::to_path_buf);
    let out = wish.out.clone().or(beside).unwrap_or_default();
    make(&record, &out)?;
    if let Some(file) = &wish.docs {
        docs::replace(&record, file)?;
    }
    Ok(())
}

/// Prints the tables; writes `report.md` and the plots.
pub fn make(record: &Record, out: &Path) -> Result<()> {
    print!("{}", text::terminal(record));
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    write(&out.join("report.md"), text::markdown(record).as_bytes())?;
    let renderer = Renderer::new()?;
    for figure in figures::all(record)? {
        write(
            &out.join(format!("{}.svg", figure.name)),
            figure.svg.as_bytes(),
        )?;
        write(
            &out.join(format!("{}.png", figure.name)),
            &renderer.render(&figure.svg)?,
        )?;
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
