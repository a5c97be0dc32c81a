//! What netd's parsers must do with any bytes: one function for each, which panics where a promise
//! is broken. `tests/corpus.rs` runs them over `corpus/`, cargo-fuzz (`engine/`) over what it finds.
//! Knows no fuzzer itself.
#![forbid(unsafe_code)]

mod answer;
mod kernel;
mod packet;
mod question;
mod record;
mod request;
mod text;
mod words;

/// A parser's promises, tried with some bytes.
pub type Target = fn(&[u8]);

/// All of them, by the name of their folder in `corpus/` and of their program in `engine/`.
pub const TARGETS: [(&str, Target); 16] = [
    ("dns_question", question::question),
    ("dns_answer", answer::answer),
    ("dns_name", text::name),
    ("packet", packet::packet),
    ("resolv_conf", text::resolv_conf),
    ("request", request::request),
    ("record", record::record),
    ("config", words::config),
    ("port", words::port),
    ("option", words::option),
    ("command_line", words::command_line),
    ("format", words::format),
    ("filter", words::filter),
    ("mountinfo", kernel::mountinfo),
    ("port_list", kernel::port_list),
    ("drop_event", kernel::drop_event_record),
];

/// The target of that name.
///
/// # Panics
/// If there is none.
pub fn target(name: &str) -> Target {
    let found = TARGETS.iter().find(|(other, _)| *other == name);
    found.unwrap_or_else(|| panic!("no target {name}")).1
}
