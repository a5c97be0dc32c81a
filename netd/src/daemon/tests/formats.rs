//! Every verb that prints objects prints them as JSON, too. The verbs are those of the command line
//! itself: a new one has to have `--format`, or say here why it has nothing to print by it.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Command, CommandFactory};
use serde_json::Value;

use super::rig::Rig;
use crate::frontends::cli::{Cli, Parsed, parse};

/// What each verb with `--format` is asked for.
const ASKED: [(&str, &str); 12] = [
    ("netd status", ""),
    ("netd version", ""),
    ("netd config show", ""),
    ("netd network ls", ""),
    ("netd network inspect", "app bridge"),
    ("netd sandbox ls", ""),
    ("netd sandbox inspect", "web"),
    ("netd sandbox env", "web"),
    ("netd port", "web"),
    ("netd inspect", "web app"),
    // Nothing has passed here: what their rows are, their own tests look at.
    ("netd flow ls", ""),
    ("netd drops", ""),
];
/// Told as long as somebody listens: `tests/tests/ease.rs` does.
const FOLLOWED: [&str; 1] = ["netd events"];
/// Verbs that show no object: they change something and print its id or name, or what was done; print
/// what is another program's; or become one.
const SILENT: [&str; 16] = [
    "netd run",
    "netd down",
    "netd config check",
    "netd network create",
    "netd network rm",
    "netd network prune",
    "netd network connect",
    "netd network disconnect",
    "netd sandbox create",
    "netd sandbox rm",
    "netd sandbox publish",
    "netd sandbox unpublish",
    "netd exec",
    "netd flow flush",
    "netd completion",
    "netd man",
];

/// Verbs by their words, and whether each has `--format`.
fn verbs(command: &Command, before: &str, found: &mut BTreeMap<String, bool>) {
    let path = format!("{before} {}", command.get_name());
    let path = path.trim_start();
    if command.get_subcommands().next().is_none() {
        let has = command
            .get_arguments()
            .any(|flag| flag.get_long() == Some("format"));
        found.insert(path.to_owned(), has);
    }
    for verb in command.get_subcommands() {
        verbs(verb, path, found);
    }
}

#[test]
fn every_verb_that_prints_objects_has_a_format() {
    let mut found = BTreeMap::new();
    verbs(&Cli::command(), "", &mut found);
    let (with, without): (BTreeSet<&str>, BTreeSet<&str>) =
        found
            .iter()
            .fold(Default::default(), |mut sides, (verb, has)| {
                if *has { &mut sides.0 } else { &mut sides.1 }.insert(verb);
                sides
            });
    let asked = ASKED.iter().map(|(verb, _)| *verb);
    assert_eq!(with, asked.chain(FOLLOWED).collect());
    assert_eq!(without, SILENT.into_iter().collect());
}

#[test]
fn what_is_printed_by_the_format_json_is_json() {
    let rig = Rig::new();
    rig.out("network create app");
    rig.out("sandbox create --name web --network app -p 8080:80 -p 7000-7009:7000-7009/udp --env A=b=c --label tier=web");
    let mut printed = BTreeMap::new();
    for (verb, names) in ASKED {
        let line = format!("{} {names} --format json", &verb["netd ".len()..]);
        let out = match verb {
            // It asks no agent.
            "netd config show" => {
                match parse(format!("netd {line}").split_whitespace().map(Into::into)) {
                    Parsed::Verb(verb) => verb.run().unwrap().out,
                    Parsed::Printed(printed) => panic!("{printed:?}"),
                }
            }
            _ => rig.out(&line),
        };
        let values: Vec<Value> = out
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|e| panic!("{verb}: {e}: {line}"))
            })
            .collect();
        printed.insert(verb, values);
    }
    let first = |verb: &str| &printed[verb][0];
    assert_eq!(first("netd status")["sandboxes"], 1);
    assert_eq!(first("netd version")["Server"]["ApiVersion"], 1);
    assert_eq!(first("netd config show")["run-dir"], "/run/netd");
    assert_eq!(printed["netd network ls"].len(), 4);
    assert_eq!(first("netd network inspect")[1]["Name"], "bridge");
    assert_eq!(first("netd sandbox ls")["Labels"], "tier=web");
    assert_eq!(first("netd sandbox inspect")[0]["Name"], "web");
    assert_eq!(first("netd sandbox env")["A"], "b=c");
    let range = &printed["netd port"][2];
    assert_eq!(
        (&range["Port"], &range["HostIp"]),
        (&"7000-7009/udp".into(), &"0.0.0.0".into())
    );
    let both = first("netd inspect");
    assert_eq!(
        (&both[0]["Name"], &both[1]["Name"]),
        (&"web".into(), &"app".into())
    );
}

