//! What cargo builds: where the executables are.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Result;
use serde::Deserialize;

use crate::shell;

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

/// Has cargo build, in silence; the executables of a kind (`bin`, `lib`, `test`), by their names.
pub fn executables(arguments: &[&str], kind: &str) -> Result<BTreeMap<String, PathBuf>> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
