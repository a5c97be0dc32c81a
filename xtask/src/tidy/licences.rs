//! Licences of everything that is built in, read from cargo's metadata without a network.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::Finding;
use crate::shell;

/// What we may pass on without conditions beyond naming the authors.
const ALLOWED: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    /// None for the workspace's own.
    source: Option<String>,
}

/// Checks every dependency for this platform.
pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    let host = shell::read(shell::cargo().args(["-vV"]))?;
    let host = host
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("cargo does not tell its host")?;
    let text = shell::read(
        shell::cargo()
            .args(["metadata", "--format-version", "1", "--offline"])
            .args(["--filter-platform", host, "--manifest-path"])
            .arg(root.join("Cargo.toml")),
    )?;
    let metadata: Metadata = serde_json::from_str(&text).context("cargo metadata")?;
    if metadata.packages.len() < 2 {
        bail!("cargo metadata lists no dependencies");
    }
    Ok(metadata
        .packages
        .iter()
        .filter(|package| package.source.is_some())
        .filter_map(refusal)
        .collect())
}

fn refusal(package: &Package) -> Option<Finding> {
    let licence = package.license.as_deref();
    if licence.is_some_and(is_allowed) {
        return None;
    }
    let Package { name, version, .. } = package;
    let licence = licence.unwrap_or("none");
    Some(Finding {
        file: "Cargo.lock".to_owned(),
        line: 0,
        message: format!("{name} {version}: its licence is `{licence}`, which is not on the list"),
    })
}

/// Evaluates an SPDX expression; `/` is the old spelling of `OR`.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let allowed = any_of(&mut words);
    allowed && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>) -> bool {
    let mut allowed = all_of(words);
    while words.next_if_eq(&"OR").is_some() {
        allowed |= all_of(words);
    }
    allowed
}

fn all_of(words: &mut Words<'_>) -> bool {
    let mut allowed = one(words);
    while words.next_if_eq(&"AND").is_some() {
        allowed &= one(words);
    }
    allowed
}

fn one(words: &mut Words<'_>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let allowed = any_of(words);
        return words.next_if_eq(&")").is_some() && allowed;
    }
    let Some(name) = words.next() else {
        return false;
    };
    let mut name = name.to_owned();
    if words.next_if_eq(&"WITH").is_some() {
        name.push_str(" WITH ");
        name.push_str(words.next().unwrap_or_default());
    }
    ALLOWED.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_evaluated() {
        assert!(is_allowed("MIT"));
        assert!(is_allowed("GPL-3.0 OR MIT"));
        assert!(is_allowed("MIT/Apache-2.0"));
        assert!(is_allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
        assert!(is_allowed("Apache-2.0 WITH LLVM-exception OR GPL-2.0"));
        assert!(!is_allowed("GPL-3.0"));
        assert!(!is_allowed("MIT AND GPL-3.0"));
        assert!(!is_allowed("(MIT"));
        assert!(!is_allowed(""));
    }
}