#[test]
fn a_template_is_for_every_verb_that_has_a_format() {
    let rig = Rig::new();
    rig.out("network create app");
    rig.out("sandbox create --name web --network app -p 8080:80");
    for (line, expected) in [
        ("version -f {{.Server.MinAPIVersion}}", "1\n"),
        ("status -f {{json~.sandboxes}}", "1\n"),
        ("port web -f {{.HostPort}}", "8080\n8080\n"),
        ("port web 80 -f {{.Port}}", "80/tcp\n80/tcp\n"),
        ("sandbox env web -f {{json~.}}", "{}\n"),
        ("sandbox ls -f {{.Networks}}", "app\n"),
        ("inspect -f {{.Name}} web bridge", "web\nbridge\n"),
    ] {
        assert_eq!(rig.out(line), expected, "{line}");
    }
    let refused = rig.run("version -f table");
    assert_eq!(refused.exit, 2);
    assert_eq!(
        refused.messages,
        "netd: table is a format of lists alone\ntry: --format json\n"
    );
}

#[test]
fn objects_are_found_by_what_they_are() {
    let rig = Rig::new();
    rig.out("network create app");
    rig.out("network create web");
    rig.out("sandbox create --name web --network app");
    let field = |line: &str| rig.out(line).trim().to_owned();
    // A sandbox goes before a network of its name, unless it is asked for.
    let driver = "inspect -f {{json~.Driver}} --type network web";
    assert_eq!(field("inspect -f {{.State}} web"), "running");
    assert_eq!(
        field("inspect -f {{.State}} --type container web"),
        "running"
    );
    assert_eq!(field(driver), "\"bridge\"");
    let endpoint = field("inspect -f {{.Networks.app.EndpointID}} web");
    for words in [
        endpoint.clone(),
        format!("--type endpoint {}", &endpoint[..40]),
    ] {
        let told = field(&format!("inspect -f json {words}"));
        let told: Value = serde_json::from_str(&told).unwrap();
        let told = &told[0];
        assert_eq!(
            (&told["Id"], &told["EndpointID"]),
            (&endpoint.as_str().into(), &told["Id"])
        );
        assert_eq!(
            (&told["Sandbox"], &told["Network"]),
            (&"web".into(), &"app".into())
        );
        assert_eq!(
            (&told["Interface"], &told["IsGateway"]),
            (&"eth0".into(), &true.into())
        );
        assert_eq!(told["IPAddress"], "172.18.0.2");
        assert_eq!(told["SandboxID"].as_str().map(str::len), Some(64));
    }
    for last in [1, 2] {
        rig.out(&format!(
            "sandbox create --name s{last} --id ab{last:062x} --network none"
        ));
    }
    let ambiguous = rig.run("inspect ab0000");
    assert_eq!((ambiguous.out.as_str(), ambiguous.exit), ("[]\n", 1));
    assert_eq!(
        ambiguous.messages,
        "netd: multiple IDs found with provided prefix: ab0000\n\
         try: more digits of the id, or the name\n"
    );
    for (line, text) in [
        ("inspect ap", "No such object: ap\ntry: did you mean app?"),
        (
            "inspect nosuch",
            "No such object: nosuch\ntry: netd sandbox ls; netd network ls",
        ),
        (
            "inspect --type network nosuch",
            "network nosuch not found\ntry: netd network ls",
        ),
        (
            "inspect --type endpoint web",
            "endpoint web not found\ntry: netd network inspect shows the ids of endpoints",
        ),
    ] {
        let printed = rig.run(line);
        assert_eq!((printed.out.as_str(), printed.exit), ("[]\n", 1), "{line}");
        assert_eq!(printed.messages, format!("netd: {text}\n"), "{line}");
    }
    // What is found is printed all the same.
    let printed = rig.run("inspect -f {{.Name}} nosuch app");
    assert_eq!((printed.out.as_str(), printed.exit), ("app\n", 1));
}

/// Whether all that is told here is told there, too.
fn is_part(brief: &Value, whole: &Value) -> bool {
    match brief {
        Value::Object(fields) => fields
            .iter()
            .all(|(key, value)| is_part(value, &whole[key])),
        other => other == whole,
    }
}

#[test]
fn lists_tell_what_the_whole_tells() {
    let rig = Rig::new();
    rig.out("network create --ipv6 --subnet fd00:9::/64 app");
    rig.out("sandbox create --name web --network app --expose 81 -p 8080:80 --label tier=web");
    rig.out("sandbox create --name hh --network host");
    rig.out("sandbox create --name shared --network container:web");
    rig.out("sandbox create --name alone --network none");
    let list = |path: &str| -> Value {
        let (_, body) = rig.raw(&format!("GET /v1/{path}"), b"");
        let mut list: Value = serde_json::from_str(&body).unwrap();
        list["sandboxes"].take()
    };
    let (brief, whole) = (list("lists/sandboxes"), list("sandboxes"));
    let names = |list: &Value| -> Vec<String> {
        let names = list.as_array().unwrap().iter();
        names
            .map(|one| one["Name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&brief), ["alone", "hh", "shared", "web"]);
    assert_eq!(names(&whole), names(&brief));
    for (brief, whole) in brief
        .as_array()
        .unwrap()
        .iter()
        .zip(whole.as_array().unwrap())
    {
        assert!(is_part(brief, whole), "{brief} {whole}");
    }
    let web = &brief[3];
    assert_eq!(web["Networks"]["app"]["GlobalIPv6Address"], "fd00:9::2");
    assert_eq!(web["Ports"]["81/tcp"], Value::Null);
    assert!(!is_part(web, &whole[0]));
}
