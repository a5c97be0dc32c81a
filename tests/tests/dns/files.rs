//! What sandboxes see in resolv.conf, hosts and hostname, line by line against what containers of
//! Docker were recorded to see; where netd writes something else, the record says why.

use netd_tests::lab::{Agent, Lab};

use crate::write_resolv_conf;

const RECORD: &str = include_str!("../../fixtures/docker-inside.txt");
/// As the recorded host had it.
const RESOLV_CONF: &str = "search lab.example.test\nnameserver 198.18.0.2\noptions ndots:1\n";
/// Containers that were recorded.
const RECORDED: usize = 27;

/// A recorded container.
struct Entry<'a> {
    create: &'a str,
    differs: Vec<Vec<&'a str>>,
    /// By file, with their lines.
    files: Vec<(&'a str, Vec<&'a str>)>,
}

impl Entry<'_> {
    /// Makes the sandbox and compares each of its files.
    fn check(&self, record: &str, lab: &Lab) {
        lab.netd(self.create);
        let mut words = self.create.split(' ').skip_while(|word| *word != "--name");
        let name = words.nth(1).expect("a name");
        let shape = lab.netd_json(&format!("sandbox inspect {name}"));
        assert_eq!(self.files.len(), 3, "{record}");
        let mut unused = self.differs.clone();
        for (file, lines) in &self.files {
            let field = match *file {
                "resolv.conf" => "ResolvConfPath",
                "hosts" => "HostsPath",
                "hostname" => "HostnamePath",
                other => panic!("{record}: {other}"),
            };
            let path = shape[0][field].as_str().expect("a path");
            let seen = lab.world().read(path).expect("the file");
            let mut expected: Vec<String> = match lines[..] {
                ["HOST"] => host_file(lab, file),
                _ => lines.iter().map(|line| (*line).to_owned()).collect(),
            };
            for difference in &self.differs {
                let [of, line, other, why] = difference[..] else {
                    panic!("{record}: four columns: {difference:?}");
                };
                assert!(!why.is_empty(), "{record}: a difference has a reason");
                let at = expected.iter().position(|expected| expected == line);
                if let (true, Some(at)) = (of == *file, at) {
                    let other = (!other.is_empty()).then(|| other.to_owned());
                    expected.splice(at..=at, other);
                    unused.retain(|unused| unused != difference);
                }
            }
            assert_eq!(
                seen.lines().collect::<Vec<_>>(),
                expected,
                "{record} {file}"
            );
        }
        assert_eq!(unused, Vec::<Vec<&str>>::new(), "{record}: does not differ");
    }
}

/// What the host itself has, line by line.
fn host_file(lab: &Lab, file: &str) -> Vec<String> {
    let text = match file {
        "hosts" => lab.world().read("/etc/hosts").expect("the host's file"),
        // Not of the file, which may say something else.
        _ => lab.host().ok("uname -n"),
    };
    text.lines().map(str::to_owned).collect()
}

#[test]
fn files_are_dockers_or_differ_for_a_reason() {
    let mut lines = RECORD
        .lines()
        .filter(|line| !line.starts_with('#'))
        .peekable();
    let mut running: Option<(Lab, Agent)> = None;
    let mut records = Vec::new();
    while let Some(line) = lines.next() {
        if line == "lab" {
            // The former one first: two agents would be one too many.
            drop(running.take());
            let lab = Lab::new("files");
            write_resolv_conf(&lab, RESOLV_CONF);
            let agent = lab.agent("--bip 172.17.0.1/16");
            running = Some((lab, agent));
        } else if let Some(words) = line.strip_prefix("run ") {
            let (lab, _) = running.as_ref().expect("a lab");
            lab.netd(words);
        } else if let Some(left) = line.strip_prefix("left ") {
            let (record, why) = left.split_once(" | ").expect("a reason");
            assert!(!why.is_empty());
            records.push(record);
        } else if let Some(made) = line.strip_prefix("== ") {
            let (record, create) = made.split_once(": ").expect("a record and words");
            let mut entry = Entry {
                create,
                differs: Vec::new(),
                files: Vec::new(),
            };
            while let Some(line) = lines.next_if(|line| belongs(line)) {
                if let Some(difference) = line.strip_prefix("differs ") {
                    let columns = difference.split('|').map(|column| column.trim_matches(' '));
                    entry.differs.push(columns.collect());
                } else if let Some(file) = line.strip_prefix("-- ") {
                    entry.files.push((file, Vec::new()));
                } else {
                    let (_, of_file) = entry.files.last_mut().expect("a file");
                    of_file.push(line);
                }
            }
            let (lab, _) = running.as_ref().expect("a lab");
            entry.check(record, lab);
            records.push(record);
        } else {
            panic!("what is this? {line}");
        }
    }
    records.sort_unstable();
    records.dedup();
    assert_eq!(records.len(), RECORDED);
}

/// Whether a line of the record goes on with a container.
fn belongs(line: &str) -> bool {
    line != "lab"
        && !["run ", "left ", "== "]
            .iter()
            .any(|begin| line.starts_with(begin))
}
