//! The rule about docs/scenarios.md: each row of its tables names the tests that show it, and each of
//! these is a test function somewhere in the workspace.

use std::collections::BTreeSet;

use super::{Finding, source::Source};

/// The file with the tables.
pub(super) const FILE: &str = "docs/scenarios.md";

/// The names of the test functions in a file: those behind an attribute that ends in `test`, and those
/// inside of `proptest!`, whose attribute is the same.
pub(super) fn tests(source: &Source<'_>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut is_test = false;
    for (_, line) in source.lines() {
        let line = line.trim();
        if let Some(attribute) = line.strip_prefix("#[") {
            let path = attribute.split([']', '(']).next().unwrap_or_default();
            is_test |= path == "test" || path.ends_with("::test");
        } else if let Some(name) = function(line) {
            if is_test {
                names.insert(name.to_owned());
            }
            is_test = false;
        }
    }
    names
}

/// The name of the function that begins on the line.
fn function(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let line = line.strip_prefix("async ").unwrap_or(line);
    line.strip_prefix("fn ")?.split(['(', '<']).next()
}

/// Checks the tables against the tests that there are.
pub(super) fn check(text: &str, tests: &BTreeSet<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, row) in text.lines().enumerate() {
        let Some(shown) = last_column(row) else {
            continue;
        };
        let mut found = |message: String| {
            findings.push(Finding {
                file: FILE.to_owned(),
                line: at + 1,
                message,
            });
        };
        let names: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            found("the row names no test that shows it".to_owned());
        }
        for name in names {
            if !tests.contains(name) {
                found(format!("there is no test function `{name}`"));
            }
        }
    }
    findings
}

/// The last column of a table's row; nothing for a table's head and for other text.
fn last_column(row: &str) -> Option<&str> {
    let row = row.strip_prefix("| ")?.strip_suffix(" |")?;
    let shown = row.rsplit(" | ").next()?;
    (shown != "shown by").then_some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_functions_are_found() {
        let text = "//! x\n#[test]\nfn one() {}\nfn helper() {}\n#[tokio::test(flavor = \"x\")]\n\
                    #[ignore]\nasync fn two() {}\n// #[test]\nfn three() {}\n";
        let names = tests(&Source::new("a/x.rs", text));
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["one", "two"]);
    }

    #[test]
    fn each_row_needs_tests_that_exist() {
        let tests = BTreeSet::from(["one".to_owned()]);
        let messages = |row: &str| check(&format!("text\n{row}\n"), &tests).len();
        assert_eq!(messages("| scenario | Docker | netd | shown by |"), 0);
        assert_eq!(messages("|---|---|---|---|"), 0);
        assert_eq!(messages("| a | `b` | c | `one` |"), 0);
        assert_eq!(messages("| a | `b` | c | `one` `two` |"), 1);
        assert_eq!(messages("| a | `one` | c | by eye |"), 1);
    }
}
