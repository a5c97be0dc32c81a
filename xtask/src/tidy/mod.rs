//! `cargo xtask tidy`: the house rules that a program can check. Reports places; changes nothing.
//! What cannot be checked stands in STYLE.md.

mod calls;
mod files;
mod layers;
mod licences;
mod manifest;
mod paths;
mod scenarios;
mod source;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::workspace;
use source::Source;

/// A broken rule and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// Relative to the workspace.
    file: String,
    /// From 1; 0 means the file as a whole.
    line: usize,
    /// What is wrong, and what to do instead.
    message: String,
}

/// Checks everything; an error when a rule is broken.
pub fn run() -> Result<()> {
    let root = workspace::root();
    let mut findings = Vec::new();
    let mut count = 0;
    let (mut tests, mut tables) = (BTreeSet::new(), None);
    for path in all_files(&root)? {
        let Ok(text) = fs::read_to_string(&path) else {
            // Not text: pictures and recorded packets have no rules.
            continue;
        };
        count += 1;
        let file = path.strip_prefix(&root).unwrap_or(&path);
        let file = file.to_string_lossy().into_owned();
        findings.extend(files::check(&file, &text));
        if file.ends_with(".rs") {
            let source = Source::new(&file, &text);
            findings.extend(calls::check(&source));
            findings.extend(layers::check(&source));
            tests.extend(scenarios::tests(&source));
        }
        if file == scenarios::FILE {
            tables = Some(text);
        }
    }
    let tables = tables.with_context(|| format!("{} is missing", scenarios::FILE))?;
    findings.extend(scenarios::check(&tables, &tests));
    findings.extend(manifest::check(&root)?);
    findings.extend(licences::check(&root)?);
    findings.sort();
    findings.dedup();
    for Finding {
        file,
        line,
        message,
    } in &findings
    {
        match line {
            0 => println!("{file}: {message}"),
            line => println!("{file}:{line}: {message}"),
        }
    }
    if !findings.is_empty() {
        bail!("tidy: {} findings in {count} files", findings.len());
    }
    println!("tidy: {count} files, nothing to say");
    Ok(())
}

/// Every file of the repository, as git would take it: build results and git's own are left out.
fn all_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_dir() {
            if name != "target" && name != ".git" {
                files.extend(all_files(&entry.path())?);
            }
        } else if entry.file_type()?.is_file() && name != "Cargo.lock" && name != ".git" {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}
