//! The compiled tests that run in the virtual machine, and netd's binary beside them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::shell;

/// What runs if nothing is named, cheapest first: the journeys in one lab, since an emulated machine takes
/// 10 s to start an agent, and what kernels in other places lack.
const DEFAULT: [&str; 6] = [
    "verifier",
    "differential",
    "tour",
    "sctp/associations_go",
    "macvlan/a_vlan_is_made",
    "macvlan/without_a_parent",
];

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
    /// Builds what is wished for, as BINARY or BINARY/FILTER; without a wish, the default.
    pub fn build(wishes: &[String]) -> Result<Tests> {
        let wishes = if wishes.is_empty() {
            DEFAULT.map(str::to_owned).to_vec()
        } else {
            wishes.to_vec()
        };
        let netd = executables(&["build", "--package", "netd"], "bin")?;
        let mut arguments = vec!["test", "--no-run", "--package", "netd-tests"];
        let names: BTreeSet<&str> = wishes.iter().map(|wish| split(wish).0).collect();
        arguments.extend(names.into_iter().flat_map(|name| ["--test", name]));
        Ok(Tests {
            netd: netd.get("netd").context("cargo built no netd")?.clone(),
            runs: choose(&executables(&arguments, "test")?, &wishes)?,
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
    wishes
        .iter()
        .map(|wish| {
            let (name, filter) = split(wish);
            if filter.contains(char::is_whitespace) {
                bail!("`{filter}` is no part of a test's name");
            }
            let binary = tests
                .get(name)
                .with_context(|| format!("cargo built no test binary {name}"))?;
            Ok(Run {
                binary: binary.clone(),
                filter: filter.to_owned(),
            })
        })
        .collect()
}

/// A binary's name, and the part of a test's name behind the slash.
fn split(wish: &str) -> (&str, &str) {
    wish.split_once('/').unwrap_or((wish, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> BTreeMap<String, PathBuf> {
        ["differential", "lab", "verifier"]
            .map(|name| (name.to_owned(), PathBuf::from(format!("/t/{name}-1"))))
            .into()
    }

    #[test]
    fn a_wish_may_name_tests_of_a_binary() {
        let runs = choose(&some(), &["verifier".into(), "lab/links".into()]).expect("there");
        let paths: Vec<String> = runs
            .iter()
            .map(|run| format!("{} {}", run.binary.display(), run.filter))
            .collect();
        assert_eq!(paths, ["/t/verifier-1 ", "/t/lab-1 links"]);
        assert!(choose(&some(), &["labs".into()]).is_err());
        assert!(choose(&some(), &["lab/a b".into()]).is_err());
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
