//! Rules about files as such: length, first line, names, paths of somebody's own machine.

use super::Finding;

/// The most lines that a Rust file may have; 150 is what to aim for.
const LONGEST: usize = 500;

/// Drawers: a name has to say what is in it.
const DRAWERS: [&str; 8] = [
    "util", "utils", "helper", "helpers", "misc", "common", "shared", "stuff",
];

/// Beginnings of paths that exist on one person's machine only. Written in two parts, or this file
/// would break its own rule.
const OWN_PATHS: [&str; 4] = [
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
];

/// Checks one file of any kind.
pub(super) fn check(file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut found = |line: usize, message: String| {
        findings.push(Finding {
            file: file.to_owned(),
            line,
            message,
        });
    };
    for (at, line) in text.lines().enumerate() {
        for path in OWN_PATHS {
            if starts_a_path(line, path) {
                found(at + 1, format!("`{path}…` is a path of one machine"));
            }
        }
    }
    if file.ends_with(".rs") {
        let lines = text.lines().count();
        if lines > LONGEST {
            found(
                LONGEST + 1,
                format!("{lines} lines; {LONGEST} are the limit: split it"),
            );
        }
        if !text.starts_with("//!") {
            found(
                1,
                "the first line has to be `//!`: what this is and what it never does".into(),
            );
        }
        for part in file.trim_end_matches(".rs").split('/') {
            if DRAWERS.contains(&part) {
                found(
                    0,
                    format!("`{part}` is a drawer: name the file after what is in it"),
                );
            }
        }
    }
    findings
}

/// `path` as the beginning of a path, not as the end of a longer one such as `/run/x/home/`.
fn starts_a_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before
            .is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | '~' | '/'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(file: &str, text: &str) -> usize {
        check(file, text).len()
    }

    #[test]
    fn each_rule_is_noticed() {
        assert_eq!(messages("a/x.rs", "//! x\n"), 0);
        assert_eq!(messages("a/x.rs", "fn f() {}\n"), 1);
        assert_eq!(
            messages("a/x.rs", &format!("//! x\n{}", "\n".repeat(500))),
            1
        );
        assert_eq!(messages("a/utils.rs", "//! x\n"), 1);
        assert_eq!(messages("a/helpers/x.rs", "//! x\n"), 1);
        assert_eq!(messages("netd-common/src/x.rs", "//! x\n"), 0);
        let own = OWN_PATHS[0];
        assert_eq!(messages("README.md", &format!("see {own}me/x\n")), 1);
        assert_eq!(messages("README.md", &format!("see target{own}x\n")), 0);
    }
}
