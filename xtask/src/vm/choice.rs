//! The compiled tests that run in the virtual machine, and netd's binary beside them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::{Context, Result, bail};

use crate::built::executables;

/// What runs if nothing is named, cheapest first: the journeys in one lab, since an emulated machine takes
/// 10 s to start an agent, and what kernels in other places lack.
const DEFAULT: [&str; 5] = [
    "verifier",
    "differential",
    "tour",
    "sctp/associations_go",
    "optional_links",
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
}
