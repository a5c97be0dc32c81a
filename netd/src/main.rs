//! The `netd` binary: verbs to their layers, results to exit codes.

use std::{env, process::ExitCode};

use netd::frontends::cli::{Failure, Parsed, Printed, parse};

fn main() -> ExitCode {
    let verb = match parse(env::args_os()) {
        Parsed::Verb(verb) => verb,
        Parsed::Printed(printed) => return ExitCode::from(printed.show()),
    };
    let printed = match verb.run() {
        Ok(printed) => printed,
        Err(_verb) => Printed::from(Failure::refused("not wired")),
    };
    ExitCode::from(printed.show())
}
