//! `netd completion`: what a shell needs to complete netd's words; verbs and flags from their
//! definitions, names of objects from the agent. Changes nothing.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Command, CommandFactory, ValueEnum};
use clap_complete::{
    engine::{ArgValueCandidates, CompletionCandidate},
    env::{CompleteEnv, EnvCompleter, Shells},
};
use serde_json::Value;

use super::{Cli, Connection, Failure, Printed};

/// Set by the shells' scripts when they ask for words.
const ASKED: &str = "NETD_COMPLETE";
/// What the scripts call.
const BINARY: &str = "netd";

/// `netd completion`.
#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// The shell
    shell: Shell,
}

/// Shells that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    /// bash(1).
    Bash,
    /// zsh(1).
    Zsh,
    /// fish(1).
    Fish,
}

/// Carries out the verb.
pub fn run(args: &CompletionArgs) -> Result<Printed, Failure> {
    let name = match args.shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
    };
    let shells = Shells::builtins();
    let shell: &dyn EnvCompleter = shells
        .completer(name)
        .ok_or_else(|| Failure::refused(format!("{name} cannot be completed")))?;
    let mut script = Vec::new();
    shell
        .write_registration(ASKED, BINARY, BINARY, BINARY, &mut script)
        .map_err(|error| Failure::refused(error.to_string()))?;
    Ok(Printed::text(String::from_utf8_lossy(&script).into_owned()))
}

/// Answers a shell that asks for words, and ends; does nothing where none asks.
pub fn answer() {
    CompleteEnv::with_factory(command).var(ASKED).complete();
}

/// The command line, with names of objects where they are asked for.
fn command() -> Command {
    with_names(Cli::command())
}

fn with_names(command: Command) -> Command {
    // All in their places: to change one alone would move it behind the others.
    let mut command = command.mut_args(|argument| {
        let names: fn() -> Vec<CompletionCandidate> = match argument.get_id().as_str() {
            "sandbox" | "sandboxes" | "link" => sandboxes,
            "network" | "networks" => networks,
            "names" => objects,
            _ => return argument,
        };
        argument.add(ArgValueCandidates::new(names))
    });
    let verbs: Vec<String> = command
        .get_subcommands()
        .map(|verb| verb.get_name().to_owned())
        .collect();
    for verb in verbs {
        command = command.mut_subcommand(verb, with_names);
    }
    command
}

fn sandboxes() -> Vec<CompletionCandidate> {
    ask("/lists/sandboxes", "sandboxes", "Name")
}

fn networks() -> Vec<CompletionCandidate> {
    ask("/networks", "networks", "Name")
}

fn objects() -> Vec<CompletionCandidate> {
    sandboxes().into_iter().chain(networks()).collect()
}

/// Names out of a list of the agent's; none where it cannot be asked: who presses a key wants no
/// message.
fn ask(path: &str, list: &str, field: &str) -> Vec<CompletionCandidate> {
    let socket = std::env::var_os("NETD_SOCKET");
    let socket = socket.unwrap_or_else(|| OsString::from("/run/netd/netd.sock"));
    let client = Connection::at(PathBuf::from(socket)).client();
    let answer = client.and_then(|client| client.get::<Value>(path));
    let objects = answer
        .ok()
        .and_then(|mut answer| match answer.get_mut(list) {
            Some(Value::Array(objects)) => Some(std::mem::take(objects)),
            _ => None,
        });
    let names = objects.unwrap_or_default().into_iter();
    let names = names.filter_map(|object| Some(object.get(field)?.as_str()?.to_owned()));
    names.map(CompletionCandidate::new).collect()
}

#[cfg(test)]
mod tests {
    use super::{CompletionArgs, Shell, command, run};

    fn words(line: &str) -> Vec<String> {
        let words: Vec<_> = line.split(' ').map(Into::into).collect();
        let last = words.len() - 1;
        let found = clap_complete::engine::complete(&mut command(), words, last, None).unwrap();
        let text = |found: &clap_complete::CompletionCandidate| {
            found.get_value().to_string_lossy().into_owned()
        };
        found.iter().map(text).collect()
    }

    #[test]
    fn verbs_and_flags_are_completed() {
        assert_eq!(words("netd net"), ["network"]);
        assert_eq!(words("netd sandbox cr"), ["create"]);
        assert_eq!(words("netd sandbox create --publish-"), ["--publish-all"]);
        assert!(words("netd completion ").contains(&"fish".to_owned()));
    }

    #[test]
    fn every_shell_gets_a_script_that_asks_netd() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = run(&CompletionArgs { shell }).unwrap().out;
            assert!(script.contains("NETD_COMPLETE"), "{shell:?}: {script}");
        }
    }
}
