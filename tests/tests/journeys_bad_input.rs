//! Malformed and hostile input at every door: a clear answer, and agent and traffic go on.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use netd_tests::lab::{App, EchoServer, Lab, reaches};

const PORT: u16 = 7000;

/// Sends a request with a body to the socket API; the status and what came back.
fn post(lab: &Lab, path: &str, body: &str) -> (u16, String) {
    lab.world().write("/run/body", body).expect("a file");
    let answer = lab.host().ok(&format!(
        "curl -sS --max-time 10 --unix-socket /run/netd/netd.sock -H 'content-type: application/json' \
         --data-binary @/run/body -w '\n%{{http_code}}' http://netd{path}"
    ));
    let (text, status) = answer.rsplit_once('\n').expect("a status");
    (status.parse().expect("a number"), text.to_owned())
}

#[test]
fn the_api_refuses_what_it_does_not_understand() {
    let app = App::start("bad-api");
    let large = format!("{{\"Name\":\"{}\"}}", "x".repeat(4 << 20));
    for (path, body, status) in [
        ("/v1/networks", "", 400),
        ("/v1/networks", "{", 400),
        ("/v1/networks", "[]", 400),
        ("/v1/networks", "{\"Name\":7}", 400),
        ("/v1/networks", "{\"Name\":\"x\",\"Surprise\":1}", 400),
        ("/v1/networks", "{\"Name\":\"../x\"}", 400),
        ("/v1/networks", "\u{0}\u{1}\u{2}", 400),
        ("/v1/networks", &"[".repeat(100_000), 400),
        ("/v1/networks", &large, 413),
        ("/v1/nothing", "{}", 404),
        ("/v2/networks", "{}", 404),
        ("/v1/networks/missing/connect", "{\"sandbox\":\"web\"}", 404),
    ] {
        let (got, text) = post(&app.lab, path, body);
        let shown = &body[..body.len().min(40)];
        assert_eq!(got, status, "POST {path} {shown}: {text}");
        let error: serde_json::Value = serde_json::from_str(&text)
            .unwrap_or_else(|_| panic!("POST {path} {shown} answers `{text}`"));
        assert!(
            error["code"].is_string() && error["message"].is_string(),
            "{error}"
        );
    }
    goes_on(&app);
}

#[test]
fn what_is_no_http_at_all_is_cut_off() {
    let app = App::start("bad-http");
    app.lab
        .world()
        .write("/run/noise", &"\u{7}noise\r\n\r\n".repeat(1000))
        .expect("a file");
    // socat may see its write refused; what counts is what the agent does.
    for _ in 0..20 {
        app.lab
            .host()
            .run("sh -c 'socat -u -t1 OPEN:/run/noise UNIX-CONNECT:/run/netd/netd.sock'")
            .expect("socat");
    }
    // Connections that say nothing do not keep others out.
    let silent: Vec<_> = (0..50)
        .map(|_| {
            app.lab
                .host()
                .spawn("socat -u UNIX-CONNECT:/run/netd/netd.sock STDOUT")
                .expect("socat")
        })
        .collect();
    goes_on(&app);
    drop(silent);
}

#[test]
fn the_command_line_refuses_what_it_does_not_understand() {
    let app = App::start("bad-cli");
    // 2 is a usage error, 1 a refusal.
    for (arguments, code, text) in [
        ("nonsense", 2, "nonsense"),
        ("network create", 2, "NAME"),
        ("network create --nonsense x", 2, "--nonsense"),
        ("network create --subnet 10.0.0.0/99 x", 1, "10.0.0.0/99"),
        (
            "network create --subnet 10.9.0.0/24 --gateway 10.8.0.1 x",
            2,
            "10.8.0.1",
        ),
        ("network create -o no.such.option=1 x", 1, "no.such.option"),
        ("network create -d nonsense x", 1, "nonsense"),
        ("network create app", 1, "app"),
        ("network rm missing", 1, "missing"),
        ("network rm bridge", 1, "bridge"),
        ("sandbox create --network missing", 1, "missing"),
        ("sandbox create --name web", 1, "web"),
        (
            "sandbox create --network app --ip 10.250.0.1",
            1,
            "10.250.0.1",
        ),
        ("sandbox create -p 99999:80", 2, "99999"),
        ("sandbox create -p 80:80:80:80", 2, "80:80"),
        ("sandbox create --netns /run/missing", 1, "/run/missing"),
        ("sandbox create --netns /etc/passwd", 1, "/etc/passwd"),
        ("sandbox inspect missing", 1, "missing"),
        ("network connect missing web", 1, "missing"),
    ] {
        let refused = app.lab.netd_refuses(arguments);
        assert_eq!(refused.status.code(), Some(code), "{}", refused.describe());
        assert!(refused.stderr.contains(text), "{}", refused.describe());
        assert!(
            !refused.stderr.contains("panicked"),
            "{}",
            refused.describe()
        );
    }
    // 125 is netd's own failure, as in Docker.
    let missing = app.lab.netd_refuses("exec missing -- true");
    assert_eq!(missing.status.code(), Some(125), "{}", missing.describe());
    goes_on(&app);
}

