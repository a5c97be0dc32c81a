//! How many tests ran, read from cargo test's closing lines.

use std::fmt;

/// Tests of a tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Passed.
    pub passed: u32,
    /// Left out by the tests' own doing.
    pub ignored: u32,
}

impl Count {
    /// A check that is one test.
    pub const ONE: Count = Count {
        passed: 1,
        ignored: 0,
    };

    /// Both together.
    pub fn add(&mut self, other: Count) {
        self.passed += other.passed;
        self.ignored += other.ignored;
    }

    /// Takes up `test result: ok. 5 passed; 0 failed; 1 ignored; …`.
    pub fn read(&mut self, line: &str) {
        let Some(result) = line.trim_start().strip_prefix("test result: ") else {
            return;
        };
        let number = |what: &str| {
            result
                .split([';', '.'])
                .find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok())
                .unwrap_or(0)
        };
        self.passed += number("passed");
        self.ignored += number("ignored");
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed", self.passed)?;
        if self.ignored > 0 {
            write!(f, ", {} ignored", self.ignored)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_added_up() {
        let mut count = Count::default();
        count.read("test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out");
        count.read("test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured");
        count.read("running 5 tests");
        assert_eq!(
            count,
            Count {
                passed: 7,
                ignored: 1
            }
        );
        assert_eq!(count.to_string(), "7 passed, 1 ignored");
    }
}
