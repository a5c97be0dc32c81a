//! The compiled tests that run in the virtual machine, and netd's binary beside them.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::shell;

/// What runs if nothing is named, cheapest first.
const FIRST: [&str; 2] = ["verifier", "differential"];
const THEN: &str = "journeys_";

/// Binaries to copy, and those to run.
pub struct Tests {
    /// netd's own.
    pub netd: PathBuf,
    /// In order.
    pub runs: Vec<Run>,
}

/// A test binary and which of its tests.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    /// Its path.
    pub binary: PathBuf,
    /// As libtest takes it; empty for all.
    pub filter: String,
}

/// A line of cargo's messages, as far as it is of use here.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl Tests {
    /// Builds them.
    pub fn build(wishes: &[String]) -> Result<Tests> {
        let netd = executables(&["build", "--package", "netd"], "bin")?;
        let tests = executables(&["test", "--no-run", "--package", "netd-tests"], "test")?;
        Ok(Tests {
            netd: netd.get("netd").context("cargo built no netd")?.clone(),
            runs: choose(&tests, wishes)?,
        })
    }
}

/// What cargo builds of a kind, by name.
fn executables(arguments: &[&str], kind: &str) -> Result<BTreeMap<String, PathBuf>> {
    let mut command = shell::cargo();
    command
        .args(arguments)
        .arg("--message-format=json-render-diagnostics");
    Ok(parse(&shell::read(&mut command)?, kind))
}

fn parse(text: &str, kind: &str) -> BTreeMap<String, PathBuf> {
    text.lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter_map(|message| Some((message.target?, message.executable?)))
        .filter(|(target, _)| target.kind.iter().any(|is| is == kind))
        .map(|(target, path)| (target.name, path))
        .collect()
}

fn choose(tests: &BTreeMap<String, PathBuf>, wishes: &[String]) -> Result<Vec<Run>> {
    let journeys = tests.keys().filter(|name| name.starts_with(THEN));
    let default: Vec<String> = FIRST
        .map(str::to_owned)
        .into_iter()
        .chain(journeys.cloned())
        .collect();
    let wishes = if wishes.is_empty() { &default } else { wishes };
    wishes
        .iter()
        .map(|wish| {
            let (name, filter) = wish.split_once('/').unwrap_or((wish, ""));
            if filter.contains(char::is_whitespace) {
                bail!("`{filter}` is no part of a test's name");
            }
            let Some(binary) = tests.get(name) else {
                let names: Vec<&str> = tests.keys().map(String::as_str).collect();
                bail!("no test binary {name}; there are {}", names.join(", "));
            };
            Ok(Run {
                binary: binary.clone(),
                filter: filter.to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> BTreeMap<String, PathBuf> {
        ["differential", "journeys_a", "lab", "verifier"]
            .map(|name| (name.to_owned(), PathBuf::from(format!("/t/{name}-1"))))
            .into()
    }

    #[test]
    fn without_a_wish_the_cheapest_come_first() {
        let runs = choose(&some(), &[]).expect("all there");
        let paths: Vec<String> = runs
            .iter()
            .map(|run| run.binary.display().to_string())
            .collect();
        assert_eq!(
            paths,
            ["/t/verifier-1", "/t/differential-1", "/t/journeys_a-1"]
        );
    }

    #[test]
    fn a_wish_may_name_tests_of_a_binary() {
        let runs = choose(&some(), &["lab/links".into()]).expect("there");
        assert_eq!(runs[0].filter, "links");
        assert!(choose(&some(), &["labs".into()]).is_err());
    }

    #[test]
    fn binaries_are_read_from_cargos_messages() {
        let text = r#"{"reason":"compiler-artifact","target":{"name":"lab","kind":["test"]},"executable":"/t/lab-1"}
{"reason":"compiler-artifact","target":{"name":"x","kind":["lib"]},"executable":null}
{"reason":"build-finished","success":true}"#;
        let found = parse(text, "test");
        assert_eq!(found.len(), 1);
        assert_eq!(found["lab"], PathBuf::from("/t/lab-1"));
    }
}
