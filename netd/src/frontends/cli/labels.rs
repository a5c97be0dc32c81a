//! `K=V` flags: labels, options, filters.

use std::collections::BTreeMap;

use super::Failure;

/// One `--filter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Of those that the verb knows.
    pub key: String,
    /// What it must be.
    pub value: String,
}

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

/// Checks filters against the keys that a verb knows.
pub fn filters(texts: &[String], known: &[&str]) -> Result<Vec<Filter>, Failure> {
    let parse = |text: &String| match text.split_once('=') {
        Some((key, value)) if known.contains(&key) => Ok(Filter {
            key: key.to_owned(),
            value: value.to_owned(),
        }),
        Some((key, _)) => {
            let failure = Failure::usage(format!("invalid filter '{key}'"));
            Err(failure.hint(format!("one of {}", known.join(", "))))
        }
        None => Err(Failure::usage(format!(
            "invalid filter '{text}': K=V is expected"
        ))),
    };
    texts.iter().map(parse).collect()
}

/// Whether every key that is filtered by has at least one filter that matches.
pub fn all(filters: &[Filter], matches: impl Fn(&Filter) -> bool) -> bool {
    filters.iter().all(|filter| {
        let same_key = |other: &&Filter| other.key == filter.key;
        filters.iter().filter(same_key).any(&matches)
    })
}

/// `label=K` or `label=K=V`.
pub fn matches(labels: &BTreeMap<String, String>, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|found| found == value),
        None => labels.contains_key(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::{Filter, all, filters, matches, pairs, text};

    #[test]
    fn labels_may_lack_a_value_and_hold_equal_signs() {
        let typed = ["tier", "a.b/c=x=y", "env=old", "env=test"].map(str::to_owned);
        let labels = pairs(&typed);
        assert_eq!(text(&labels), "a.b/c=x=y,env=test,tier=");
        assert!(matches(&labels, "tier") && matches(&labels, "env=test"));
        assert!(!matches(&labels, "env=old") && !matches(&labels, "nosuch"));
    }

    #[test]
    fn filters_of_one_key_are_alternatives() {
        let typed = ["name=a", "name=b", "driver=bridge"].map(str::to_owned);
        let filters = filters(&typed, &["name", "driver"]).unwrap();
        let is = |name: &'static str, driver: &'static str| {
            all(&filters, |Filter { key, value }| match key.as_str() {
                "name" => value == name,
                _ => value == driver,
            })
        };
        assert!(is("a", "bridge") && is("b", "bridge"));
        assert!(!is("c", "bridge") && !is("a", "host"));
    }

    #[test]
    fn unknown_filters_are_refused() {
        let bad = filters(&["bogus=1".to_owned()], &["name"]).unwrap_err();
        assert_eq!(
            bad.lines(),
            "netd: invalid filter 'bogus'\ntry: one of name\n"
        );
        assert!(filters(&["name".to_owned()], &["name"]).is_err());
    }
}
