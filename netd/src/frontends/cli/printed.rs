//! What a verb prints and how it ends. Verbs that take several objects go on after a failure.

use std::io::{self, Write};

use super::Failure;

/// Text for stdout, messages for stderr, the exit code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Printed {
    /// For stdout.
    pub out: String,
    /// For stderr, after stdout.
    pub messages: String,
    /// 0, or the last failure's.
    pub exit: u8,
}

impl Printed {
    /// Only text for stdout.
    pub fn text(out: impl Into<String>) -> Printed {
        Printed {
            out: out.into(),
            ..Printed::default()
        }
    }

    /// Adds a line for stdout.
    pub fn line(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }

    /// Adds a warning for stderr.
    pub fn warning(&mut self, text: &str) {
        self.messages.push_str("WARNING: ");
        self.messages.push_str(text);
        self.messages.push('\n');
    }

    /// Adds a failure and goes on.
    pub fn failure(&mut self, failure: &Failure) {
        self.messages.push_str(&failure.lines());
        self.exit = failure.exit;
    }

    /// Writes it all; a reader that went away is no error.
    pub fn show(&self) -> u8 {
        let written = io::stdout()
            .write_all(self.out.as_bytes())
            .and_then(|()| io::stdout().flush());
        let messages = io::stderr().write_all(self.messages.as_bytes());
        match written.and(messages) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => 1,
            _ => self.exit,
        }
    }
}

impl From<Failure> for Printed {
    fn from(failure: Failure) -> Printed {
        let mut printed = Printed::default();
        printed.failure(&failure);
        printed
    }
}
