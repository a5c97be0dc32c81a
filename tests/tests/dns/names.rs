//! Names of sandboxes, answered in the datapath: also while the agent does nothing at all.

use std::collections::BTreeSet;

use netd_tests::lab::Lab;

use crate::{Dug, address, app, dig, inside};

/// Docker's flags: no `aa`.
const FLAGS: &str = "qr rd ra";

#[track_caller]
fn gives(dug: &Dug, expected: &[&str]) {
    assert_eq!(
        (dug.status.as_str(), dug.flags.as_str()),
        ("NOERROR", FLAGS),
        "{dug:?}"
    );
    assert_eq!(dug.answers, expected, "{dug:?}");
    let ttl = netd_common::limits::DNS_TTL;
    assert!(dug.ttls.iter().all(|own| *own == ttl), "{dug:?}");
}

#[test]
fn names_resolve_while_the_agent_is_frozen() {
    let (lab, agent) = app("frozen");
    lab.netd("network disconnect app db");
    lab.netd("network connect --alias store --alias STORE2 app db");
    let db = address(&lab, "db", "app", "IPAddress");
    let id = lab.netd_json("sandbox inspect db")[0]["Id"]
        .as_str()
        .expect("an id")[..12]
        .to_owned();
    // Entered before: `netd exec` asks the agent.
    let web = lab.sandbox("web");
    agent.freeze();
    let ask = |question: &str| {
        let text = web.ok(&format!("dig +time=2 +tries=1 @127.0.0.11 {question}"));
        Dug::parse(&text).expect("dig's output")
    };
    for name in [
        "db",
        "DB",
        "db.app",
        "Db.App.",
        "store",
        "store.app",
        "store2",
        id.as_str(),
    ] {
        for options in ["", "+noedns"] {
            let dug = ask(&format!("{options} {name} A"));
            gives(&dug, &[&db]);
            // Letter by letter (resolvers draw the case by lot to tell a forged answer).
            assert_eq!(dug.names, [format!("{}.", name.trim_end_matches('.'))]);
        }
    }
    gives(&ask(&format!("-x {db}")), &["db.app."]);
    for other in ["AAAA", "MX", "TXT", "ANY", "SRV", "SOA", "HTTPS"] {
        gives(&ask(&format!("+notcp db {other}")), &[]);
    }
    agent.thaw();
}

#[test]
fn the_c_library_resolves_while_the_agent_is_frozen() {
    let (lab, agent) = app("libc");
    let db = address(&lab, "db", "app", "IPAddress");
    // One shell, entered before, that asks when told to.
    let mut shell = lab
        .host()
        .spawn("netd exec web -- sh -c 'echo ready; while [ ! -e /run/lab/go ]; do sleep 0.02; done; getent ahosts db; getent ahosts db.app; echo end'")
        .expect("a shell");
    let limit = std::time::Duration::from_secs(10);
    shell.wait_for("ready", limit).expect("the shell is ready");
    agent.freeze();
    lab.world().write("/run/lab/go", "").expect("a file");
    let seen = shell.wait(limit).expect("it ends");
    agent.thaw();
    assert!(
        seen.succeeded() && seen.stdout.contains("end"),
        "{}",
        seen.describe()
    );
    for name in ["db", "db.app"] {
        let line = seen
            .stdout
            .lines()
            .find(|line| line.ends_with(&format!(" {name}")));
        let line = line.unwrap_or_else(|| panic!("{}", seen.describe()));
        assert!(line.starts_with(&format!("{db} ")), "{line}");
    }
}

#[test]
fn names_follow_what_happens() {
    let (lab, _agent) = app("changes");
    let short = |name: &str| inside(&lab, "web", &format!("dig +short {name}"));
    assert_eq!(short("late"), "");
    lab.netd("sandbox create --name late --network name=app,alias=other");
    let late = address(&lab, "late", "app", "IPAddress");
    assert_eq!(
        (short("late"), short("other")),
        (late.clone(), late.clone())
    );
    lab.netd("sandbox create --name more --network name=app,alias=other");
    let more = address(&lab, "more", "app", "IPAddress");
    let mut both = vec![late, more.clone()];
    both.sort();
    assert_eq!(dig(&lab, "web", "other").answers, both);
    lab.netd("sandbox rm -f late");
    assert_eq!(
        (short("late"), short("other")),
        (String::new(), more.clone())
    );
    lab.netd("network disconnect app more");
    assert_eq!(short("other"), "");
    assert_eq!(inside(&lab, "web", &format!("dig +short -x {more}")), "");
}

