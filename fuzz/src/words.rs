//! What people type: netd.toml, the command line, port specs, options.

use std::{collections::BTreeMap, path::Path, time::UNIX_EPOCH};

use netd::frontends::{
    api::{driver_options, sandbox_request::SandboxCreate},
    cli::{
        self, Failure, Parsed, attachment,
        filters::{Filters, is_like},
        format::Template,
        publish, until,
    },
    config::Settings,
};
use serde_json::Value;

/// Octets of a command line that are looked at.
const LONGEST: usize = 4_096;

/// A configuration is refused with a text, or means something, with defaults filled in as well.
pub fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let settings = match Settings::parse(&text, Path::new("netd.toml")) {
        Ok(settings) => settings,
        Err(bad) => return assert!(bad.to_string().contains("netd.toml"), "{bad}"),
    };
    let checked = settings.clone().check();
    match (&checked, settings.with_defaults().check()) {
        (Ok(one), Ok(other)) => assert_eq!(format!("{one:?}"), format!("{other:?}")),
        (Err(one), Err(other)) => assert_eq!(one.to_string(), other.to_string()),
        (_, other) => panic!("{checked:?}, with defaults {other:?}"),
    }
}

/// `-p`, `--expose`, a container's port, a host's port: refused with a text, or what the agent takes.
pub fn port(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let published = told(publish::parse(&text));
    let exposed = told(publish::exposed(&text));
    let _ = told(publish::private_port(&text));
    let _ = told(publish::host_port(&text));
    let body = SandboxCreate {
        ports: published.into_iter().collect(),
        exposed: exposed.into_iter().collect(),
        ..SandboxCreate::default()
    };
    // What the command line lets through, the agent does not call malformed.
    if let Err(error) = body.check() {
        panic!("{text:?}: {error:?}");
    }
}

/// `--opt` and `driver-opt`, one a line, after the driver's name on the first.
pub fn option(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let name = lines.next();
    let options: BTreeMap<String, String> = lines
        .map(|line| line.split_once('=').unwrap_or((line, "")))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    for driver in [name, None, Some("bridge"), Some("macvlan")] {
        if let Err(error) = driver_options::driver(driver, &options) {
            assert!(!error.message.is_empty());
        }
    }
    if let Err(error) = driver_options::endpoint(&options) {
        assert!(!error.message.is_empty());
    }
}

/// The command line, a word a line: printed (help, a usage error with its status), or a verb; and each
/// word as `--network` and `until=`.
pub fn command_line(bytes: &[u8]) {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST)]);
    let words = std::iter::once("netd").chain(text.lines());
    if let Parsed::Printed(printed) = cli::parse(words.map(Into::into)) {
        assert!(!printed.out.is_empty() || !printed.messages.is_empty());
        assert!(printed.exit == 2 || printed.messages.is_empty());
    }
    for word in text.lines() {
        if let Some(attachment) = told(attachment::parse(word)) {
            assert!(!attachment.network.is_empty() || word.is_empty());
            let _ = attachment.endpoint.check();
        }
        let _ = until::seconds(word, UNIX_EPOCH);
    }
}

/// `--format` on the first line, then the object that it prints: refused with a text, or a line; JSON
/// where JSON was asked for.
pub fn format(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (format, object) = text.split_once('\n').unwrap_or((&text, "{}"));
    let Some(template) = told(Template::parse(format, "netd x")) else {
        return;
    };
    let object: Value = serde_json::from_str(object).unwrap_or_default();
    let inner = format.strip_prefix("{{").unwrap_or(format).trim_start();
    match template.line(&object) {
        Ok(line) if inner.starts_with("json") => {
            let printed: Value = serde_json::from_str(&line).expect("JSON");
            assert!(inner != "json" || printed == object);
        }
        Ok(_) => {}
        Err(failure) => assert!(!failure.message.is_empty() && failure.exit == 1),
    }
}

/// `--filter`, one a line: refused with a text, or a choice in which every label counts, and of the
/// values of another key one.
pub fn filter(bytes: &[u8]) {
    const KNOWN: [&str; 4] = ["name", "label", "dangling", "type"];
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST)]);
    let texts: Vec<String> = text.lines().map(str::to_owned).collect();
    let Some(filters) = told(Filters::parse(&texts, &KNOWN)) else {
        return;
    };
    let count: usize = KNOWN.iter().map(|key| filters.values(key).count()).sum();
    assert_eq!(count, texts.len());
    let _ = told(filters.switch("dangling"));
    let _ = told(filters.among("type", &["custom", "builtin"]));
    let labels = BTreeMap::from([("tier".to_owned(), "web".to_owned())]);
    let passes = |filters: &Filters| {
        filters.pass(&labels, |filter| match filter.key.as_str() {
            "name" => is_like("app-1", &filter.value),
            _ => filter.value == "custom",
        })
    };
    if passes(&filters) {
        let label = |value| format!("label={value}");
        for value in filters.values("label") {
            let one = Filters::parse(&[label(value)], &KNOWN).expect("it was taken before");
            assert!(passes(&one), "{value}");
        }
    }
}

/// A refusal has a text and is the caller's fault.
fn told<T>(parsed: Result<T, Failure>) -> Option<T> {
    match parsed {
        Ok(value) => Some(value),
        Err(failure) => {
            assert!(!failure.message.is_empty());
            assert_eq!(failure.exit, 2);
            None
        }
    }
}
