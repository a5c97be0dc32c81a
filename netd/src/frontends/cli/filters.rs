//! `--filter K=V` of verbs that list and prune, with Docker's keys and its rules for several: labels
//! must all be there, of every other key one value must fit. Knows no object.

use std::collections::BTreeMap;

use regex_lite::Regex;

use super::Failure;

/// One `--filter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Of those that the verb knows.
    pub key: String,
    /// What it must be.
    pub value: String,
}

/// All filters of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters(Vec<Filter>);

impl Filters {
    /// Checks filters against the keys that a verb knows.
    pub fn parse(texts: &[String], known: &[&str]) -> Result<Filters, Failure> {
        let parse = |text: &String| match text.split_once('=') {
            Some((key, value)) if known.contains(&key.trim()) => Ok(Filter {
                key: key.trim().to_owned(),
                value: value.trim().to_owned(),
            }),
            Some((key, _)) => Err(Failure::usage(format!("invalid filter '{key}'"))
                .hint(format!("one of {}", known.join(", ")))),
            None => Err(Failure::usage(format!(
                "invalid argument {text:?} for \"--filter\" flag: bad format of filter (expected name=value)"
            ))),
        };
        texts
            .iter()
            .map(parse)
            .collect::<Result<_, _>>()
            .map(Filters)
    }

    /// The values that were given for a key.
    pub fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let same = self.0.iter().filter(move |filter| filter.key == key);
        same.map(|filter| filter.value.as_str())
    }

    /// The value of a key that is yes or no, in the spellings that Docker takes; the last counts.
    pub fn switch(&self, key: &str) -> Result<Option<bool>, Failure> {
        let parse = |value: &str| match value {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            _ => Err(bad(key, value)),
        };
        self.values(key).last().map(parse).transpose()
    }

    /// Refuses values of a key that are not among those that there are.
    pub fn among(&self, key: &str, known: &[&str]) -> Result<(), Failure> {
        match self.values(key).find(|value| !known.contains(value)) {
            Some(value) => Err(bad(key, value).hint(format!("one of {}", known.join(", ")))),
            None => Ok(()),
        }
    }

    /// Whether an object passes: `matches` says it of one filter. `label` is looked at here.
    pub fn pass(
        &self,
        labels: &BTreeMap<String, String>,
        matches: impl Fn(&Filter) -> bool,
    ) -> bool {
        self.0.iter().all(|filter| {
            if filter.key == "label" {
                return has_label(labels, &filter.value);
            }
            let same_key = |other: &&Filter| other.key == filter.key;
            self.0.iter().filter(same_key).any(&matches)
        })
    }
}

/// What is said of a value that is none.
pub fn bad(key: &str, value: &str) -> Failure {
    Failure::usage(format!("invalid filter '{key}={value}'"))
}

/// `name=`, `id=`: the same, or found in it by a regular expression; so a part is enough, `^x` is a
/// beginning. What is no expression only matches itself (Docker's rules).
pub fn is_like(text: &str, wanted: &str) -> bool {
    text == wanted || Regex::new(wanted).is_ok_and(|expression| expression.is_match(text))
}

/// `label=K` or `label=K=V`.
fn has_label(labels: &BTreeMap<String, String>, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|found| found == value),
        None => labels.contains_key(wanted),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Filter, Filters, has_label, is_like};

    fn filters(texts: &[&str], known: &[&str]) -> Result<Filters, String> {
        let texts: Vec<String> = texts.iter().map(|text| text.to_string()).collect();
        Filters::parse(&texts, known).map_err(|failure| failure.lines())
    }

    #[test]
    fn values_of_one_key_are_alternatives_and_labels_are_not() {
        let typed = ["name=a", "name=b", "driver=bridge"];
        let named = filters(&typed, &["name", "driver"]).unwrap();
        let is = |name: &'static str, driver: &'static str| {
            let matches = |Filter { key, value }: &Filter| match key.as_str() {
                "name" => value == name,
                _ => value == driver,
            };
            named.pass(&BTreeMap::new(), matches)
        };
        assert!(is("a", "bridge") && is("b", "bridge"));
        assert!(!is("c", "bridge") && !is("a", "host"));
        let labels = BTreeMap::from([("tier".to_owned(), "web".to_owned())]);
        let passes = |typed: &[&str]| {
            let filters = filters(typed, &["label"]).unwrap();
            filters.pass(&labels, |_| panic!("labels are looked at elsewhere"))
        };
        assert!(passes(&["label=tier"]) && passes(&["label=tier=web", "label=tier"]));
        assert!(!passes(&["label=tier", "label=env"]) && !passes(&["label=tier=db"]));
        assert!(has_label(&labels, "tier") && !has_label(&labels, "tie"));
    }

    #[test]
    fn names_are_found_by_a_part_or_an_expression() {
        assert!(is_like("app-1", "pp") && is_like("app-1", "^app") && is_like("a", "^a$"));
        assert!(!is_like("app-1", "^pp") && !is_like("app", "^a$"));
        assert!(is_like("a(b", "a(b") && !is_like("xa(b", "a(b"));
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        assert_eq!(
            filters(&["bogus=1"], &["name", "id"]).unwrap_err(),
            "netd: invalid filter 'bogus'\ntry: one of name, id\n"
        );
        assert_eq!(
            filters(&["name"], &["name"]).unwrap_err(),
            "netd: invalid argument \"name\" for \"--filter\" flag: bad format of filter (expected name=value)\n"
        );
        let typed = filters(&["dangling=maybe", "type=x"], &["dangling", "type"]).unwrap();
        let refused = typed.switch("dangling").unwrap_err();
        assert_eq!(refused.message, "invalid filter 'dangling=maybe'");
        let refused = typed.among("type", &["custom", "builtin"]).unwrap_err();
        assert_eq!(
            refused.lines(),
            "netd: invalid filter 'type=x'\ntry: one of custom, builtin\n"
        );
        let typed = filters(&["dangling=1"], &["dangling"]).unwrap();
        assert_eq!(typed.switch("dangling").unwrap(), Some(true));
    }
}
