//! A command line as text into its words, so that tests read like a terminal. Knows single and
//! double quotes; has no variables, no pipes and no escapes.

/// `ping -c 1 'a b'` → `["ping", "-c", "1", "a b"]`.
///
/// # Panics
/// If a quote is not closed.
pub fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for character in line.chars() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(character),
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(character),
        }
    }
    assert!(quote.is_none(), "quote not closed in: {line}");
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_and_quotes_kept_together() {
        assert_eq!(words("ping -c 1 \n a"), ["ping", "-c", "1", "a"]);
        assert_eq!(words("sh -c 'echo \"x y\"'"), ["sh", "-c", "echo \"x y\""]);
        assert_eq!(words("a '' \"b c\"d"), ["a", "", "b cd"]);
        assert!(words("  ").is_empty());
    }
}
