//! "Did you mean …": the name that a mistyped one is most like, added to a refusal's hint.

use super::ApiError;
use crate::state::{Refusal, State};

/// A refusal as an error, with the nearest name where one was not found.
pub fn explain(refusal: Refusal, state: &State) -> ApiError {
    let near = match &refusal {
        Refusal::NoSuchNetwork(wanted) => nearest(
            wanted,
            state.networks().map(|network| network.name.as_str()),
        ),
        Refusal::NoSuchSandbox(wanted) | Refusal::NoSuchLinked(wanted) => nearest(
            wanted,
            state.sandboxes().map(|sandbox| sandbox.name.as_str()),
        ),
        _ => None,
    };
    let near = near.map(str::to_owned);
    let error = ApiError::from(refusal);
    match near {
        Some(near) => error.hint(format!("did you mean {near}?")),
        None => error,
    }
}

/// The name that is most like `wanted`, if it is like it at all: one slip in four letters.
fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = wanted.to_lowercase();
    let most = 1 + wanted.chars().count() / 4;
    let slips = |name: &str| strsim::damerau_levenshtein(&wanted, &name.to_lowercase());
    let close = names
        .map(|name| (slips(name), name))
        .filter(|(slips, name)| *slips <= most && *slips < name.chars().count());
    close.min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_is_found_and_another_name_is_not() {
        let names = ["app", "backend", "web-1", "web-2", "x"];
        let near = |wanted| nearest(wanted, names.into_iter());
        assert_eq!(near("ap"), Some("app"));
        assert_eq!(near("App"), Some("app"));
        assert_eq!(near("bakcend"), Some("backend"));
        assert_eq!(near("backends"), Some("backend"));
        assert_eq!(near("web"), None);
        assert_eq!(near("web1"), Some("web-1"));
        assert_eq!(near("database"), None);
        assert_eq!(near("y"), None);
        assert_eq!(near(""), None);
    }
}
