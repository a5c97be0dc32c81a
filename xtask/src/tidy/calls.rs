//! Rules about what code may say: where `unsafe` lives, what is never called, what is never left.

use super::{Finding, source::Source};

/// The addresses of unsafe code; each use states the fact that it relies on.
const UNSAFE: [&str; 7] = [
    "netd-ebpf/src/ctx/",
    "netd-ebpf/src/tables.rs",
    // The licence attribute alone.
    "netd-ebpf/src/main.rs",
    "netd/src/kernel/bpf/batch.rs",
    "netd/src/kernel/bpf/pod.rs",
    "netd/src/kernel/netns.rs",
    "netd/src/kernel/heap.rs",
];

/// Something that code outside tests does not say.
struct Banned {
    text: &'static str,
    instead: &'static str,
    /// Where it may stand all the same.
    except: &'static [&'static str],
}

const BANNED: [Banned; 8] = [
    Banned {
        text: ".unwrap()",
        instead: "handle it, or `.expect(\"why it holds\")`",
        except: &[],
    },
    Banned {
        text: "todo!(",
        instead: "finish it or leave it out",
        except: &[],
    },
    Banned {
        text: "unimplemented!(",
        instead: "refuse with a clear error",
        except: &[],
    },
    Banned {
        text: "dbg!(",
        instead: "log it or leave it out",
        except: &[],
    },
    Banned {
        text: "process::exit(",
        instead: "return an ExitCode from main",
        except: &["netd/src/main.rs"],
    },
    Banned {
        text: "#[allow(",
        instead: "`#[expect(lint, reason = \"…\")]`",
        except: &[],
    },
    Banned {
        text: "#![allow(",
        instead: "`#[expect(lint, reason = \"…\")]` where it is needed",
        except: &[],
    },
    Banned {
        text: "env::set_var",
        instead: "pass it on: the environment is the whole process's",
        except: &[],
    },
];

/// Words that mark unfinished work.
const UNFINISHED: [&str; 3] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];

/// Names of enum variants that say nothing; with a string alone in them the caller cannot match.
const CATCH_ALLS: [&str; 6] = ["Other", "Error", "Message", "Generic", "Custom", "Unknown"];

/// Checks one Rust file.
pub(super) fn check(source: &Source<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut found = |line: usize, message: String| {
        findings.push(Finding {
            file: source.file.to_owned(),
            line,
            message,
        });
    };
    for (number, line) in source.lines() {
        if has_word(line, "unsafe") && !UNSAFE.iter().any(|at| source.file.starts_with(at)) {
            found(
                number,
                format!("`unsafe` lives in {} only", UNSAFE.join(", ")),
            );
        }
        if let Some(name) = catch_all(line) {
            found(
                number,
                format!("`{name}(String)` cannot be matched: a variant with data"),
            );
        }
        for banned in &BANNED {
            let at_home = banned
                .except
                .iter()
                .any(|file| source.file.starts_with(file));
            if line.contains(banned.text) && !at_home && !source.is_test(number) {
                found(number, format!("`{}`: {}", banned.text, banned.instead));
            }
        }
    }
    for (at, line) in source.comments.lines().enumerate() {
        for word in UNFINISHED {
            if has_word(line, word) {
                found(at + 1, format!("`{word}`: finish it, or file an issue"));
            }
        }
    }
    findings
}

/// Whether the word stands alone in the line.
fn has_word(line: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// The name in `    Other(String),`.
fn catch_all(line: &str) -> Option<&str> {
    let name = line.trim().strip_suffix(',')?.strip_suffix("(String)")?;
    CATCH_ALLS.contains(&name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(file: &str, text: &str) -> usize {
        check(&Source::new(file, text)).len()
    }

    #[test]
    fn each_rule_is_noticed() {
        assert_eq!(messages("netd/src/x.rs", "let a = b.unwrap();"), 1);
        assert_eq!(messages("tests/tests/x.rs", "let a = b.unwrap();"), 0);
        assert_eq!(messages("netd/src/x.rs", "unsafe { f() }"), 1);
        assert_eq!(messages("netd-ebpf/src/ctx/x.rs", "unsafe { f() }"), 0);
        assert_eq!(messages("netd/src/x.rs", "#![forbid(unsafe_code)]"), 0);
        assert_eq!(messages("netd/src/x.rs", "std::process::exit(1)"), 1);
        assert_eq!(messages("netd/src/main.rs", "std::process::exit(1)"), 0);
        assert_eq!(messages("netd/src/x.rs", "#[allow(dead_code)]"), 1);
        assert_eq!(
            messages("netd/src/x.rs", "enum E {\n    Other(String),\n}"),
            1
        );
        assert_eq!(
            messages("netd/src/x.rs", "enum E {\n    Name(String),\n}"),
            0
        );
        let unfinished = format!("// {}: later", UNFINISHED[0]);
        assert_eq!(messages("netd/src/x.rs", &unfinished), 1);
        assert_eq!(messages("netd/src/x.rs", "// unsafe todo!() dbg!()"), 0);
    }
}
