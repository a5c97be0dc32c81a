//! Commands and answers of Docker and netd made alike: what is made anew each time (ids, times), who
//! speaks, and that a container has a process.

use regex_lite::Regex;

use super::recording::Command;

/// What is typed in place of Docker's words. `run` makes a sandbox: that is what it has in common.
pub fn typed(docker: &str) -> String {
    match docker.split_once(' ') {
        Some(("run", rest)) => {
            let flags = rest.split(' ').take_while(|word| *word != IMAGE);
            let flags = flags.filter(|word| !["--rm", "-d"].contains(word));
            format!("sandbox create {}", flags.collect::<Vec<_>>().join(" "))
        }
        Some(("exec", rest)) => {
            let (name, command) = rest.split_once(' ').expect("a command");
            format!("exec {name} -- {command}")
        }
        _ => docker.to_owned(),
    }
}

/// The image that was run.
const IMAGE: &str = "bb";
/// How `docker run` ends where the engine refused.
const NOT_RUN: i32 = 125;

/// A `run` without what is about the process: its exit status, the id that is printed although the
/// container could not be started, the client's hints and log, and the full stop.
pub fn without_process(command: &Command) -> Command {
    let mut command = command.clone();
    if !command.words.starts_with("run ") || command.exit != NOT_RUN {
        return command;
    }
    command.exit = 1;
    let is_said = |line: &&str| {
        let about = [
            "See 'docker run --help'",
            "Run 'docker run --help'",
            "time=\"",
        ];
        !line.is_empty()
            && plain(line) != "ID"
            && !about.iter().any(|begin| line.starts_with(begin))
    };
    let said = command.text.lines().filter(is_said).map(|line| {
        let line = line.strip_prefix("docker: ").unwrap_or(line);
        line.strip_suffix('.').unwrap_or(line).to_owned()
    });
    command.text = said.collect::<Vec<_>>().join("\n");
    command
}

/// A Docker client's or daemon's words with `sandbox` for `container`, as netd is to say them.
pub fn of_docker(text: &str) -> String {
    // The mode has that name, also in netd.
    let text = text.replace("container", "sandbox");
    let text = text.replace("sandbox type network", "container type network");
    // What the client of 28 adds to an error.
    let lines = text.lines().filter(|line| *line != "exit status 1");
    let lines = lines.map(|line| {
        let daemons = line.strip_prefix("Error response from daemon: ");
        daemons.unwrap_or(line).to_owned()
    });
    alike(lines)
}

/// netd's words without who speaks and without its advice.
pub fn of_netd(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with("try: "));
    alike(lines.map(|line| line.strip_prefix("netd: ").unwrap_or(line).to_owned()))
}

/// Lines without ids and times, each with its end trimmed.
fn alike(lines: impl Iterator<Item = String>) -> String {
    let text = lines
        .map(|line| line.trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n");
    plain(text.trim_end())
}

/// A text with `ID`, `SHORT` and `TIME` for what is made anew each time.
pub fn plain(text: &str) -> String {
    let rules = [
        (r"\b[0-9a-f]{64}\b", "ID"),
        (r"\b[0-9a-f]{12}\b", "SHORT"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", "TIME"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \+0000 UTC", "TIME"),
        // The far end of a veth pair.
        (r"@if\d+ +", "@if "),
    ];
    rules
        .iter()
        .fold(text.to_owned(), |text, (expression, word)| {
            let expression = Regex::new(expression).expect("an expression");
            expression.replace_all(&text, *word).into_owned()
        })
}

#[test]
fn words_are_made_alike() {
    let id = "ab".repeat(32);
    let docker = format!("Error response from daemon: container {id} is not connected \n\n");
    let netd = format!("netd: sandbox {id} is not connected\ntry: netd sandbox ls\n");
    assert_eq!(of_docker(&docker), "sandbox ID is not connected");
    assert_eq!(of_docker(&docker), of_netd(&netd));
    let run = Command {
        words: "run --rm --network nosuch -p 80:80 bb true".to_owned(),
        text: "docker: Error response from daemon: network nosuch not found.\nSee 'docker run --help'.\n"
            .to_owned(),
        exit: 125,
    };
    assert_eq!(
        typed(&run.words),
        "sandbox create --network nosuch -p 80:80"
    );
    assert_eq!(typed("exec k1 ip route"), "exec k1 -- ip route");
    let refused = without_process(&run);
    assert_eq!(
        (refused.exit, of_docker(&refused.text).as_str()),
        (1, "network nosuch not found")
    );
    assert_eq!(
        plain("SHORT abcdefabcdef 2026-11-21T19:39:41.361054725Z"),
        "SHORT SHORT TIME"
    );
}
