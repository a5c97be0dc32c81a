//! Ids and names, checked once by their constructors.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// 32 bytes, written as 64 lower-case hex digits; made by netd or given by a frontend.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(pub [u8; 32]);

impl Id {
    /// The first twelve digits, as users see them.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(12);
        text
    }
}

impl fmt::Display for Id {
    /// In one piece: lists of thousands write little else.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 64];
        for (pair, byte) in digits.as_chunks_mut().0.iter_mut().zip(self.0) {
            *pair = [byte >> 4, byte & 0xf].map(digit);
        }
        f.pad(str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

/// The hex digit of a number below 16.
fn digit(value: u8) -> u8 {
    match value {
        0..10 => b'0' + value,
        _ => b'a' + (value - 10),
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

/// Why a text is not an [`Id`], [`Name`] or [`IfName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Not 64 hex digits.
    #[error("invalid id: {0:?} is not 64 hexadecimal digits")]
    Id(String),
    /// Docker's rule, and at most 63 characters.
    #[error(
        "invalid name ({0}), only [a-zA-Z0-9][a-zA-Z0-9_.-]* with at most 63 characters are allowed"
    )]
    Name(String),
    /// The kernel's rule: 1 to 15 bytes, no white space, `/` or `:`, not `.` or `..`.
    #[error("invalid interface name: {0:?}")]
    IfName(String),
}

impl FromStr for Id {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Id, BadName> {
        let bad = || BadName::Id(text.to_owned());
        if text.len() != 64 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(bad());
        }
        let mut bytes = [0; 32];
        for (i, byte) in bytes.iter_mut().enumerate() {
            let digits = text.get(2 * i..2 * i + 2).ok_or_else(bad)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| bad())?;
        }
        Ok(Id(bytes))
    }
}

impl TryFrom<String> for Id {
    type Error = BadName;
    fn try_from(text: String) -> Result<Id, BadName> {
        text.parse()
    }
}

impl From<Id> for String {
    fn from(id: Id) -> String {
        id.to_string()
    }
}

macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $error:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<$name, BadName> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok($name(text.to_owned())) } else { Err(BadName::$error(text.to_owned())) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(text: String) -> Result<$name, BadName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked_text! {
    /// A network's or sandbox's name, an alias: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, at most 63.
    Name, Name, |text| {
        text.len() <= 63
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
    }
}

checked_text! {
    /// An interface name as the kernel takes it (`dev_valid_name`).
    IfName, IfName, |text| {
        (1..16).contains(&text.len())
            && text != "." && text != ".."
            && !text.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control())
    }
}
