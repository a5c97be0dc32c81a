//! Recorded `docker network` commands, typed again as `netd network`: exit status and text.

use netd_tests::lab::Lab;
use serde_json::Value;

use super::{
    compare,
    differences::{Answer, Differences},
    recording::{Command, Step, steps},
    words,
};

/// Recordings by name.
pub const FIXTURES: [(&str, &str); 4] = [
    (
        "50-opts",
        include_str!("../../fixtures/docker-20.10/50-opts.txt"),
    ),
    (
        "80-macvlan",
        include_str!("../../fixtures/docker-20.10/80-macvlan.txt"),
    ),
    (
        "90-errors-run1",
        include_str!("../../fixtures/docker-20.10/90-errors-run1.txt"),
    ),
    (
        "90-errors-run2",
        include_str!("../../fixtures/docker-20.10/90-errors-run2.txt"),
    ),
];

/// Types a recording into a lab of its own, whose host has the links that the recording's had.
fn replay(fixture: &str) {
    let recording = FIXTURES.iter().find(|(name, _)| *name == fixture);
    let (_, recording) = recording.expect("a recording");
    let differences = Differences::of(fixture);
    let lab = Lab::new("replay");
    let host = lab.host();
    host.ok("ip link set eth0 down");
    host.ok("ip link set eth0 name up0");
    host.ok("ip link set up0 up");
    let _agent = lab.agent("");
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
    let line = format!("netd {}", command.words);
    let finished = lab.host().run(&line).expect("netd");
    let exit = finished.status.code().unwrap_or(-1);
    let docker = words::of_docker(&command.text);
    let printed = format!("{}{}", finished.stdout, finished.stderr);
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

#[test]
fn options_of_bridge_networks() {
    replay("50-opts");
}

#[test]
fn networks_on_a_link_of_the_host() {
    replay("80-macvlan");
}

#[test]
fn errors_and_lists() {
    replay("90-errors-run1");
}

#[test]
fn errors_again_from_a_clean_start() {
    replay("90-errors-run2");
}
