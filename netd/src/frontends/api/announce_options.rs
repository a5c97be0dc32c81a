//! `--opt com.docker.network.advertise_addr_…`: how often a sandbox's addresses are announced when it
//! comes, with Docker's ranges and texts.

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::ApiError;
use crate::model::network::Announce;

const MESSAGES: &str = "com.docker.network.advertise_addr_nmsgs";
const INTERVAL: &str = "com.docker.network.advertise_addr_ms";

/// What the options say of it, and the others.
pub fn split(
    options: &BTreeMap<String, String>,
) -> Result<(Option<Announce>, BTreeMap<String, String>), ApiError> {
    let mut rest = options.clone();
    let messages = rest.remove(MESSAGES);
    let interval = rest.remove(INTERVAL);
    if messages.is_none() && interval.is_none() {
        return Ok((None, rest));
    }
    let default = Announce::default();
    let announce = Announce {
        messages: match messages {
            Some(text) => number(MESSAGES, &text, "must be an integer", 0..=3)?,
            None => default.messages,
        },
        interval_ms: match interval {
            Some(text) => number(INTERVAL, &text, "must be integer milliseconds", 100..=2000)?,
            None => default.interval_ms,
        },
    };
    Ok((Some(announce), rest))
}

fn number(key: &str, text: &str, what: &str, range: RangeInclusive<u16>) -> Result<u16, ApiError> {
    let number: i64 = text
        .parse()
        .map_err(|_| ApiError::bad(format!("value for option {key} {text:?} {what}")))?;
    let inside = u16::try_from(number).ok().filter(|n| range.contains(n));
    inside.ok_or_else(|| {
        let (first, last) = (range.start(), range.end());
        ApiError::bad(format!("{key} must be in the range {first} to {last}"))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Announce, INTERVAL, MESSAGES, split};

    fn parse(options: &[(&str, &str)]) -> Result<(Option<Announce>, usize), String> {
        let options = options
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let options: BTreeMap<String, String> = options.collect();
        let (announce, rest) = split(&options).map_err(|error| error.message)?;
        Ok((announce, rest.len()))
    }

    #[test]
    fn ranges_are_dockers() {
        let announce = |messages, interval_ms| {
            Some(Announce {
                messages,
                interval_ms,
            })
        };
        assert_eq!(parse(&[("a", "b")]), Ok((None, 1)));
        assert_eq!(
            parse(&[(MESSAGES, "0"), ("a", "b")]),
            Ok((announce(0, 1000), 1))
        );
        assert_eq!(parse(&[(INTERVAL, "100")]), Ok((announce(3, 100), 0)));
        assert_eq!(
            parse(&[(MESSAGES, "3"), (INTERVAL, "2000")]),
            Ok((announce(3, 2000), 0))
        );
        let short = format!("{INTERVAL} must be in the range 100 to 2000");
        let many = format!("{MESSAGES} must be in the range 0 to 3");
        for (key, value, text) in [
            (INTERVAL, "99", short.clone()),
            (INTERVAL, "2001", short),
            (MESSAGES, "-1", many.clone()),
            (MESSAGES, "4", many),
            (
                INTERVAL,
                "nonsense",
                format!("value for option {INTERVAL} \"nonsense\" must be integer milliseconds"),
            ),
            (
                MESSAGES,
                "x",
                format!("value for option {MESSAGES} \"x\" must be an integer"),
            ),
        ] {
            assert_eq!(parse(&[(key, value)]), Err(text), "{key}={value}");
        }
    }
}
