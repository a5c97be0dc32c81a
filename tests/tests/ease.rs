//! What makes the command line easy: events, completion, near misses. Needs root.

use std::time::Duration;

use netd_tests::lab::Lab;

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn events_are_told_as_they_happen_and_behind_a_revision() {
    let lab = Lab::new("events");
    let mut agent = lab.agent("");
    let since = lab.netd_json("status -f json")["revision"].to_string();
    lab.netd("network create app");
    let mut follow = lab
        .host()
        .spawn(&format!("netd events --since {since} -f json"));
    let follow = follow.as_mut().expect("netd");
    let mut of_web = lab.host().spawn("netd events --filter sandbox=web");
    let of_web = of_web.as_mut().expect("netd");
    follow
        .wait_for("\"name\":\"app\"", LIMIT)
        .expect("what was before");
    lab.netd("sandbox create --name web --network app");
    // No name that the digits of an id could spell.
    lab.netd("sandbox create --name store");
    lab.netd("sandbox rm web");
    follow
        .wait_for("\"destroy\"", LIMIT)
        .expect("what happened");
    of_web
        .wait_for("sandbox destroy", LIMIT)
        .expect("what happened");
    let told: Vec<String> = follow
        .stdout()
        .lines()
        .map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).expect("a JSON line");
            let word = |key: &str| event[key].as_str().expect("a word").to_owned();
            let name = event["Actor"]["Attributes"]["name"]
                .as_str()
                .expect("a name");
            format!("{} {} {name}", word("Type"), word("Action"))
        })
        .collect();
    assert_eq!(
        told,
        [
            "network create app",
            "sandbox create web",
            "network connect app",
            "sandbox create store",
            "network connect bridge",
            "network disconnect app",
            "sandbox destroy web",
        ]
    );
    assert!(!of_web.stdout().contains("store"), "{}", of_web.stdout());
    // Who listens does not keep the agent.
    let ended = agent.stop();
    assert!(ended.succeeded(), "{}", ended.describe());
    lab.wait_until("the streams end", LIMIT, || !follow_runs(&lab));
    // What an agent before this one told is not kept.
    let _successor = lab.agent("");
    let refused = lab.netd_refuses("events --since 0");
    assert!(
        refused.stderr.contains("are not kept"),
        "{}",
        refused.stderr
    );
}

fn follow_runs(lab: &Lab) -> bool {
    lab.host()
        .run("pgrep -x -f 'netd events.*'")
        .is_ok_and(|found| found.succeeded())
}

#[test]
fn a_shell_completes_the_names_of_objects() {
    let lab = Lab::new("completion");
    let _agent = lab.agent("");
    lab.netd("network create backend");
    lab.netd("sandbox create --name web-1");
    let ask = |words: &str| {
        let count = words.split(' ').count();
        let last = words.rsplit(' ').next().unwrap_or_default();
        lab.host().ok(&format!(
            "bash -c 'source <(netd completion bash); COMP_WORDS=({words}); COMP_CWORD={}; \
             _clap_complete_netd netd \"{last}\" x; echo ${{COMPREPLY[@]}}'",
            count - 1
        ))
    };
    assert_eq!(ask("netd sandbox rm we"), "web-1");
    assert_eq!(ask("netd network connect back"), "backend");
    assert_eq!(ask("netd net"), "network");
}

#[test]
fn a_mistyped_name_is_answered_with_the_one_that_was_meant() {
    let lab = Lab::new("near-miss");
    let _agent = lab.agent("");
    lab.netd("network create backend");
    lab.netd("sandbox create --name web-1");
    for (line, near) in [
        ("network inspect bakcend", "backend"),
        ("network rm backends", "backend"),
        ("sandbox rm web1", "web-1"),
        ("port web-11", "web-1"),
        ("sandbox create --network bakend", "backend"),
        ("sandbox create --link web_1", "web-1"),
    ] {
        let refused = lab.netd_refuses(line);
        let hint = format!("\ntry: did you mean {near}?\n");
        assert!(
            refused.stderr.ends_with(&hint),
            "{line}: {}",
            refused.stderr
        );
    }
}

/// A command on a terminal that is `columns` wide: what it shows.
fn on_a_terminal(lab: &Lab, columns: u16, command: &str) -> String {
    let line = format!("script -qec 'stty rows 40 cols {columns}; {command}' /dev/null");
    lab.host().ok(&line)
}

#[test]
fn tables_are_as_wide_as_the_terminal() {
    let lab = Lab::new("terminal");
    let _agent = lab.agent("");
    lab.netd("sandbox create --name web -p 8080:80 -p 9000:90 -p 7000-7009:7000-7009/udp");
    let plain = lab.netd("sandbox ls");
    let widest = |text: &str| text.lines().map(|line| line.trim_end().len()).max();
    assert!(widest(&plain) > Some(100), "{plain}");
    let wide = on_a_terminal(&lab, 300, "netd sandbox ls").replace('\r', "");
    assert_eq!(wide.trim_end(), plain);
    let narrow = on_a_terminal(&lab, 80, "netd sandbox ls");
    assert!(widest(&narrow) <= Some(80), "{narrow}");
    let id = lab.netd("sandbox ls -q");
    assert!(
        narrow.contains(&id) && narrow.lines().count() > plain.lines().count(),
        "{narrow}"
    );
    // Heading and row are columns: what is below another begins where it does.
    let at = |line: &str, text: &str| line.find(text);
    let [heading, row] = [0, 1].map(|line| plain.lines().nth(line).expect("a line"));
    assert_eq!(at(heading, "NAME"), at(row, "web"));
    assert_eq!(at(heading, "PORTS"), at(row, "0.0.0.0:8080"));
}

#[test]
fn waiting_is_told_on_a_terminal_alone() {
    let lab = Lab::new("waiting");
    let agent = lab.agent("");
    agent.freeze();
    let line = "script -qec 'netd network ls -q' /dev/null";
    let mut told = lab.host().spawn(line).expect("script");
    let silent = lab.host().spawn("netd network ls -q").expect("netd");
    told.wait_for("waiting for the agent: 2 s", LIMIT)
        .expect("a line");
    agent.thaw();
    told.wait_for("\x1b[K", LIMIT).expect("the line to go");
    let silent = silent.wait(LIMIT).expect("an end");
    assert_eq!(
        (silent.stderr.as_str(), silent.stdout.lines().count()),
        ("", 3)
    );
}
