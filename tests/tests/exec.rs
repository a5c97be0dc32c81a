//! `netd exec`: what the command sees of the sandbox and of the caller, and how it ends. Needs root.

use std::time::Duration;

use netd_tests::lab::Lab;
use nix::sys::signal::Signal;

fn exit_code(lab: &Lab, line: &str) -> (Option<i32>, String) {
    let finished = lab.host().run(line).expect("netd");
    (finished.status.code(), finished.stderr)
}

#[test]
fn the_command_sees_the_sandbox_and_keeps_what_is_the_callers() {
    let lab = Lab::new("exec");
    let _agent = lab.agent("");
    lab.netd("network create app");
    lab.netd("sandbox create --name web --hostname webhost --network app");
    let host_resolv = lab.host().ok("cat /etc/resolv.conf");
    let inside = |command: &str| lab.host().ok(&format!("netd exec web -- {command}"));
    assert!(inside("cat /etc/resolv.conf").contains("nameserver 127.0.0.11"));
    assert!(inside("cat /etc/hosts").contains("webhost"));
    assert_eq!(
        (inside("cat /etc/hostname"), inside("hostname")),
        ("webhost".into(), "webhost".into())
    );
    let namespace = lab.sandbox("web").inode();
    assert_eq!(
        inside("readlink /proc/self/ns/net"),
        format!("net:[{namespace}]")
    );
    // What the host has mounted below /sys, `ip netns exec` would hide.
    assert_eq!(inside("stat -f -c %T /sys/fs/bpf"), "bpf_fs");
    assert_eq!(inside("pwd"), lab.host().ok("pwd"));
    assert_eq!(
        lab.host().ok("sh -c 'echo hello | netd exec web cat'"),
        "hello"
    );
    assert_eq!(inside("sh -c 'echo $0 $*' a '-b c' --"), "a -b c --");
    assert_eq!(lab.host().ok("cat /etc/resolv.conf"), host_resolv);
    assert_ne!(lab.host().ok("hostname"), "webhost");
}

#[test]
fn exit_codes_and_signals_are_the_commands() {
    let lab = Lab::new("exec-codes");
    let _agent = lab.agent("");
    lab.netd("sandbox create --name web");
    let code = |command: &str| exit_code(&lab, &format!("netd exec web -- {command}"));
    assert_eq!(code("sh -c 'exit 7'").0, Some(7));
    let (status, text) = code("netd-nosuch");
    assert_eq!(
        (status, text.as_str()),
        (
            Some(127),
            "netd: exec: \"netd-nosuch\": executable file not found in $PATH\n"
        )
    );
    let (status, text) = code("/etc/passwd");
    assert_eq!(
        (status, text.as_str()),
        (
            Some(126),
            "netd: exec: \"/etc/passwd\": permission denied\n"
        )
    );
    let (status, text) = exit_code(&lab, "netd exec nosuch -- true");
    assert_eq!(
        (status, text.as_str()),
        (
            Some(125),
            "netd: No such sandbox: nosuch\ntry: netd sandbox ls\n"
        )
    );
    assert_eq!(exit_code(&lab, "netd exec web").0, Some(2));
    let mut sleep = lab
        .host()
        .spawn("netd exec web -- sh -c 'echo up; exec sleep 100'")
        .expect("netd");
    sleep
        .wait_for("up", Duration::from_secs(10))
        .expect("it started");
    sleep.signal(Signal::SIGTERM).expect("a signal");
    let ended = sleep.wait(Duration::from_secs(5)).expect("it ends");
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&ended.status),
        Some(Signal::SIGTERM as i32)
    );
}

#[test]
fn a_host_sandbox_is_the_host() {
    let lab = Lab::new("exec-host");
    let _agent = lab.agent("");
    lab.netd("sandbox create --name h --network host");
    let namespace = lab.host().inode();
    let seen = lab.host().ok("netd exec h -- readlink /proc/self/ns/net");
    assert_eq!(seen, format!("net:[{namespace}]"));
}

#[test]
fn without_an_agent_it_says_so() {
    let lab = Lab::new("exec-alone");
    let (status, text) = exit_code(&lab, "netd exec web -- true");
    assert_eq!(status, Some(125));
    assert_eq!(
        text,
        "netd: no agent at /run/netd/netd.sock\ntry: netd run\n"
    );
}
