//! Sandboxes and networks with the history of recorded ones: `inspect` field by field, and the files
//! that a sandbox sees octet by octet. Of `docker inspect` that is the part about networking: id, name,
//! hostname, labels and `NetworkSettings`; the rest is about processes and images.

use netd_tests::lab::{Lab, addresses};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{compare, differences::Differences};

/// Recordings.
pub const FIXTURES: [&str; 6] = [
    "00-idle",
    "10-default-network",
    "20-user-network",
    "30-internal",
    "50-options",
    "70-modes",
];
/// The recording host's.
const RESOLV_CONF: &str = "nameserver 198.18.0.2\nsearch lab.example.test\noptions ndots:1\n";

/// What was done, and what was there then.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recording {
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
    inspect: Value,
    files: Files,
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
    assert!(FIXTURES.contains(&fixture), "{fixture}");
    let recording: Recording = serde_json::from_str(text).expect("a recording");
    let differences = Differences::of(fixture);
    let lab = Lab::new("inspect");
    let written = lab.world().write("/run/lab/resolv.conf", RESOLV_CONF);
    written.expect("the host's resolv.conf");
    // The recording host's address, where ports are published. The lab's is another.
    lab.host()
        .ok(&format!("ip addr add {}/32 dev lo", addresses::OUTSIDE));
    let _agent = lab.agent("");
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
    docker["Hostname"] = json!(here(docker["Hostname"].as_str().expect("a hostname")));
    let inspected = lab.netd_json(&format!("sandbox inspect {name}"));
    let mut netd = json!({});
    for part in ["Id", "Name", "Hostname", "Labels", "NetworkSettings"] {
        netd[part] = inspected[0][part].clone();
    }
    let mut wrong = compare::fields(&docker, &netd, differences);
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
    ($($test:ident: $fixture:literal,)*) => {
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
    predefined_networks: "00-idle",
    the_default_network: "10-default-network",
    a_user_network: "20-user-network",
    an_internal_network: "30-internal",
    networks_with_options: "50-options",
    sandboxes_of_host_and_none: "70-modes",
}
