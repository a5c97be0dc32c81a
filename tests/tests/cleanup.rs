//! `netd down` and the end of objects: the host is as it was before netd came.

use std::time::Duration;

use netd_tests::lab::{App, EchoServer, Lab, Traces, addresses::*, reaches};

#[track_caller]
fn are_gone(lab: &Lab, bpf_links: &[(String, u64)]) {
    for (pin, number) in bpf_links {
        let shown = lab.host().run(&format!("bpftool link show id {number}"));
        assert!(
            !shown.expect("bpftool").succeeded(),
            "BPF link {pin} is left"
        );
    }
}

#[test]
fn down_undoes_everything() {
    let lab = Lab::new("down");
    let before = Traces::of(&lab);
    let mut app = App::in_lab(lab, "", "-p 8080:80 -p 40000:80/udp");
    let numbers = app.lab.bpf_links();
    assert!(numbers.len() > 4, "{numbers:?}");
    let refused = app.lab.netd_refuses("down");
    assert!(refused.stderr.starts_with("netd: "), "{}", refused.stderr);
    assert!(refused.stderr.contains("-f"), "{}", refused.stderr);
    let said = app.lab.netd("down -f");
    assert!(!said.is_empty(), "down says what it undid");
    let ended = app.agent.wait().expect("the agent ends");
    assert!(ended.succeeded(), "{}", ended.describe());
    Traces::of(&app.lab).are_those_of(&before);
    are_gone(&app.lab, &numbers);
}

#[test]
fn down_without_an_agent_undoes_everything() {
    let lab = Lab::new("down-dead");
    let before = Traces::of(&lab);
    let mut app = App::in_lab(lab, "", "-p 8080:80");
    let numbers = app.lab.bpf_links();
    app.agent.kill();
    app.lab.netd("down -f");
    Traces::of(&app.lab).are_those_of(&before);
    are_gone(&app.lab, &numbers);
    // Once more is no error.
    app.lab.netd("down -f");
}

#[test]
fn after_down_it_starts_again_with_its_state() {
    let mut app = App::start("down-up");
    let (web, web6) = (
        app.lab.address("web", "app"),
        app.lab.address6("web", "app"),
    );
    app.lab.netd("network create kept");
    app.lab.netd("down -f");
    app.agent.wait().expect("the agent ends");
    app.agent.start_again().expect("the agent");
    app.lab.netd("network inspect kept");
    assert_eq!(app.lab.address("web", "app"), web);
    let (web_again, client) = (app.lab.sandbox("web"), app.lab.sandbox("client"));
    let _server = EchoServer::start(&web_again, 7000);
    reaches(&client, web, 7000);
    reaches(&client, web6, 7000);
    app.lab.netd("down -f --purge");
    app.agent.wait().expect("the agent ends");
    app.agent.start_again().expect("the agent");
    app.lab.netd_refuses("network inspect kept");
}

#[test]
fn what_is_removed_leaves_nothing() {
    let lab = Lab::new("removed");
    let _agent = lab.agent("");
    let before = Traces::of(&lab);
    for _ in 0..2 {
        lab.netd("network create --ipv6 app");
        lab.netd("sandbox create --name web --network app -p 8080:80");
        lab.netd_refuses("network rm app");
        lab.netd("sandbox rm -f web");
        lab.netd("network rm app");
    }
    Traces::of(&lab).are_those_of(&before);
}

#[test]
fn a_removed_sandbox_has_no_name() {
    let app = App::start("removed-name");
    let dig = || {
        app.client
            .run("dig @127.0.0.11 +short +tries=1 +time=2 web A")
    };
    let address = app.lab.address("web", "app").to_string();
    assert_eq!(dig().expect("dig").stdout.trim(), address);
    app.lab.netd("sandbox rm -f web");
    assert!(!dig().expect("dig").stdout.contains(&address));
}

/// A client that sends from one port for ever is what Docker's stale entries used to strand.
#[test]
fn a_sandboxs_successor_takes_over_at_once() {
    let publish = "-p 8080:7000/udp";
    let app = App::with("successor", "", publish);
    let lab = &app.lab;
    let socket = lab
        .outside()
        .udp_bind("0.0.0.0:5000".parse().expect("an address"))
        .expect("a socket");
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("a limit");
    let ask = |text: &str| {
        socket
            .send_to(text.as_bytes(), (HOST, 8080))
            .expect("to send");
        let mut answer = [0; 100];
        let (length, _) = socket.recv_from(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert_eq!(answer, format!("{OUTSIDE}:5000|{text}"));
    };
    let server = EchoServer::start(&app.web, 7000);
    ask("first");
    drop(server);
    lab.netd("sandbox rm -f web");
    // Another address on the network, then the same one again.
    for name in ["second", "third"] {
        lab.netd("sandbox create --name between --network app");
        lab.netd(&format!(
            "sandbox create --name {name} --network app {publish}"
        ));
        let _server = EchoServer::start(&lab.sandbox(name), 7000);
        ask(name);
        lab.netd(&format!("sandbox rm -f {name}"));
        lab.netd("sandbox rm -f between");
    }
}
