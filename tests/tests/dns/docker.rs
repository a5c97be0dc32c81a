//! What Docker's own server was recorded to answer, question by question; where netd answers
//! otherwise, the record says why.

use netd_tests::lab::addresses::PUBLIC;

use crate::{
    address, app, dig,
    upstream::{Upstream, WWW},
};

const RECORD: &str = include_str!("../../fixtures/docker-dns.txt");

#[test]
fn every_recorded_question_is_answered_as_by_docker_or_better() {
    let (lab, _agent) = app("docker");
    let _upstream = Upstream::start(lab.outside(), PUBLIC);
    lab.netd("sandbox rm -f db");
    lab.netd("sandbox rm -f web");
    lab.netd("sandbox create --name db --hostname dbhost --network name=app,alias=svc");
    lab.netd("sandbox create --name web --network name=app,alias=svc");
    lab.netd("sandbox create --name asker --network app --link db:lnk");
    let [db, web] = ["db", "web"].map(|name| address(&lab, name, "app", "IPAddress"));
    let id = lab.netd_json("sandbox inspect db")[0]["Id"].to_string();
    let mut members = [db.clone(), web];
    members.sort();
    let octets = |last: &str| {
        let mut octets: Vec<&str> = db.split('.').collect();
        if !last.is_empty() {
            octets[3] = last;
        }
        octets.reverse();
        format!("{}.in-addr.arpa", octets.join("."))
    };
    // Longer words first: one may be in another.
    let words = [
        ("ADDRESS", db.clone()),
        ("MEMBERS", members.join(" ")),
        ("REVERSE", octets("")),
        ("SHORT", id[1..9].to_owned()),
        ("FREE", octets("250")),
        ("WWW", std::net::Ipv4Addr::from(WWW).to_string()),
        ("ID", id[1..13].to_owned()),
    ];
    let meant = |text: &str| {
        let words_of = text.split_whitespace().map(|word| {
            let known = words.iter().find(|(name, _)| *name == word);
            known.map_or(word.to_owned(), |(_, value)| value.clone())
        });
        words_of.collect::<Vec<_>>().join(" ")
    };
    let mut count = 0;
    for line in RECORD.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [question, docker, netd, why] = columns[..] else {
            panic!("four columns: {line}");
        };
        assert_eq!(
            netd == "same",
            why.is_empty(),
            "a difference has a reason: {line}"
        );
        let expected = meant(if netd == "same" { docker } else { netd });
        let dug = dig(&lab, "asker", &meant(question));
        let seen = format!("{} {}", dug.status, dug.answers.join(" "));
        assert_eq!(seen.trim(), expected, "{line}");
        count += 1;
    }
    assert_eq!(count, 36);
}
