//! `K=V` flags: labels and options.

use std::collections::BTreeMap;

/// `K[=V]`, each; the last of a key wins (Docker's rule).
pub fn pairs(texts: &[String]) -> BTreeMap<String, String> {
    let pair = |text: &String| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        (key.to_owned(), value.to_owned())
    };
    texts.iter().map(pair).collect()
}

/// `K=V,…` as Docker's `{{.Labels}}` has it.
pub fn text(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    pairs.join(",")
}

#[cfg(test)]
mod tests {
    use super::{pairs, text};

    #[test]
    fn labels_may_lack_a_value_and_hold_equal_signs() {
        let typed = ["tier", "a.b/c=x=y", "env=old", "env=test"].map(str::to_owned);
        assert_eq!(text(&pairs(&typed)), "a.b/c=x=y,env=test,tier=");
    }
}
