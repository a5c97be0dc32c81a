//! The agent as a process: who may start it and speak to it, what it tells systemd, how it ends, and
//! that bad files and bad clients change nothing.

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::{UnixDatagram, UnixStream},
    path::PathBuf,
    time::{Duration, Instant},
};

use netd_tests::lab::{App, Lab, Traces};
use nix::sys::signal::Signal;

/// A directory of the test's own, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new(lab: &Lab) -> Directory {
        let path = std::env::temp_dir().join(format!("netd-agent-{}", lab.name()));
        fs::create_dir_all(&path).expect("a directory");
        Directory(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The socket as seen from outside the lab's mount namespace.
fn socket(app: &App) -> PathBuf {
    format!("/proc/{}/root/run/netd/netd.sock", app.agent.pid()).into()
}

#[test]
fn systemd_is_told_when_it_is_ready_and_when_it_stops() {
    let lab = Lab::new("notify");
    let directory = Directory::new(&lab);
    let path = directory.file("notify");
    let told = UnixDatagram::bind(&path).expect("a socket");
    let limit = Some(Duration::from_secs(30));
    told.set_read_timeout(limit).expect("a timeout");
    let hears = || {
        let mut bytes = [0; 4096];
        let length = told.recv(&mut bytes).expect("to be told");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let line = format!("env NOTIFY_SOCKET={} netd run", path.display());
    let agent = lab.host().spawn(&line).expect("the agent");
    assert!(hears().contains("READY=1"));
    // Ready is ready: no waiting.
    assert!(lab.netd("status").contains("Uplinks: eth0"));
    agent.signal(Signal::SIGTERM).expect("a signal");
    assert!(hears().contains("STOPPING=1"));
    let ended = agent.wait(Duration::from_secs(10)).expect("an end");
    assert!(ended.succeeded(), "{}", ended.describe());
    lab.host().fails("ls /run/netd/netd.sock");
    lab.netd("down");
}

#[test]
fn a_second_agent_is_refused() {
    let app = App::start("second");
    let refused = app.lab.host().fails("netd run");
    let pid = app.agent.pid();
    assert_eq!(
        refused.stderr,
        format!("netd: another agent runs in /run/netd (pid {pid})\n")
    );
    app.lab.netd("sandbox inspect web");
}

#[test]
fn only_those_who_may_speak_to_it() {
    let app = App::start("permission");
    let host = app.lab.host();
    assert_eq!(host.ok("stat -c '%a %u' /run/netd/netd.sock"), "660 0");
    assert_eq!(
        host.ok("stat -c %a /var/lib/netd /var/lib/netd/netd.redb"),
        "700\n600"
    );
    let nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    let refused = host.fails(&format!("{nobody} netd network ls"));
    assert_eq!(
        refused.stderr,
        "netd: permission denied at /run/netd/netd.sock\ntry: sudo, or join group netd\n"
    );
    let refused = host.fails(&format!("{nobody} netd run --run-dir /tmp/netd-nobody"));
    assert!(
        refused.stderr.starts_with("netd: netd run needs root"),
        "{}",
        refused.stderr
    );
    host.fails("ls /tmp/netd-nobody");
}

#[test]
fn a_store_that_is_none_is_refused_and_left_alone() {
    let lab = Lab::new("corrupt");
    let before = Traces::of(&lab);
    let directory = Directory::new(&lab);
    let file = directory.file("netd.redb");
    let garbage = b"this is not a store\n".repeat(1000);
    fs::write(&file, &garbage).expect("a file");
    let line = format!("netd run --state-dir {}", directory.0.display());
    let refused = lab.host().fails(&line);
    assert!(refused.stderr.contains("is corrupt"), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("move it away"),
        "{}",
        refused.stderr
    );
    assert!(
        fs::read(&file).expect("the file") == garbage,
        "the file was changed"
    );
    Traces::of(&lab).are_those_of(&before);
}

#[test]
fn mistakes_in_the_configuration_are_told_with_their_line() {
    let lab = Lab::new("config");
    let before = Traces::of(&lab);
    let directory = Directory::new(&lab);
    let file = directory.file("netd.toml");
    fs::write(&file, "bridge = 'netd0'\nbrigde = 'x'\n").expect("a file");
    for verb in ["run", "config check", "config show", "down"] {
        let refused = lab
            .host()
            .fails(&format!("netd {verb} --config {}", file.display()));
        let expected = format!("netd: {}:2: unknown field `brigde`", file.display());
        assert!(
            refused.stderr.starts_with(&expected),
            "{verb}: {}",
            refused.stderr
        );
    }
    Traces::of(&lab).are_those_of(&before);
}

#[test]
fn file_and_flags_make_one_configuration() {
    let lab = Lab::new("flags");
    let directory = Directory::new(&lab);
    let file = directory.file("netd.toml");
    let text = "bip = '10.77.0.1/24'\nbridge = 'br-file'\naddress-pool = ['10.78.0.0/16,size=24']\nlog-format = 'json'\n";
    fs::write(&file, text).expect("a file");
    let agent = lab.agent(&format!("--config {} --bridge br-flag", file.display()));
    let address = lab.host().ok("ip -o -4 addr show dev br-flag");
    assert!(address.contains("10.77.0.1/24"), "{address}");
    lab.netd("network create app");
    let subnet = lab.netd("network inspect -f '{{json .IPAM.Config}}' app");
    assert!(subnet.contains("10.78.0.0/24"), "{subnet}");
    for line in agent.log().lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    }
}

#[test]
fn bad_clients_do_not_matter() {
    let mut app = App::start("clients");
    let path = socket(&app);
    let connect = || UnixStream::connect(&path).expect("a connection");
    for bytes in [
        &b"\0\0\0\0"[..],
        b"GET",
        b"POST /v1/networks HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /v1/networks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n{",
        b"GET /v1/networks/%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ] {
        let mut stream = connect();
        stream.write_all(bytes).expect("to be heard");
        let _ = stream.shutdown(std::net::Shutdown::Write);
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("a timeout");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
    }
    // Clients that say nothing, and one that stops in the middle.
    let idle: Vec<UnixStream> = (0..200).map(|_| connect()).collect();
    let mut half = connect();
    half.write_all(b"POST /v1/sandboxes HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        .expect("to be heard");
    app.lab.netd("sandbox create --name more --network app");
    app.lab.netd("sandbox rm more");
    let began = Instant::now();
    let ended = app.agent.stop();
    assert!(ended.succeeded(), "{}", ended.describe());
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    drop((idle, half));
    app.agent.start_again().expect("the agent");
    app.lab.netd("sandbox inspect web");
}

#[test]
fn namespaces_of_others_are_joined_and_left_as_they_are() {
    let app = App::start("joined");
    let lab = &app.lab;
    let mut process = lab.host().spawn("unshare -n sleep 600").expect("a process");
    // unshare becomes sleep in its new namespace.
    let own = lab.host().ok("readlink /proc/self/ns/net");
    let link = format!("readlink /proc/{}/ns/net", process.pid());
    let other = || lab.host().ok(&link) != own;
    lab.wait_until("the namespace", Duration::from_secs(5), other);
    let pid = process.pid();
    lab.netd(&format!(
        "sandbox create --name theirs --pid {pid} --network app"
    ));
    let inside = format!("nsenter --target {pid} --net");
    let host = lab.host();
    host.ok(&format!("{inside} ip link set lo up"));
    host.ok(&format!(
        "{inside} ping -n -c 1 -W 2 {}",
        lab.address("web", "app")
    ));
    let web = lab.sandbox("web");
    web.ok(&format!(
        "ping -n -c 1 -W 2 {}",
        lab.address("theirs", "app")
    ));
    let again = lab.netd_refuses(&format!("sandbox create --pid {pid}"));
    assert!(
        again.stderr.contains("is already sandbox theirs"),
        "{}",
        again.stderr
    );
    lab.netd("sandbox rm theirs");
    assert!(process.is_running());
    assert_eq!(host.ok(&format!("{inside} ip -br link")).lines().count(), 1);
    // Joined again, and then its process ends.
    lab.netd(&format!(
        "sandbox create --name theirs --pid {pid} --network app"
    ));
    process.signal(Signal::SIGKILL).expect("a signal");
    let gone = || !lab.netd("sandbox ls").contains("theirs");
    lab.wait_until("its end to be noticed", Duration::from_secs(30), gone);
    let own = lab.netd_refuses("sandbox create --netns /proc/self/ns/net");
    assert!(
        own.stderr.contains("own network namespace"),
        "{}",
        own.stderr
    );
}
