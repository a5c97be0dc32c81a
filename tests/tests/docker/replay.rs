//! Recorded commands of Docker's, typed again as netd's: exit status and text.

use std::time::Duration;

use netd_tests::lab::Lab;
use serde_json::Value;

use super::{
    compare,
    differences::{Answer, Differences},
    recorded_host,
    recording::{Command, Step, flags, steps},
    words,
};

/// How long a link may take to be up.
const LIMIT: Duration = Duration::from_secs(30);

macro_rules! recordings {
    ($(#[test] fn $test:ident() of $fixture:literal;)*) => {
        /// Recordings by name.
        pub const FIXTURES: &[(&str, &str)] = &[$((
            $fixture,
            include_str!(concat!("../../fixtures/docker-20.10/", $fixture, ".txt")),
        ),)*];

        $(
            #[test]
            fn $test() {
                replay($fixture);
            }
        )*
    };
}

recordings! {
    #[test]
    fn lists_of_networks() of "20-cli";
    #[test]
    fn options_of_bridge_networks() of "50-opts";
    #[test]
    fn connect_and_disconnect() of "60-connect-disconnect";
    #[test]
    fn modes_refuse_what_they_cannot_have() of "71-mode-errors";
    #[test]
    fn networks_on_a_link_of_the_host() of "80-macvlan";
    #[test]
    fn errors_and_lists() of "90-errors-run1";
    #[test]
    fn errors_again_from_a_clean_start() of "90-errors-run2";
    #[test]
    fn pools_are_handed_out_and_end() of "91-pool-exhaustion";
    #[test]
    fn errors_of_a_newer_command_line() of "92-errors-cli28";
}

/// Types a recording into a lab of its own.
fn replay(fixture: &str) {
    let recording = FIXTURES.iter().find(|(name, _)| *name == fixture);
    let (_, recording) = recording.expect("a recording");
    let differences = Differences::of(fixture);
    let lab = recorded_host("replay");
    let _agent = lab.agent(flags(recording));
    let mut wrong = Vec::new();
    let mut commands = 0;
    for step in steps(recording) {
        match step {
            Step::Besides(words) => drop(lab.netd(&words)),
            Step::Command(command) => {
                commands += 1;
                wrong.extend(typed(&lab, &command, &differences));
            }
        }
    }
    assert!(commands > 2, "{commands} commands");
    wrong.extend(differences.unused());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Types one command; what is wrong with the answer.
fn typed(lab: &Lab, command: &Command, differences: &Differences) -> Vec<String> {
    let line = format!("netd {}", words::typed(&command.words));
    let run = || lab.host().run(&line).expect("netd");
    if command.words.contains(" ip ") {
        // The kernel says a moment after a link is up that it is (linkwatch).
        let is_up = || !run().stdout.contains(" DOWN ");
        lab.wait_until("links to be up", LIMIT, is_up);
    }
    let finished = run();
    let exit = finished.status.code().unwrap_or(-1);
    let command = &words::without_process(command);
    let docker = words::of_docker(&command.text);
    let mut printed = format!("{}{}", finished.stdout, finished.stderr);
    if command.words.starts_with("run ") && finished.succeeded() {
        // A container that ended tells no id, and `--rm` removes it.
        let id = finished.stdout.trim();
        lab.netd(&format!("sandbox rm {id}"));
        printed = printed.replace(&finished.stdout, "");
    }
    let netd = words::of_netd(&printed);
    if docker == netd && command.exit == exit {
        return Vec::new();
    }
    let [old, new] =
        [(&docker, command.exit), (&netd, exit)].map(|(text, exit)| Answer { text, exit });
    if let Some(then) = differences.allow_answer(&command.words, &old, &new) {
        then.iter().for_each(|words| drop(lab.netd(words)));
        return Vec::new();
    }
    if let (true, Some(pairs)) = (command.exit == exit, objects(&docker, &netd)) {
        let compared = pairs
            .iter()
            .flat_map(|(old, new)| compare::fields(old, new, differences));
        return compared.map(|wrong| format!("{line}: {wrong}")).collect();
    }
    let told = |text: &str| text.replace('\n', "\n    ");
    vec![format!(
        "{line}\n  Docker {}: {}\n  netd {exit}: {}",
        command.exit,
        told(&docker),
        told(&netd)
    )]
}

/// The answers as JSON objects, one a line, if both are as many.
fn objects(docker: &str, netd: &str) -> Option<Vec<(Value, Value)>> {
    let parse = |text: &str| -> Option<Vec<Value>> {
        let values = text.lines().map(|line| {
            let value = serde_json::from_str::<Value>(line).ok();
            value.filter(Value::is_object)
        });
        values.collect()
    };
    let (docker, netd) = (parse(docker)?, parse(netd)?);
    (docker.len() == netd.len() && !docker.is_empty())
        .then(|| docker.into_iter().zip(netd).collect())
}
