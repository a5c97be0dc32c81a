//! The `netd` binary: verbs to their layers, results to exit codes.

use std::{env, process::ExitCode, time::Duration};

use netd::{
    daemon::{down, lock::Lock, start},
    frontends::{
        api::{reports::DownRequest, server::socket_path},
        cli::{
            Failure, Parsed, Printed, RunArgs, Verb, completion,
            down::{DownArgs, show},
            parse,
        },
        config::{BadConfig, Settings},
    },
    kernel::heap,
    telemetry,
};

/// How long an agent that has undone everything may take to end.
const AGENT_ENDS: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    completion::answer();
    let verb = match parse(env::args_os()) {
        Parsed::Verb(verb) => verb,
        Parsed::Printed(printed) => return ExitCode::from(printed.show()),
    };
    let printed = match verb.run().map_err(|verb| *verb) {
        Ok(printed) => printed,
        Err(Verb::Run(args)) => run(*args).unwrap_or_else(Printed::from),
        Err(Verb::Down(args)) => undo(&args).unwrap_or_else(Printed::from),
        Err(other) => Printed::from(Failure::refused(format!("{other:?} is not carried out"))),
    };
    ExitCode::from(printed.show())
}

fn run(args: RunArgs) -> Result<Printed, Failure> {
    heap::prepare();
    let file = Settings::read(args.config.as_deref()).map_err(bad_config)?;
    let config = args.settings.over(file).check().map_err(bad_config)?;
    telemetry::start(config.log_level, config.log_format);
    match start::run(&config) {
        Ok(()) => Ok(Printed::default()),
        Err(error) => Err(Failure::refused(format!("{error:#}"))),
    }
}

/// By the agent if there is one, else from pins and marks.
fn undo(args: &DownArgs) -> Result<Printed, Failure> {
    let file = Settings::read(args.config.as_deref()).map_err(bad_config)?;
    let config = args.settings().over(file).check().map_err(bad_config)?;
    if let Some(result) = args.ask_agent(socket_path(&config.run_dir)) {
        if result.is_ok() {
            Lock::wait_until_free(&config.run_dir, AGENT_ENDS);
        }
        return result;
    }
    let request = DownRequest {
        force: args.force,
        purge: args.purge,
    };
    Ok(show(&down::without_agent(&config, &request)?))
}

fn bad_config(error: BadConfig) -> Failure {
    Failure::refused(error.to_string()).hint("netd config check")
}
