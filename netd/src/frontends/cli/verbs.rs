//! All verbs, and what several of them share. `run` and `down` are carried out by `main`.

use std::{
    ffi::OsString,
    io::{self, BufRead, Write},
    path::PathBuf,
};

use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use serde_json::Value;

use super::{
    Connection, Failure, Printed, completion, config,
    down::DownArgs,
    drops, events,
    exec::{self, Exec},
    flow,
    format::InspectFormat,
    inspect, man, network, port, sandbox, status,
};
use crate::frontends::{api::reports::Created, config::Settings};

/// Container networking with eBPF in place of iptables.
#[derive(Debug, Parser)]
#[command(
    name = "netd",
    version,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the agent, in the foreground
    #[command(
        after_help = "Example:\n  netd run --uplink eth0 --address-pool 10.64.0.0/10,size=24"
    )]
    Run(Box<RunArgs>),
    /// Undo everything that netd made on this host; the state stays
    #[command(after_help = "Example:\n  netd down")]
    Down(DownArgs),
    /// Show how agent and datapath are
    #[command(after_help = "Example:\n  netd status --wait 10")]
    Status(status::StatusArgs),
    /// Show the versions of command line and agent
    #[command(after_help = "Example:\n  netd version")]
    Version(status::VersionArgs),
    /// Check or show the configuration
    #[command(subcommand)]
    Config(config::ConfigVerb),
    /// Manage networks
    #[command(subcommand)]
    Network(network::NetworkVerb),
    /// Manage sandboxes
    #[command(subcommand)]
    Sandbox(sandbox::SandboxVerb),
    /// Run a command in a sandbox
    #[command(after_help = "Example:\n  netd exec web -- getent hosts db")]
    Exec(ExecArgs),
    /// Show published ports of a sandbox
    #[command(after_help = "Example:\n  netd port web 80/tcp")]
    Port(port::PortArgs),
    /// Show sandboxes, networks or endpoints as JSON
    #[command(after_help = "Example:\n  netd inspect -f '{{.Id}}' web")]
    Inspect(inspect::InspectArgs),
    /// Look into the flow table
    #[command(subcommand)]
    Flow(flow::FlowVerb),
    /// Follow what happens to networks and sandboxes
    #[command(after_help = "Example:\n  netd events --filter network=app")]
    Events(events::EventsArgs),
    /// Print what a shell needs to complete netd's words; netd must be in its PATH
    #[command(after_help = "Example:\n  netd completion bash")]
    Completion(completion::CompletionArgs),
    /// Write the manual pages
    #[command(after_help = "Example:\n  netd man /usr/local/share/man/man1")]
    Man(man::ManArgs),
    /// Show what was dropped, and why
    #[command(after_help = "Example:\n  netd drops -f json\n  netd drops --follow")]
    Drops(drops::DropsArgs),
}

/// `netd run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Configuration file; its keys are the flags below, which win
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Everything that is also a key of the file.
    #[command(flatten)]
    pub settings: Settings,
}

/// `netd exec`.
#[derive(Debug, Args)]
pub struct ExecArgs {
    #[command(flatten)]
    exec: Exec,
    #[command(flatten)]
    connection: Connection,
}

/// What the words mean.
pub enum Parsed {
    /// A verb.
    Verb(Verb),
    /// Nothing to do but print: help, version, or a usage error.
    Printed(Printed),
}

/// Reads the words of the command line, the first being the program's name.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Parsed {
    match Cli::try_parse_from(words) {
        Ok(cli) => Parsed::Verb(cli.verb),
        Err(error) => {
            let text = error.render().to_string();
            Parsed::Printed(match error.use_stderr() {
                false => Printed::text(text),
                true => Printed {
                    messages: text.replacen("error: ", "netd: ", 1),
                    exit: 2,
                    ..Printed::default()
                },
            })
        }
    }
}

impl Verb {
    /// Carries out a verb that needs no more than the socket. `Err`: it is `main`'s to carry out.
    pub fn run(self) -> Result<Printed, Box<Verb>> {
        let printed = match self {
            Verb::Run(_) | Verb::Down(_) => return Err(Box::new(self)),
            Verb::Status(args) => status::run(&args),
            Verb::Version(args) => status::version(&args),
            Verb::Config(verb) => config::run(&verb),
            Verb::Network(verb) => network::run(verb),
            Verb::Sandbox(verb) => sandbox::run(verb),
            Verb::Exec(args) => exec(&args),
            Verb::Port(args) => port::run(&args),
            Verb::Inspect(args) => inspect::run(&args),
            Verb::Flow(verb) => flow::run(verb),
            Verb::Events(args) => events::run(&args),
            Verb::Completion(args) => completion::run(&args),
            Verb::Man(args) => man::run(&args),
            Verb::Drops(args) => drops::run(&args),
        };
        Ok(printed.unwrap_or_else(Printed::from))
    }
}

/// Becomes the command: what comes back is why it could not.
fn exec(args: &ExecArgs) -> Result<Printed, Failure> {
    let client = args.connection.client()?;
    Err(exec::run(&args.exec, &client))
}

