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
