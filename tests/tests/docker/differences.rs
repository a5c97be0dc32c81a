//! docs/differences.toml: what netd deliberately does otherwise than Docker. A row that was not
//! needed is a mistake, too.

use std::{cell::RefCell, collections::BTreeSet};

use regex_lite::Regex;
use serde::Deserialize;

const TEXT: &str = include_str!("../../../docs/differences.toml");

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    command: Vec<CommandRow>,
    #[serde(default)]
    field: Vec<FieldRow>,
    #[serde(default)]
    file: Vec<FileRow>,
}

/// A command that is answered otherwise.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandRow {
    /// Recordings.
    fixtures: Vec<String>,
    /// The words after `docker`; without them Docker's text says which commands are meant.
    command: Option<String>,
    /// Docker's text, an expression for all of it.
    docker: Option<String>,
    /// netd's text; `$1` is a group of `docker`. Not given: as Docker's.
    netd: Option<String>,
    /// An expression for netd's text instead.
    netd_like: Option<String>,
    /// netd's exit status. Not given: as Docker's.
    exit: Option<i32>,
    /// What to type besides, so that what follows has the history that it had with Docker.
    #[serde(default)]
    then: Vec<String>,
    reason: String,
}

/// A field of an inspected object that is otherwise.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldRow {
    /// Recordings.
    fixtures: Vec<String>,
    /// Keys from the top, with dots; `*` is any key.
    path: String,
    /// `only`: Docker has it not; `not`: netd has it not; `other`: another value.
    netd: String,
    /// netd's value, as JSON, of `other`.
    value: Option<String>,
    /// An expression for that JSON instead.
    value_like: Option<String>,
    reason: String,
}

/// A file of a sandbox that is otherwise.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRow {
    /// Recordings.
    fixtures: Vec<String>,
    /// `hosts`, `hostname` or `resolv.conf`.
    file: String,
    /// What Docker wrote of it.
    docker: String,
    /// What netd writes instead.
    netd: String,
    reason: String,
}

/// The differences that a recording may show, and which of them it did.
pub struct Differences {
    fixture: String,
    commands: Vec<CommandRow>,
    fields: Vec<FieldRow>,
    files: Vec<FileRow>,
    used: RefCell<BTreeSet<(&'static str, usize)>>,
}

/// An answer: words made alike, and the exit status.
pub struct Answer<'a> {
    /// See [`super::words`].
    pub text: &'a str,
    /// The exit status.
    pub exit: i32,
}

fn file() -> File {
    match toml::from_str(TEXT) {
        Ok(file) => file,
        Err(error) => panic!("docs/differences.toml: {error}"),
    }
}

impl Differences {
    /// Those of one recording.
    pub fn of(fixture: &str) -> Differences {
        let File {
            mut command,
            mut field,
            mut file,
        } = file();
        let named = |fixtures: &[String]| fixtures.iter().any(|name| name == fixture);
        command.retain(|row| named(&row.fixtures));
        field.retain(|row| named(&row.fixtures));
        file.retain(|row| named(&row.fixtures));
        Differences {
            fixture: fixture.to_owned(),
            commands: command,
            fields: field,
            files: file,
            used: RefCell::default(),
        }
    }

    /// Whether netd's answer to a command is one that may differ like this; what to type besides.
    pub fn allow_answer(
        &self,
        command: &str,
        docker: &Answer<'_>,
        netd: &Answer<'_>,
    ) -> Option<Vec<String>> {
        let fits = |row: &CommandRow| row.fits(command, docker, netd);
        let found = self.commands.iter().position(fits)?;
        self.used.borrow_mut().insert(("command", found));
        Some(self.commands[found].then.clone())
    }

    /// Whether a field may be otherwise: `how` is `only`, `not` or `other`.
    pub fn allow_field(&self, path: &[String], how: &str, value: &serde_json::Value) -> bool {
        let fits = |row: &FieldRow| {
            let wanted: Vec<&str> = row.path.split('.').collect();
            // A key may have dots of its own.
            let joined = path.join(".");
            let path: Vec<&str> = joined.split('.').collect();
            let same = wanted.len() == path.len()
                && wanted
                    .iter()
                    .zip(path)
                    .all(|(wanted, key)| *wanted == "*" || *wanted == key);
            same && row.netd == how && (how != "other" || row.has(value))
        };
        let Some(found) = self.fields.iter().position(fits) else {
            return false;
        };
        self.used.borrow_mut().insert(("field", found));
        true
    }

