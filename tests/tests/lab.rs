//! The lab itself: its hosts reach each other, and nothing of it is left when it ends, also when
//! the test in it panics. Needs root, but not netd.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    os::unix::fs::MetadataExt,
    panic::catch_unwind,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use netd_tests::lab::{Capture, EchoServer, Lab, addresses::*, tcp_exchange, udp_exchange};

const LIMIT: Duration = Duration::from_secs(5);

/// A lab whose `netd` is never started.
fn lab(name: &str) -> Lab {
    Lab::create(name, Path::new("/bin/true")).expect("a lab")
}

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().expect("an address"), port)
}

#[test]
fn its_hosts_reach_each_other_in_both_families() {
    let lab = lab("reach");
    for to in [OUTSIDE, OUTSIDE6, PUBLIC, PUBLIC6, ATTACKER, ATTACKER6] {
        lab.host().ok(&format!("ping -c 1 -W 2 {to}"));
    }
    let _server = EchoServer::start(lab.outside(), 7);
    for (own, to) in [(HOST, PUBLIC), (HOST6, PUBLIC6)] {
        let seen = tcp_exchange(lab.host(), at(to, 7), LIMIT).expect("TCP");
        assert_eq!(seen.ip().to_string(), own);
        let seen = udp_exchange(lab.host(), at(to, 7), LIMIT).expect("UDP");
        assert_eq!(seen.ip().to_string(), own);
    }
}

#[test]
fn programs_see_the_labs_own_files_and_cgroups() {
    let lab = lab("files");
    let resolv_conf = lab.host().ok("cat /etc/resolv.conf");
    assert!(resolv_conf.contains(PUBLIC));
    assert_eq!(lab.host().ok("ls /var/lib"), "");
    assert_eq!(lab.host().ok("stat -f -c %T /sys/fs/bpf"), "bpf_fs");
    assert!(
        lab.host()
            .ok("cat /proc/self/mountinfo")
            .contains("cgroup2")
    );
    lab.world().write("/run/x/y", "z").expect("a file");
    assert_eq!(lab.host().ok("cat /run/x/y"), "z");
    assert!(!Path::new("/run/x/y").exists());
    assert!(lab.world().write("/etc/x", "z").is_err());
}

#[test]
fn a_program_that_does_not_end_is_ended() {
    let lab = lab("limit");
    let error = lab
        .host()
        .run_within("sleep 100", Duration::from_millis(100))
        .expect_err("it takes longer");
    assert!(format!("{error:#}").contains("still ran"), "{error:#}");
}

#[test]
fn a_capture_judges_checksums() {
    let lab = lab("capture");
    lab.host().offload("eth0", false).expect("offload");
    lab.outside().offload("eth0", false).expect("offload");
    let capture = Capture::start(lab.outside(), "eth0", "udp or tcp").expect("tcpdump");
    let _server = EchoServer::start(lab.outside(), 7);
    udp_exchange(lab.host(), at(OUTSIDE, 7), LIMIT).expect("UDP");
    tcp_exchange(lab.host(), at(OUTSIDE6, 7), LIMIT).expect("TCP");
    let text = capture.stop().expect("the capture");
    assert!(
        text.contains("udp sum ok") && text.contains("(correct)"),
        "{text}"
    );
    assert!(Capture::wrong_checksums(&text).is_empty(), "{text}");
}

/// Everything that a lab could leave on the machine.
#[derive(Debug, PartialEq, Eq)]
struct Machine {
    mounts: String,
    names: BTreeSet<String>,
    links: String,
}

impl Machine {
    fn now() -> Machine {
        let names = |dir: &str| {
            fs::read_dir(dir)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path().display().to_string())
                .collect::<BTreeSet<_>>()
        };
        let mut all = names("/run/netns");
        all.extend(names("/run/lab"));
        all.extend(names("/run/netd"));
        all.extend(names("/var/lib/netd"));
        Machine {
            mounts: fs::read_to_string("/proc/self/mountinfo").expect("mounts"),
            names: all,
            links: fs::read_to_string("/proc/self/net/dev")
                .expect("links")
                .lines()
                .filter_map(|line| line.split_once(':'))
                .map(|(name, _)| name.trim().to_owned() + "\n")
                .collect(),
        }
    }
}

/// Processes of which a namespace is one of these.
fn inside(namespaces: &[u64]) -> Vec<String> {
    let inode = |path: String| fs::metadata(path).map(|data| data.ino()).unwrap_or(0);
    fs::read_dir("/proc")
        .expect("processes")
        .flatten()
        .map(|entry| entry.path().display().to_string())
        .filter(|process| {
            ["net", "mnt"]
                .iter()
                .any(|kind| namespaces.contains(&inode(format!("{process}/ns/{kind}"))))
        })
        .collect()
}

/// Told apart from those of other runs by the process id.
fn map_exists(name: &str) -> bool {
    let output = Command::new("bpftool").args(["map", "show"]).output();
    String::from_utf8_lossy(&output.expect("bpftool").stdout).contains(name)
}

#[test]
fn nothing_is_left_when_a_test_panics() {
    let before = Machine::now();
    let map = format!("left_{}", std::process::id());
    let (send, receive) = std::sync::mpsc::channel();
    let pinned = map.clone();
    let panicked = catch_unwind(move || {
        let map = pinned;
        let lab = lab("panic");
        let mut background = lab.host().spawn("sleep 1000").expect("a process");
        assert!(background.is_running());
        // One that nobody holds, as a program that went into the background by itself.
        lab.host().ok("sh -c 'sleep 1000 >/dev/null 2>&1 &'");
        lab.host()
            .ok("sh -c 'mkdir /run/netns && touch /run/netns/x'");
        lab.host().ok(&format!(
            "bpftool map create /sys/fs/bpf/left type array key 4 value 4 entries 1 name {map}"
        ));
        assert!(map_exists(&map));
        let namespaces = [
            lab.world().inode(),
            lab.host().inode(),
            lab.outside().inode(),
        ];
        assert!(inside(&namespaces).len() >= 2);
        send.send(namespaces).expect("the test waits");
        panic!("as intended");
    });
    assert!(panicked.is_err());
    let namespaces = receive.recv().expect("the lab was made");
    assert_eq!(inside(&namespaces), Vec::<String>::new());
    assert_eq!(Machine::now(), before);
    // Mounts and maps go with their last user, but some time after it.
    let deadline = Instant::now() + LIMIT;
    while map_exists(&map) {
        assert!(Instant::now() < deadline, "the lab's pinned map is left");
        std::thread::sleep(Duration::from_millis(20));
    }
}
