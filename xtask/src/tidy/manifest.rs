//! Rules about manifests: every dependency of the workspace says why it is there, and members take
//! theirs from the workspace.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::Finding;

/// Checks the workspace's manifest, its members' and the files that have to exist.
pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    let text = fs::read_to_string(root.join("Cargo.toml")).context("Cargo.toml")?;
    let mut findings = reasons(&text);
    let manifest: toml::Value = toml::from_str(&text).context("Cargo.toml")?;
    let members = manifest["workspace"]["members"].as_array();
    for member in members
        .into_iter()
        .flatten()
        .filter_map(toml::Value::as_str)
    {
        let file = format!("{member}/Cargo.toml");
        let text = fs::read_to_string(root.join(&file)).with_context(|| file.clone())?;
        findings.extend(own_versions(&file, &text));
    }
    for file in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "STYLE.md",
        "CHANGELOG.md",
    ] {
        if !root.join(file).is_file() {
            findings.push(Finding {
                file: file.to_owned(),
                line: 0,
                message: "is missing".to_owned(),
            });
        }
    }
    Ok(findings)
}

/// A comment line stands above each block of dependencies.
fn reasons(text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut inside = false;
    let mut has_reason = false;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            inside = line == "[workspace.dependencies]";
            has_reason = false;
        } else if line.is_empty() {
            has_reason = false;
        } else if line.starts_with('#') {
            has_reason = true;
        } else if inside && !has_reason && !line.contains("path = ") {
            findings.push(Finding {
                file: "Cargo.toml".to_owned(),
                line: at + 1,
                message: "a dependency needs a comment above it: what for".to_owned(),
            });
        }
    }
    findings
}

/// A member that names a version of its own, so that two versions may come in.
fn own_versions(file: &str, text: &str) -> Vec<Finding> {
    let mut inside = false;
    let mut findings = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if inside
            && line.contains('=')
            && !line.starts_with('#')
            && !line.contains("workspace = true")
        {
            findings.push(Finding {
                file: file.to_owned(),
                line: at + 1,
                message: "versions stand in the workspace's Cargo.toml: `workspace = true`"
                    .to_owned(),
            });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_without_a_reason_is_noticed() {
        let text = "[workspace.dependencies]\nown = { path = \"own\" }\n# why\na = \"1\"\nb = \"1\"\n\nc = \"1\"\n[lints]\nd = 1\n";
        let lines: Vec<usize> = reasons(text).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [7]);
    }

    #[test]
    fn a_version_of_a_members_own_is_noticed() {
        let text = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\nb = \"1\"\n";
        assert_eq!(own_versions("x/Cargo.toml", text).len(), 1);
    }
}
