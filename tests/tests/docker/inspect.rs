//! Sandboxes and networks with the history of recorded ones: `inspect` field by field, and the files
//! that a sandbox sees octet by octet. Of `docker inspect` that is the part about networking: id, name,
//! hostname, labels and `NetworkSettings`; the rest is about processes and images.

use netd_tests::lab::{Lab, addresses};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{compare, differences::Differences, recorded_host};

/// What was done, and what was there then.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recording {
    /// Flags of the agent.
    #[serde(default)]
    agent: String,
    /// The words after `netd`. Ids are the recorded ones, so that names and files are the same.
    history: Vec<String>,
    sandboxes: Vec<Recorded>,
    /// As `docker network inspect` printed them.
    networks: Vec<Value>,
}

/// A container.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    /// What `docker inspect` was recorded to say of it.
    inspect: Value,
    files: Files,
    /// The variables of its links.
    #[serde(default)]
    env: Option<Vec<String>>,
}

/// What it saw. `HOSTNAME` and `HOSTS` stand for the host's own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Files {
    hosts: String,
    hostname: String,
    #[serde(rename = "resolv.conf")]
    resolv_conf: String,
}

/// Goes through a history and compares everything that was recorded of it.
fn compare_all(fixture: &str, text: &str) {
    let recording: Recording = serde_json::from_str(text).expect("a recording");
    let differences = Differences::of(fixture);
    let lab = recorded_host("inspect");
    // The recording host's address, where ports are published. The lab's is another.
    lab.host()
        .ok(&format!("ip addr add {}/32 dev lo", addresses::OUTSIDE));
    let _agent = lab.agent(&recording.agent);
    for words in &recording.history {
        lab.netd(words);
    }
    let mut wrong = Vec::new();
    for network in &recording.networks {
        let name = network["Name"].as_str().expect("a name");
        let inspected = lab.netd_json(&format!("network inspect {name}"));
        let found = compare::fields(network, &inspected[0], &differences);
        wrong.extend(found.iter().map(|text| format!("network {name}: {text}")));
    }
    for sandbox in &recording.sandboxes {
        wrong.extend(compare_sandbox(&lab, sandbox, &differences));
    }
    wrong.extend(differences.unused());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn compare_sandbox(lab: &Lab, recorded: &Recorded, differences: &Differences) -> Vec<String> {
    let hostname = lab.host().ok("hostname");
    let hosts = lab.world().read("/etc/hosts").expect("the host's hosts");
    let here = |text: &str| text.replace("HOSTNAME", &hostname).replace("HOSTS", &hosts);
    let mut docker = recorded.inspect.clone();
    // Docker's names begin with a slash, which only `docker inspect` shows.
    let name = docker["Name"].as_str().expect("a name").replace('/', "");
    docker["Name"] = json!(name);
    if let Some(hostname) = docker["Hostname"].as_str().map(here) {
        docker["Hostname"] = json!(hostname);
    }
    let inspected = lab.netd_json(&format!("sandbox inspect {name}"));
    let parts = ["Id", "Name", "Hostname", "Labels", "NetworkSettings"].into_iter();
    // Of one container only the files were recorded.
    let of_docker = parts.filter(|part| !docker[part].is_null());
    let netd: Value = of_docker
        .map(|part| (part.to_owned(), inspected[0][part].clone()))
        .collect();
    let mut wrong = compare::fields(&docker, &netd, differences);
    if let Some(env) = &recorded.env {
        let told = lab.netd(&format!("sandbox env {name}"));
        let told: Vec<&str> = told.lines().collect();
        if *env != told {
            wrong.push(format!("variables: Docker {env:?}, netd {told:?}"));
        }
    }
    let Files {
        hosts,
        hostname,
        resolv_conf,
    } = &recorded.files;
    for (file, path, text) in [
        ("hosts", "HostsPath", hosts),
        ("hostname", "HostnamePath", hostname),
        ("resolv.conf", "ResolvConfPath", resolv_conf),
    ] {
        let path = inspected[0][path].as_str().expect("a path");
        let seen = lab.world().read(path).expect("a file");
        let expected = here(&differences.file(file, text));
        if seen != expected {
            wrong.push(format!("{file}: Docker {expected:?}, netd {seen:?}"));
        }
    }
    let told = wrong.iter().map(|text| format!("sandbox {name}: {text}"));
    told.collect()
}

macro_rules! recordings {
    ($(#[test] fn $test:ident() of $fixture:literal;)*) => {
        /// Recordings.
        pub const FIXTURES: &[&str] = &[$($fixture,)*];

        $(
            #[test]
            fn $test() {
                let text = include_str!(concat!("../../fixtures/docker-20.10/", $fixture, ".json"));
                compare_all($fixture, text);
            }
        )*
    };
}

recordings! {
    #[test]
    fn predefined_networks() of "00-idle";
    #[test]
    fn the_default_network() of "10-default-network";
    #[test]
    fn a_network_without_rules() of "13-no-rules";
    #[test]
    fn a_user_network() of "20-user-network";
    #[test]
    fn an_internal_network() of "30-internal";
    #[test]
    fn a_network_without_icc() of "40-icc";
    #[test]
    fn the_default_network_without_icc() of "41-default-icc";
    #[test]
    fn networks_with_options() of "50-options";
    #[test]
    fn modes() of "70-modes";
    #[test]
    fn a_network_on_a_link_of_the_host() of "80-parent";
}
