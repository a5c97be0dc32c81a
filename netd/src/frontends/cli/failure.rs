//! What went wrong, as the command line tells it: `netd: text`, perhaps `try: …`, and an exit code.

use crate::frontends::api::{ApiError, Code};

/// Exit codes: 0 done, 1 refused, 2 usage (and `exec`'s own).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Without the `netd: ` in front.
    pub message: String,
    /// Without the `try: ` in front.
    pub hint: Option<String>,
    /// 1 or 2.
    pub exit: u8,
    /// The API's code, where the agent refused.
    pub code: Option<Code>,
    /// Nobody listens at the socket.
    pub no_agent: bool,
}

impl Failure {
    /// A refusal: exit code 1.
    pub fn refused(message: impl Into<String>) -> Failure {
        Failure {
            message: message.into(),
            hint: None,
            exit: 1,
            code: None,
            no_agent: false,
        }
    }

    /// The command line itself is wrong: exit code 2.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure {
            exit: 2,
            ..Failure::refused(message)
        }
    }

    /// The same with a hint.
    pub fn hint(self, hint: impl Into<String>) -> Failure {
        Failure {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// One or two lines for stderr.
    pub fn lines(&self) -> String {
        match &self.hint {
            Some(hint) => format!("netd: {}\ntry: {hint}\n", self.message),
            None => format!("netd: {}\n", self.message),
        }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Failure {
        Failure {
            message: error.message,
            hint: error.hint,
            exit: 1,
            code: Some(error.code),
            no_agent: false,
        }
    }
}