    /// What a file of Docker's is in netd.
    pub fn file(&self, name: &str, docker: &str) -> String {
        let mut text = docker.to_owned();
        for (number, row) in self.files.iter().enumerate() {
            if row.file == name && text.contains(&row.docker) {
                text = text.replace(&row.docker, &row.netd);
                self.used.borrow_mut().insert(("file", number));
            }
        }
        text
    }

    /// Rows that nothing needed.
    pub fn unused(&self) -> Vec<String> {
        let used = self.used.borrow();
        let kinds = [
            ("command", self.commands.len()),
            ("field", self.fields.len()),
            ("file", self.files.len()),
        ];
        let mut unused = Vec::new();
        for (kind, count) in kinds {
            for number in (0..count).filter(|number| !used.contains(&(kind, *number))) {
                let row = match kind {
                    "command" => format!("{:?}", self.commands[number]),
                    "field" => format!("{:?}", self.fields[number]),
                    _ => format!("{:?}", self.files[number]),
                };
                unused.push(format!("not needed by {}: {row}", self.fixture));
            }
        }
        unused
    }
}

impl CommandRow {
    fn fits(&self, command: &str, docker: &Answer<'_>, netd: &Answer<'_>) -> bool {
        let meant = self
            .command
            .as_deref()
            .is_none_or(|wanted| wanted == command);
        let expression = self.docker.as_deref().map(whole);
        let groups = match &expression {
            Some(expression) => match expression.captures(docker.text) {
                Some(groups) => Some(groups),
                None => return false,
            },
            None => None,
        };
        let said = match (&self.netd, &self.netd_like) {
            (Some(text), None) => {
                let mut expected = String::new();
                match &groups {
                    Some(groups) => groups.expand(text, &mut expected),
                    None => expected.clone_from(text),
                }
                expected == netd.text
            }
            (None, Some(like)) => whole(like).is_match(netd.text),
            (None, None) => docker.text == netd.text,
            (Some(_), Some(_)) => panic!("netd and netd_like in one row: {self:?}"),
        };
        meant && said && netd.exit == self.exit.unwrap_or(docker.exit)
    }
}

impl FieldRow {
    fn has(&self, value: &serde_json::Value) -> bool {
        let expected = self.value.as_deref().map(|text| {
            let parsed: serde_json::Value = serde_json::from_str(text).expect("JSON in a row");
            parsed
        });
        let like = self.value_like.as_deref().map(whole);
        expected.as_ref() == Some(value)
            || like.is_some_and(|like| like.is_match(&value.to_string()))
    }
}

/// An expression for a whole text of several lines.
fn whole(expression: &str) -> Regex {
    let whole = format!("(?s)^(?:{expression})$");
    Regex::new(&whole).expect("an expression in docs/differences.toml")
}

#[test]
fn every_row_says_why_and_is_of_a_recording_that_is_compared() {
    let File {
        command,
        field,
        file,
    } = file();
    let known: BTreeSet<&str> = super::replay::FIXTURES
        .iter()
        .map(|(name, _)| *name)
        .chain(super::inspect::FIXTURES.iter().copied())
        .collect();
    let rows = command
        .iter()
        .map(|row| (&row.fixtures, &row.reason))
        .chain(field.iter().map(|row| (&row.fixtures, &row.reason)))
        .chain(file.iter().map(|row| (&row.fixtures, &row.reason)));
    for (fixtures, reason) in rows {
        assert!(
            !reason.trim().is_empty() && !fixtures.is_empty(),
            "{fixtures:?}"
        );
        for fixture in fixtures {
            assert!(
                known.contains(fixture.as_str()),
                "no recording {fixture}: {reason}"
            );
        }
    }
    for row in &command {
        assert!(row.command.is_some() || row.docker.is_some(), "{row:?}");
    }
}