#[test]
fn names_of_all_own_networks_and_of_no_other() {
    let (lab, _agent) = app("scopes");
    lab.netd("network create --ipv6 back");
    lab.netd("network connect back web");
    lab.netd("sandbox create --name queue --network back");
    let [v4, v6] =
        ["IPAddress", "GlobalIPv6Address"].map(|field| address(&lab, "queue", "back", field));
    gives(&dig(&lab, "web", "queue A"), &[&v4]);
    gives(&dig(&lab, "web", "queue AAAA"), &[&v6]);
    gives(&dig(&lab, "web", &format!("-x {v6}")), &["queue.back."]);
    // `db` is not on `back`, `queue` not on `app`.
    assert_eq!(inside(&lab, "db", "dig +short queue"), "");
    assert_eq!(inside(&lab, "queue", "dig +short db"), "");
    assert_ne!(inside(&lab, "queue", "dig +short web"), "");
}

/// A link is a name in one sandbox, of a target that may come and go; answered in the datapath.
#[test]
fn links_are_names_of_one_sandbox() {
    let (lab, agent) = app("links");
    lab.netd("sandbox create --name linker --network app --link db:Store --link late:soon");
    let short = |name: &str| inside(&lab, "linker", &format!("dig +short {name}"));
    let db = address(&lab, "db", "app", "IPAddress");
    assert_eq!((short("store"), short("soon")), (db.clone(), String::new()));
    assert_eq!(inside(&lab, "web", "dig +short store"), "");
    lab.netd("sandbox create --name late --network app");
    let late = address(&lab, "late", "app", "IPAddress");
    assert_eq!(short("soon"), late);
    gives(&dig(&lab, "linker", "+tcp STORE A"), &[&db]);
    gives(&dig(&lab, "linker", "store TXT"), &[]);
    let shape = lab.netd_json("sandbox inspect linker");
    let links = &shape[0]["Networks"]["app"]["Links"];
    assert_eq!(links.to_string(), r#"["db:Store","late:soon"]"#);
    let linker = lab.sandbox("linker");
    agent.freeze();
    let frozen = linker.ok("dig +time=2 +tries=1 +short @127.0.0.11 store");
    assert_eq!(frozen, db);
    agent.thaw();
    lab.netd("sandbox rm -f late");
    assert_eq!(short("soon"), "");
    // A connection brings its own links.
    lab.netd("network create back");
    lab.netd("sandbox create --name queue --network back");
    lab.netd("network connect --link queue:jobs back linker");
    let queue = address(&lab, "queue", "back", "IPAddress");
    assert_eq!((short("jobs"), short("store")), (queue, db));
    lab.netd("network disconnect back linker");
    assert_eq!(short("jobs"), "");
    let refused = lab
        .host()
        .fails("netd sandbox create --name no --link db")
        .stderr;
    assert!(
        refused.contains("not attached to default bridge network"),
        "{refused}"
    );
}

/// Each of the members is the first of 1,000 answers as often as the others, give or take a fifth:
/// in the datapath (up to 8), and where the agent answers (more, and over TCP). One that is gone is in
/// none.
#[test]
fn members_of_an_alias_come_first_equally_often() {
    let (lab, _agent) = app("fair");
    let questions = "crew A\n".repeat(1_000);
    let written = lab.world().write("/run/lab/questions", &questions);
    written.expect("a file");
    let mut members: Vec<String> = Vec::new();
    for (count, options) in [
        (3, ""),
        (3, "+tcp +keepopen"),
        (8, ""),
        (12, ""),
        (12, "+tcp +keepopen"),
    ] {
        while members.len() < count {
            let name = format!("member{}", members.len());
            lab.netd(&format!(
                "sandbox create --name {name} --network name=app,alias=crew"
            ));
            members.push(address(&lab, &name, "app", "IPAddress"));
        }
        is_fair(&lab, options, &members);
    }
    lab.netd("sandbox rm -f member0");
    is_fair(&lab, "", &members[1..]);
}

/// Asks 1,000 times for `crew`, which is `members`.
#[track_caller]
fn is_fair(lab: &Lab, options: &str, members: &[String]) {
    const TIMES: usize = 1_000;
    let line = format!("dig +noall +answer +time=6 +tries=1 {options} -f /run/lab/questions");
    let text = inside(lab, "web", &line);
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("IN")).collect();
    let count = members.len();
    assert_eq!(lines.len(), count * TIMES, "{options}");
    let address = |line: &&str| {
        line.rsplit_once('\t')
            .map(|(_, address)| address.to_owned())
    };
    let answers: Vec<Vec<String>> = lines
        .chunks(count)
        .map(|answer| answer.iter().filter_map(address).collect())
        .collect();
    let all: BTreeSet<&String> = members.iter().collect();
    for answer in &answers {
        assert_eq!(answer.iter().collect::<BTreeSet<_>>(), all, "{options}");
    }
    let fair = TIMES.div_ceil(count);
    for member in members {
        let times = answers.iter().filter(|answer| answer[0] == *member).count();
        assert!(
            (fair * 4 / 5..=fair * 6 / 5).contains(&times),
            "{member}: {times} of {count} {options}"
        );
    }
}
