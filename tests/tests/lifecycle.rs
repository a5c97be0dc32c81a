//! From create to the end: what a user of `docker network` types, as netd answers it; namespaces and
//! processes that end; a reboot. Needs root.

use std::time::Duration;

use netd_tests::lab::Lab;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// A walk over everything takes 25 seconds on a machine that has time.
const WALK: Duration = Duration::from_secs(240);

/// What stdout lists, one name a line, as one line.
fn names(lab: &Lab, arguments: &str) -> String {
    let listed = lab.netd(&format!("{arguments} --format '{{{{.Name}}}}'"));
    listed.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn networks_are_listed_by_dockers_filters() {
    let lab = Lab::new("filters");
    let _agent = lab.agent("");
    lab.netd("network create --label tier=web --label env app");
    lab.netd("network create --label tier=db app-db");
    lab.netd("sandbox create --name web --label tier=web --network app -p 8080:80");
    lab.netd("sandbox create --name other");
    let networks = |filter: &str| names(&lab, &format!("network ls {filter}"));
    assert_eq!(networks(""), "app app-db bridge host none");
    for (filter, expected) in [
        ("name=app", "app app-db"),
        ("name=^app$", "app"),
        ("driver=null", "none"),
        ("type=custom", "app app-db"),
        ("type=builtin", "bridge host none"),
        ("scope=swarm", ""),
        ("label=tier", "app app-db"),
        ("label=tier=db", "app-db"),
        ("dangling=true", "app-db"),
        ("dangling=0", "app bridge host none"),
    ] {
        assert_eq!(
            networks(&format!("--filter {filter}")),
            expected,
            "{filter}"
        );
    }
    assert_eq!(networks("--filter label=tier --filter label=env"), "app");
    let sandboxes = |filter: &str| names(&lab, &format!("sandbox ls --filter {filter}"));
    for (filter, expected) in [
        ("network=app", "web"),
        ("network=bridge", "other"),
        ("label=tier=web", "web"),
        ("publish=8080", "web"),
        ("expose=80/tcp", "web"),
        ("since=web", "other"),
        ("before=other", "web"),
        ("status=exited", ""),
    ] {
        assert_eq!(sandboxes(filter), expected, "{filter}");
    }
    let id = lab.netd("network ls -q --filter name=^app$");
    assert_eq!(id.len(), 12);
    let whole = lab.netd("network ls -q --no-trunc --filter name=^app$");
    assert!(whole.len() == 64 && whole.starts_with(&id), "{whole}");
    let all = lab.netd("network ls -a --filter type=custom");
    assert!(
        all.starts_with("NETWORK ID") && all.contains("OWNER"),
        "{all}"
    );
    assert_eq!(lab.netd("network prune -f --filter until=1h"), "");
    assert_eq!(
        lab.netd("network prune -f --filter label=tier"),
        "Deleted Networks:\napp-db"
    );
}

#[test]
fn networks_are_made_from_configurations() {
    let lab = Lab::new("configs");
    let _agent = lab.agent("");
    lab.netd(
        "network create --config-only --subnet 10.80.0.0/24 --label tier=x -o com.docker.network.driver.mtu=1400 cfg",
    );
    lab.netd("network create --config-from cfg --internal app");
    let inspected = lab.netd_json("network inspect cfg app");
    let parts = |network: &Value| {
        json!([
            network["Driver"],
            network["ConfigOnly"],
            network["ConfigFrom"]["Network"],
            network["Internal"],
            network["Labels"],
            network["IPAM"]["Config"][0]["Subnet"],
        ])
    };
    let labels = json!({"tier": "x"});
    assert_eq!(
        parts(&inspected[0]),
        json!(["null", true, "", false, labels, "10.80.0.0/24"])
    );
    assert_eq!(
        parts(&inspected[1]),
        json!(["bridge", false, "cfg", true, labels, "10.80.0.0/24"])
    );
    lab.netd("sandbox create --name web --network app");
    let link = lab.sandbox("web").ok("ip link show eth0");
    assert!(link.contains("mtu 1400"), "{link}");
    for (line, text) in [
        ("network rm cfg", "has active endpoints"),
        (
            "network connect cfg web",
            "cannot create endpoint on configuration-only network",
        ),
        (
            "network create --config-from nosuch x",
            "configuration network \"nosuch\" does not exist",
        ),
        (
            "network create --config-from app x",
            "configuration network \"app\" does not exist",
        ),
    ] {
        let refused = lab.netd_refuses(line);
        assert!(refused.stderr.contains(text), "{line}: {}", refused.stderr);
    }
    assert_eq!(lab.netd("network rm -f web nosuch"), "");
    lab.netd("sandbox rm web");
    assert_eq!(lab.netd("network rm app cfg"), "app\ncfg");
}

#[test]
fn a_connect_may_name_several_sandboxes() {
    let lab = Lab::new("several");
    let _agent = lab.agent("");
    lab.netd("network create app");
    for name in ["a", "b", "c"] {
        lab.netd(&format!("sandbox create --name {name}"));
    }
    lab.netd("network connect app b");
    let refused = lab.netd_refuses("network connect app a b nosuch c");
    assert_eq!(
        refused.stderr,
        "netd: endpoint with name b already exists in network app\n\
         netd: No such sandbox: nosuch\ntry: netd sandbox ls\n"
    );
    assert_eq!(names(&lab, "sandbox ls --filter network=app"), "a b c");
    let refused = lab.netd_refuses("network connect --ip 172.18.0.9 app a b");
    assert_eq!(
        refused.stderr,
        "netd: --ip is for one sandbox, and there are 2\n"
    );
    lab.netd("network disconnect app a b c");
    assert_eq!(names(&lab, "sandbox ls --filter network=app"), "");
}

#[test]
fn endpoints_take_link_local_addresses_and_interface_names() {
    let lab = Lab::new("endpoint-options");
    let _agent = lab.agent("");
    lab.netd("network create app");
    lab.netd("sandbox create --name a --network name=app,link-local-ip=169.254.9.9");
    lab.netd("sandbox create --name b");
    lab.netd(
        "network connect --link-local-ip 169.254.9.10 --link-local-ip fe80::b --driver-opt com.docker.network.endpoint.ifname=lan0 app b",
    );
    let b = lab.sandbox("b");
    b.ok("ping -n -c 1 -W 5 -I lan0 169.254.9.9");
    lab.sandbox("a").ok("ping -n -c 1 -W 5 169.254.9.10");
    let shown = b.ok("ip -br addr show dev lan0");
    assert!(
        shown.contains("169.254.9.10/16") && shown.contains("fe80::b/64"),
        "{shown}"
    );
    let inspected = lab.netd_json("sandbox inspect b")[0]["Networks"]["app"].clone();
    assert_eq!(
        inspected["IPAMConfig"],
        json!({"LinkLocalIPs": ["169.254.9.10", "fe80::b"]})
    );
    assert_eq!(
        inspected["DriverOpts"],
        json!({"com.docker.network.endpoint.ifname": "lan0"})
    );
    lab.netd("network create more");
    for (line, text) in [
        (
            "network connect --link-local-ip 169.254.9.9 --ip 172.18.0.99 app b",
            "already exists",
        ),
        (
            "network connect --link-local-ip 10.1.2.3 more a",
            "invalid link-local IP address: 10.1.2.3",
        ),
        (
            "network connect --driver-opt foo=bar more a",
            "unknown driver-opt foo",
        ),
        (
            "network connect --driver-opt com.docker.network.endpoint.ifname=lan0 more b",
            "already in use",
        ),
    ] {
        let refused = lab.netd_refuses(line);
        assert!(refused.stderr.contains(text), "{line}: {}", refused.stderr);
    }
    lab.netd("network disconnect app b");
    lab.netd("network connect --link-local-ip 169.254.9.10 app b");
    assert!(
        lab.sandbox("b")
            .ok("ip -br addr show dev eth1")
            .contains("169.254.9.10")
    );
}

#[test]
fn a_sandbox_ends_with_its_process_also_where_no_link_tells() {
    let lab = Lab::new("ends");
    let _agent = lab.agent("");
    let process = lab
        .host()
        .spawn("unshare -n sleep 3600")
        .expect("a process");
    let own = lab.host().ok("readlink /proc/self/ns/net");
    let pid = process.pid();
    let link = format!("readlink /proc/{pid}/ns/net");
    lab.wait_until("the namespace", WALK, || lab.host().ok(&link) != own);
    lab.netd(&format!(
        "sandbox create --name theirs --pid {pid} --network none"
    ));
    // Its namespace lives on in another process, which has another pid.
    let line = format!("nsenter --target {pid} --net sleep 3600");
    let other = lab.host().spawn(&line).expect("another process");
    process.signal(Signal::SIGKILL).expect("a signal");
    let gone = || names(&lab, "sandbox ls").is_empty();
    lab.wait_until("the end of its process to be noticed", WALK, gone);
    other.signal(Signal::SIGKILL).expect("a signal");
}

/// What a reboot does to a host: links, namespaces, pins and /run are gone, the boot has another id.
fn reboot(lab: &Lab) {
    let host = lab.host();
    host.ok(
        "sh -c 'for link in $(ip -br link | cut -d\" \" -f1 | cut -d@ -f1); do \
         case $link in nd*|br-*|netd*) ip link del $link;; esac; done'",
    );
    host.ok(
        "sh -c 'umount -l /run/netd/netns/* 2>/dev/null; umount -l /run/netd/netns; rm -rf /run/netd /sys/fs/bpf/netd'",
    );
    let boot = lab.world().write("/run/lab/boot_id", "another-boot\n");
    boot.expect("a boot id");
    host.ok("mount --bind /run/lab/boot_id /proc/sys/kernel/random/boot_id");
}

#[test]
fn after_a_reboot_sandboxes_are_as_they_were_and_joined_ones_are_gone() {
    let lab = Lab::new("reboot");
    let mut agent = lab.agent("");
    lab.netd("network create --ipv6 app");
    lab.netd("sandbox create --name db --network app");
    lab.netd("sandbox create --name web --label tier=web --network name=app,alias=www -p 8080:80");
    let process = lab
        .host()
        .spawn("unshare -n sleep 3600")
        .expect("a process");
    let own = lab.host().ok("readlink /proc/self/ns/net");
    let link = format!("readlink /proc/{}/ns/net", process.pid());
    lab.wait_until("the namespace", WALK, || lab.host().ok(&link) != own);
    lab.netd(&format!(
        "sandbox create --name theirs --pid {} --network app",
        process.pid()
    ));
    let before = lab.netd_json("sandbox inspect db web");
    let namespace = lab.sandbox("web").inode();
    agent.kill();
    reboot(&lab);
    agent.start_again().expect("the agent");
    // The process is still there, its namespace the same; after a real boot that would be chance.
    assert_eq!(names(&lab, "sandbox ls"), "db web");
    assert_eq!(lab.netd_json("sandbox inspect db web"), before);
    let web = lab.sandbox("web");
    assert_ne!(web.inode(), namespace);
    web.ok(&format!("ping -n -c 1 -W 5 {}", lab.address("db", "app")));
    lab.host().ok("netd exec web -- getent ahosts db");
    assert!(lab.netd("port web").contains("80/tcp -> 0.0.0.0:8080"));
    // The next start is of the same boot.
    lab.netd(&format!(
        "sandbox create --name theirs --pid {} --network app",
        process.pid()
    ));
    agent.kill();
    agent.start_again().expect("the agent");
    assert_eq!(names(&lab, "sandbox ls"), "db theirs web");
}