#[test]
fn a_bad_configuration_is_refused_with_its_line() {
    let lab = Lab::new("bad-config");
    for (text, part) in [
        ("log-level = \"info\"\nnonsense = 1\n", "nonsense"),
        ("bip = \"10.0.0.1/99\"\n", "10.0.0.1/99"),
        ("log-level = 7\n", "netd.toml:1"),
        ("= \n", "netd.toml:1"),
    ] {
        lab.world().write("/run/netd.toml", text).expect("a file");
        let refused = lab.netd_refuses("run --config /run/netd.toml");
        assert_eq!(refused.status.code(), Some(1), "{}", refused.describe());
        assert!(refused.stderr.contains(part), "{}", refused.describe());
        assert!(
            !refused.stderr.contains("panicked"),
            "{}",
            refused.describe()
        );
    }
    let refused = lab.netd_refuses("run --config /run/missing.toml");
    assert!(
        refused.stderr.contains("/run/missing.toml"),
        "{}",
        refused.describe()
    );
}

#[test]
fn a_broken_store_is_refused_and_kept() {
    let lab = Lab::new("bad-store");
    let mut agent = lab.agent("");
    lab.netd("network create app");
    agent.stop();
    let stores = lab.world().list("/var/lib/netd");
    let store = format!("/var/lib/netd/{}", stores.first().expect("a store"));
    let broken = "this is no store ".repeat(1000);
    lab.world().write(&store, &broken).expect("a file");
    let refused = lab.netd_refuses("run");
    assert!(refused.stderr.contains(&store), "{}", refused.describe());
    assert!(
        !refused.stderr.contains("panicked"),
        "{}",
        refused.describe()
    );
    assert_eq!(lab.world().read(&store).expect("the file"), broken);
}

#[test]
fn noise_at_the_resolver_is_no_trouble() {
    let app = App::start("bad-dns");
    let socket = app
        .client
        .udp_bind(SocketAddr::new(IpAddr::from([0, 0, 0, 0]), 0))
        .expect("a socket");
    socket
        .set_read_timeout(Some(Duration::from_millis(1)))
        .expect("a limit");
    let client = app.client.clone();
    let resolver = SocketAddr::new(IpAddr::from([127, 0, 0, 11]), 53);
    client.on(move || {
        let mut noise = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = move || {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            noise
        };
        for _ in 0..2000 {
            let length = usize::try_from(next() % 600).expect("small");
            let mut message: Vec<u8> = (0..length).map(|_| next().to_le_bytes()[0]).collect();
            // Half of them look like a question at first.
            if next() % 2 == 0 && length > 12 {
                message[2..12].copy_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
            }
            socket.send_to(&message, resolver).expect("to send");
        }
    });
    let web = app.lab.address("web", "app").to_string();
    for transport in ["+notcp", "+tcp"] {
        let answer = app.client.ok(&format!(
            "dig @127.0.0.11 +short +tries=3 +time=2 {transport} web A"
        ));
        assert_eq!(answer, web);
    }
    goes_on(&app);
}

/// The agent lives, has not panicked anywhere, takes changes, and traffic flows.
#[track_caller]
fn goes_on(app: &App) {
    let log = app.agent.log();
    assert!(!log.contains("panicked"), "{log}");
    app.lab.netd("network create afterwards");
    app.lab.netd("network rm afterwards");
    let _server = EchoServer::start(&app.web, PORT);
    reaches(&app.client, app.lab.address("web", "app"), PORT);
}