/// The id, and warnings as Docker prints them.
pub(super) fn created(created: &Created) -> Printed {
    let mut printed = Printed::default();
    printed.line(&created.id);
    created
        .warnings
        .iter()
        .for_each(|text| printed.warning(text));
    printed
}

/// Prints the objects that were found as one array, then a failure for each that was not.
pub(super) fn inspect_each<T: Serialize>(
    names: &[String],
    format: &InspectFormat,
    verb: &str,
    get: impl Fn(&str) -> Result<T, Failure>,
) -> Result<Printed, Failure> {
    let mut found: Vec<Value> = Vec::new();
    let mut failures = Vec::new();
    for name in names {
        let object = get(name).and_then(|object| {
            serde_json::to_value(object).map_err(|error| Failure::refused(error.to_string()))
        });
        match object {
            Ok(object) => found.push(object),
            // Without an agent no other name will do better.
            Err(failure) if failure.no_agent => return Err(failure),
            Err(failure) => failures.push(failure),
        }
    }
    let mut printed = format.print(&found, verb)?;
    failures.iter().for_each(|failure| printed.failure(failure));
    Ok(printed)
}

/// Asks a question; anything but `y` is no.
pub(super) fn confirmed(question: &str) -> Result<bool, Failure> {
    let mut answer = String::new();
    let asked = write!(
        io::stderr(),
        "{question}\nAre you sure you want to continue? [y/N] "
    );
    asked
        .and_then(|()| io::stdin().lock().read_line(&mut answer))
        .map_err(|error| Failure::refused(error.to_string()))?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::{Cli, Parsed, parse};

    fn leaves(command: &Command, path: &str, found: &mut Vec<(String, Command)>) {
        let path = format!("{path} {}", command.get_name())
            .trim_start()
            .to_owned();
        if command.get_subcommands().next().is_none() {
            found.push((path, command.clone()));
            return;
        }
        for verb in command.get_subcommands() {
            leaves(verb, &path, found);
        }
    }

    fn printed(line: &str) -> (u8, String, String) {
        match parse(line.split(' ').map(Into::into)) {
            Parsed::Printed(printed) => (printed.exit, printed.out, printed.messages),
            Parsed::Verb(verb) => panic!("{line}: {verb:?}"),
        }
    }

    #[test]
    fn every_verb_has_help_with_an_example() {
        Cli::command().debug_assert();
        let mut verbs = Vec::new();
        leaves(&Cli::command(), "", &mut verbs);
        assert!(verbs.len() > 20, "{}", verbs.len());
        for (path, verb) in verbs {
            let example = verb.get_after_help().map(ToString::to_string);
            let example = example.unwrap_or_default();
            assert!(example.contains(&path), "{path}: {example:?}");
            let flags = verb
                .get_arguments()
                .filter(|flag| flag.get_help().is_none());
            let silent: Vec<_> = flags.map(|flag| flag.get_id().to_string()).collect();
            assert!(silent.is_empty(), "{path}: no help for {silent:?}");
        }
    }

    #[test]
    fn examples_are_right() {
        let mut verbs = Vec::new();
        leaves(&Cli::command(), "", &mut verbs);
        for (path, verb) in verbs {
            let help = verb
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            let line = help.lines().last().unwrap_or_default().trim();
            // Quoted words of the examples are templates, without another quote in them.
            let words = line
                .split('\'')
                .enumerate()
                .flat_map(|(i, part)| match i % 2 {
                    0 => part.split_whitespace().map(str::to_owned).collect(),
                    _ => vec![part.to_owned()],
                });
            let parsed = parse(words.map(Into::into));
            assert!(matches!(parsed, Parsed::Verb(_)), "{path}: {line}");
        }
    }

    #[test]
    fn what_is_not_built_is_refused() {
        for line in [
            "netd sandbox publish web",
            "netd sandbox unpublish web",
            "netd events --filter",
            "netd run --socket /x",
            "netd sandbox create --netns /a --pid 7",
            "netd sandbox ls -q -f json",
            "netd sandbox create --pid x",
        ] {
            let (exit, out, messages) = printed(line);
            assert_eq!((exit, out.as_str()), (2, ""), "{line}");
            assert!(messages.starts_with("netd: "), "{line}: {messages}");
        }
    }

    #[test]
    fn a_slip_is_answered_with_the_word_that_was_meant() {
        for (line, meant) in [
            ("netd netwrok ls", "'network'"),
            ("netd network inspct app", "'inspect'"),
            ("netd network create --subnets 10.0.0.0/8 app", "'--subnet'"),
            ("netd completion bahs", "'bash'"),
        ] {
            let (exit, _, messages) = printed(line);
            assert!(exit == 2 && messages.contains(meant), "{line}: {messages}");
        }
    }

    #[test]
    fn help_goes_to_stdout() {
        let (exit, out, messages) = printed("netd network create --help");
        assert_eq!((exit, messages.as_str()), (0, ""));
        assert!(out.contains("--subnet <CIDR>") && out.contains("Example:"));
    }
}
