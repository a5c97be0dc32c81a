//! A Rust file with comments and literals blanked out, so that the rules see code only. A scanner,
//! no parser: it knows what strings and comments look like and nothing more.

/// One Rust file.
pub struct Source<'a> {
    /// Relative to the workspace.
    pub file: &'a str,
    /// The file, with every character of comments and literals replaced by a space. Lines stay.
    pub code: String,
    /// Comments alone, everything else blank.
    pub comments: String,
    /// First line (from 1) of the unit tests at the file's end; past the end if there are none.
    tests_from: usize,
}

impl<'a> Source<'a> {
    /// Scans the text.
    pub fn new(file: &'a str, text: &str) -> Source<'a> {
        let (code, comments) = split(text);
        let is_test_file = file.starts_with("tests/tests/")
            || file.contains("/tests/")
            || file.ends_with("/tests.rs")
            || file.ends_with("_tests.rs");
        let tests_from = match code.find("#[cfg(test)]\nmod ") {
            _ if is_test_file => 1,
            Some(at) => code[..at].lines().count() + 1,
            None => usize::MAX,
        };
        Source {
            file,
            code,
            comments,
            tests_from,
        }
    }

    /// Whether the line belongs to tests.
    pub fn is_test(&self, line: usize) -> bool {
        line >= self.tests_from
    }

    /// Lines of code with their numbers from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line))
    }
}

/// What the scanner is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Code,
    Line,
    Block(u32),
    Text,
    Raw(usize),
}

/// Code without comments and literals, and comments without code.
fn split(text: &str) -> (String, String) {
    let characters: Vec<char> = text.chars().collect();
    let (mut code, mut comments) = (String::new(), String::new());
    let mut place = Place::Code;
    let mut at = 0;
    while at < characters.len() {
        let rest = &characters[at..];
        let (next, length) = step(
            place,
            rest,
            at.checked_sub(1).map(|before| characters[before]),
        );
        let is_comment = |place| matches!(place, Place::Line | Place::Block(_));
        for character in &rest[..length] {
            let blank = if *character == '\n' { '\n' } else { ' ' };
            let in_comment = is_comment(place) || is_comment(next);
            let in_code = place == Place::Code && next == Place::Code && !is_literal(rest, length);
            code.push(if in_code { *character } else { blank });
            comments.push(if in_comment { *character } else { blank });
        }
        place = next;
        at += length;
    }
    (code, comments)
}

/// Whether this step is a character literal, taken as a whole.
fn is_literal(rest: &[char], length: usize) -> bool {
    length > 1 && rest[0] == '\''
}

/// How many characters belong together here, and what comes after them.
fn step(place: Place, rest: &[char], before: Option<char>) -> (Place, usize) {
    let starts = |text: &str| text.chars().eq(rest.iter().copied().take(text.len()));
    match place {
        Place::Code if starts("//") => (Place::Line, 2),
        Place::Code if starts("/*") => (Place::Block(1), 2),
        Place::Code if rest[0] == '"' => (Place::Text, 1),
        Place::Code if rest[0] == 'r' && !before.is_some_and(is_word) => match raw_start(rest) {
            Some(hashes) => (Place::Raw(hashes), hashes + 2),
            None => (Place::Code, 1),
        },
        Place::Code if rest[0] == '\'' => (Place::Code, character_literal(rest)),
        Place::Code => (Place::Code, 1),
        Place::Line if rest[0] == '\n' => (Place::Code, 1),
        Place::Line => (Place::Line, 1),
        Place::Block(depth) if starts("/*") => (Place::Block(depth + 1), 2),
        Place::Block(1) if starts("*/") => (Place::Code, 2),
        Place::Block(depth) if starts("*/") => (Place::Block(depth - 1), 2),
        Place::Block(depth) => (Place::Block(depth), 1),
        Place::Text if rest[0] == '\\' => (Place::Text, rest.len().min(2)),
        Place::Text if rest[0] == '"' => (Place::Code, 1),
        Place::Text => (Place::Text, 1),
        Place::Raw(hashes) if rest[0] == '"' && closes(rest, hashes) => (Place::Code, hashes + 1),
        Place::Raw(hashes) => (Place::Raw(hashes), 1),
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Hashes of `r#"`, if it is one (`br"` starts at its r, whose b is a word of its own then).
fn raw_start(rest: &[char]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
    (rest.get(hashes + 1) == Some(&'"')).then_some(hashes)
}

fn closes(rest: &[char], hashes: usize) -> bool {
    rest[1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
}

/// Length of `'x'` or `'\n'`; 1 for a lifetime.
fn character_literal(rest: &[char]) -> usize {
    match rest {
        ['\'', '\\', ..] => rest[2..]
            .iter()
            .skip(1)
            .position(|c| *c == '\'')
            .map_or(1, |at| at + 4),
        ['\'', _, '\'', ..] => 3,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_no_code() {
        let text =
            "let a = \"unsafe \\\" x\"; // unsafe\nlet b = r#\"un\"safe\"#; /* a /* b */ c */ d\n";
        let (code, comments) = split(text);
        assert!(
            !code.contains("unsafe") && !code.contains("un\"safe"),
            "{code}"
        );
        assert!(code.contains("let b =") && code.contains(" d\n"), "{code}");
        assert!(comments.contains("// unsafe") && comments.contains("c */"));
        assert_eq!(code.lines().count(), text.lines().count());
    }

    #[test]
    fn lifetimes_and_characters_are_told_apart() {
        let (code, _) = split("fn f<'a>(x: &'a str) { g('\"', '\\'', '\\n', b'x') } // end");
        assert!(code.contains("fn f<'a>(x: &'a str)"), "{code}");
        assert!(
            code.contains(')') && !code.contains("end") && !code.contains('"'),
            "{code}"
        );
    }

    #[test]
    fn unit_tests_are_known_by_their_line() {
        let source = Source::new(
            "netd/src/x.rs",
            "//! x\nfn f() {}\n#[cfg(test)]\nmod tests {\n}\n",
        );
        assert!(!source.is_test(2));
        assert!(source.is_test(3) && source.is_test(4));
        assert!(Source::new("tests/tests/x.rs", "fn f() {}").is_test(1));
    }
}
