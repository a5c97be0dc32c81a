//! Other programs' ways of asking: musl's C library, which sends without connecting, and
//! systemd-resolved as a stub inside a sandbox. (glibc and dig are everywhere else.)

use std::time::{Duration, Instant};

use netd_tests::lab::addresses::PUBLIC;

use crate::{
    Dug, address, app, dig, inside,
    upstream::{BIG, Upstream, WWW},
};

/// A busy machine may start a program late.
const LIMIT: Duration = Duration::from_secs(60);

/// Prints each name with its addresses, or with what musl says.
const ASK: &str = r#"
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
int main(int count, char **names) {
    for (int i = 1; i < count; i++) {
        struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = 0;
        int error = getaddrinfo(names[i], 0, &hints, &list);
        printf("%s", names[i]);
        if (error) printf(" %s", gai_strerror(error));
        for (; list; list = list->ai_next) {
            char text[64] = "?";
            if (list->ai_family == AF_INET)
                inet_ntop(AF_INET, &((struct sockaddr_in *) list->ai_addr)->sin_addr, text, 64);
            printf(" %s", text);
        }
        printf("\n");
        fflush(stdout);
    }
}
"#;

#[test]
fn musl_resolves_also_while_the_agent_is_frozen() {
    let (lab, agent) = app("musl");
    let _upstream = Upstream::start(lab.outside(), PUBLIC);
    let db = address(&lab, "db", "app", "IPAddress");
    lab.world().write("/run/lab/ask.c", ASK).expect("a file");
    lab.host()
        .ok("musl-gcc -static -o /run/lab/ask /run/lab/ask.c");
    let www = std::net::Ipv4Addr::from(WWW).to_string();
    let seen = inside(
        &lab,
        "web",
        "/run/lab/ask db DB db.app www.example.test nosuch",
    );
    let expected = [
        format!("db {db}"),
        format!("DB {db}"),
        format!("db.app {db}"),
        format!("www.example.test {www}"),
        "nosuch Name does not resolve".to_owned(),
    ];
    assert_eq!(seen.lines().collect::<Vec<_>>(), expected);
    let mut shell = lab
        .host()
        .spawn("netd exec web -- sh -c 'echo ready; while [ ! -e /run/lab/go ]; do sleep 0.02; done; /run/lab/ask db db.app'")
        .expect("a shell");
    shell.wait_for("ready", LIMIT).expect("the shell is ready");
    agent.freeze();
    lab.world().write("/run/lab/go", "").expect("a file");
    let seen = shell.wait(LIMIT).expect("it ends");
    agent.thaw();
    let expected = format!("db {db}\ndb.app {db}\n");
    assert!(seen.stdout.ends_with(&expected), "{}", seen.describe());
}

/// Where `cargo xtask setup` unpacks it, unless the machine has it.
fn resolved() -> (String, String) {
    const PROGRAM: &str = "lib/systemd/systemd-resolved";
    let target = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../target/debian/systemd-resolved"
    );
    let unpacked = format!("{target}/{PROGRAM}");
    if std::path::Path::new(&unpacked).exists() {
        let library = std::fs::read_dir(format!("{target}/usr/lib"))
            .expect("libraries")
            .flatten()
            .map(|entry| entry.path().join("systemd"))
            .find(|path| path.exists());
        let library = library.expect("libsystemd-shared");
        return (unpacked, library.display().to_string());
    }
    let installed = format!("/{PROGRAM}");
    assert!(
        std::path::Path::new(&installed).exists(),
        "no systemd-resolved: cargo xtask setup"
    );
    (installed, String::new())
}

#[test]
fn systemd_resolved_is_a_client() {
    let (lab, _agent) = app("resolved");
    let upstream = Upstream::start(lab.outside(), PUBLIC);
    let db = address(&lab, "db", "app", "IPAddress");
    let (program, library) = resolved();
    lab.host().ok("mkdir -p /run/systemd/resolve");
    lab.host().ok("chown 65534 /run/systemd/resolve");
    // Not as root: then it wants a user of its own.
    let may = "+net_bind_service,+net_raw,+setpcap";
    let mut server = lab
        .host()
        .spawn(&format!(
            "netd exec web -- env LD_LIBRARY_PATH={library} SYSTEMD_LOG_TARGET=console \
             setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps={may} --ambient-caps={may} {program}"
        ))
        .expect("systemd-resolved");
    let by_stub = |question: &str| dig(&lab, "web", &format!("@127.0.0.53 {question}"));
    let start = Instant::now();
    let ready = "netd exec web -- dig +time=2 +tries=1 @127.0.0.53 db.app";
    loop {
        let seen = lab.host().run(ready).expect("dig");
        let dug = Dug::parse(&seen.stdout);
        if dug.is_some_and(|dug| dug.answers.concat() == db) {
            break;
        }
        assert!(server.is_running(), "{}", server.stderr());
        assert!(start.elapsed() < LIMIT, "{}", server.stderr());
    }
    let www = std::net::Ipv4Addr::from(WWW).to_string();
    for (question, answers) in [
        ("+tcp db.app", vec![db.as_str()]),
        ("DB.app", vec![&db]),
        ("db.app AAAA", vec![]),
        ("db.app TXT", vec![]),
        ("www.example.test", vec![&www]),
    ] {
        let dug = by_stub(question);
        assert_eq!(
            (dug.status.as_str(), dug.answers),
            ("NOERROR", answers.into_iter().map(str::to_owned).collect()),
            "{question}"
        );
    }
    assert_eq!(by_stub("nosuch.example.test").status, "NXDOMAIN");
    // It asks again over TCP where an answer was cut off, and so does dig.
    let big = by_stub("big.example.test");
    assert_eq!(big.answers.len(), usize::from(BIG));
    let asked = upstream.asked();
    assert!(
        asked.iter().all(|asked| !asked.name.contains("db.app")),
        "{asked:?}"
    );
}
