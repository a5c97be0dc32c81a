//! Sandboxes that are the host, have nothing, or are in another one's namespace.

use std::{net::IpAddr, time::Duration};

use netd_tests::lab::{App, EchoServer, Lab, Namespace, addresses::*, reaches};

const PORT: u16 = 7000;

#[test]
fn one_that_shares_has_the_others_network() {
    let mut app = App::start("mode-shared");
    let lab = &app.lab;
    lab.netd("sandbox create --name side --network container:web");
    // The same namespace, files and name.
    let key = |name: &str| lab.netd(&format!("sandbox inspect -f {{{{.SandboxKey}}}} {name}"));
    assert_eq!(key("side"), key("web"));
    for command in ["cat /etc/hosts", "cat /etc/resolv.conf", "hostname"] {
        let of = |name: &str| lab.netd(&format!("exec {name} -- {command}"));
        assert_eq!(of("side"), of("web"), "{command}");
    }
    // What listens in one is heard in the other by loopback, and by the network.
    let _server = EchoServer::start(&app.web, PORT);
    let web = lab.address("web", "app");
    reaches(&lab.sandbox("side"), IpAddr::from([127, 0, 0, 1]), PORT);
    reaches(&app.client, web, PORT);
    assert!(
        lab.netd("exec side -- getent ahostsv4 client")
            .contains("STREAM")
    );
    // The other one stays as long as somebody is in its namespace.
    let refused = lab.netd_refuses("sandbox rm web");
    assert_eq!(
        refused.stderr,
        "netd: sandbox web shares its network namespace with others: side\n\
         try: remove those first, or -f to remove them with it\n"
    );
    app.agent.kill();
    app.agent.start_again().expect("the agent");
    let lab = &app.lab;
    lab.netd("exec side -- true");
    lab.netd("sandbox rm side");
    reaches(&app.client, web, PORT);
    lab.netd("sandbox create --name side --network container:web");
    lab.netd("sandbox rm -f web");
    lab.netd_refuses("sandbox inspect side");
}

#[test]
fn modes_refuse_what_docker_refuses() {
    let app = App::start("mode-errors");
    let lab = &app.lab;
    let table = [
        (
            "container:web -p 1:1",
            "conflicting options: port publishing and the container type network mode",
        ),
        (
            "container:web -P",
            "conflicting options: port publishing and the container type network mode",
        ),
        (
            "container:web --expose 80",
            "conflicting options: port exposing and the container type network mode",
        ),
        (
            "container:web --hostname x",
            "conflicting options: hostname and the network mode",
        ),
        (
            "container:web --dns 1.1.1.1",
            "conflicting options: dns and the network mode",
        ),
        (
            "container:web --network-alias q",
            "network-scoped aliases are only supported for user-defined networks",
        ),
        (
            "container:web --link web:z",
            "links are only supported for user-defined networks",
        ),
        (
            "container:web --add-host a:1.2.3.4",
            "conflicting options: custom host-to-IP mapping and the network mode",
        ),
        (
            "container:web --mac-address 02:11:11:11:11:11",
            "conflicting options: mac-address and the network mode",
        ),
        ("container:nosuch", "No such sandbox: nosuch"),
        (
            "host --link web:z",
            "links are only supported for user-defined networks",
        ),
        (
            "host --network-alias zz",
            "network-scoped aliases are only supported for user-defined networks",
        ),
        (
            "none --network-alias zz",
            "network-scoped aliases are only supported for user-defined networks",
        ),
        (
            "none --ip 1.2.3.4",
            "user specified IP address is supported on user defined networks only",
        ),
        ("nosuchnet", "network nosuchnet not found"),
    ];
    for (options, text) in table {
        let refused = lab.netd_refuses(&format!("sandbox create --network {options}"));
        let first = refused.stderr.lines().next().unwrap_or_default();
        assert_eq!(first, format!("netd: {text}"), "{options}");
        assert_eq!(refused.stdout, "", "{options}");
    }
    // What it lets pass, it lets pass.
    for options in ["host --hostname x", "host --dns 1.1.1.1", "none -p 1234:80"] {
        lab.netd(&format!("sandbox create --network {options}"));
    }
}

#[test]
fn the_host_is_the_host() {
    let lab = Lab::new("mode-host");
    let _agent = lab.agent("");
    let made = lab
        .host()
        .run("netd sandbox create --name hh --network host -p 80:80");
    let made = made.expect("netd");
    assert!(made.succeeded(), "{}", made.describe());
    assert_eq!(
        made.stderr,
        "WARNING: Published ports are discarded when using host network mode\n"
    );
    let inside = lab.netd("exec hh -- ip -o address show dev eth0");
    assert!(inside.contains(HOST), "{inside}");
    // Who shares with it is the host, too.
    lab.netd("sandbox create --name hs --network container:hh");
    let inside = lab.netd("exec hs -- ip -o address show dev eth0");
    assert!(inside.contains(HOST), "{inside}");
    for line in [
        "network connect bridge hh",
        "network connect host hh",
        "network disconnect host hh",
    ] {
        let refused = lab.netd_refuses(line);
        assert!(
            refused.stderr.starts_with("netd: sandbox cannot be disconnected from host network or connected to host network"),
            "{line}: {}",
            refused.stderr
        );
    }
    let refused = lab.netd_refuses("network connect bridge hs");
    assert!(
        refused
            .stderr
            .starts_with("netd: sandbox sharing network namespace with another sandbox or host"),
        "{}",
        refused.stderr
    );
}

#[test]
fn none_is_loopback_alone_until_it_is_left() {
    let lab = Lab::new("mode-none");
    let _agent = lab.agent("");
    lab.netd("network create app");
    lab.netd("sandbox create --name nn --network none");
    let links = lab.netd("exec nn -- ip -o link show");
    assert_eq!(links.lines().count(), 1, "{links}");
    assert!(links.contains("lo:"), "{links}");
    let refused = lab.netd_refuses("network connect app nn");
    assert!(
        refused.stderr.starts_with(
            "netd: sandbox cannot be connected to multiple networks with one of the networks in private (none) mode"
        ),
        "{}",
        refused.stderr
    );
    // What the user puts into it himself is left alone.
    let inside = lab.sandbox("nn");
    inside.ok("ip link add own type bridge");
    lab.netd("network disconnect none nn");
    lab.netd("network connect app nn");
    inside.ok("ip link show dev eth0");
    inside.ok("ip link show dev own");
}

/// The default routes of a sandbox, IPv4 and IPv6: by what, through which interface.
fn ways_out(sandbox: &Namespace) -> [String; 2] {
    ["-4", "-6"].map(|family| {
        let routes = sandbox.ok(&format!("ip {family} route show default"));
        let mut words = routes.split_whitespace().skip(2);
        let via = words.next().unwrap_or_default();
        let through = words.nth(1).unwrap_or_default();
        format!("{via} {through}").trim().to_owned()
    })
}

#[test]
fn the_way_out_moves_with_each_change() {
    let lab = Lab::new("ways-out");
    let _agent = lab.agent("");
    for line in [
        "--subnet 10.81.0.0/24 zz",
        // The gateway may be anywhere in the subnet.
        "--ipv6 --subnet 10.82.0.0/24 --gateway 10.82.0.254 --subnet fd82::/64 --gateway fd82::fe bb",
        "--internal --ipv6 --subnet 10.83.0.0/24 --subnet fd83::/64 aa",
        "--subnet 10.84.0.0/24 mm",
    ] {
        lab.netd(&format!("network create {line}"));
    }
    lab.netd("sandbox create --name one --network zz");
    let one = lab.sandbox("one");
    let (zz, bb, mm) = ("10.81.0.1", "10.82.0.254", "10.84.0.1");
    let steps: [(&str, String, &str); 8] = [
        ("", format!("{zz} eth0"), ""),
        // The smallest name, of each family where there is a gateway.
        ("connect bb", format!("{bb} eth1"), "fd82::fe eth1"),
        ("connect aa", format!("{bb} eth1"), "fd82::fe eth1"),
        (
            "connect --gw-priority 5 mm",
            format!("{mm} eth3"),
            "fd82::fe eth1",
        ),
        ("disconnect mm", format!("{bb} eth1"), "fd82::fe eth1"),
        ("disconnect bb", format!("{zz} eth0"), ""),
        ("disconnect zz", String::new(), ""),
        // Numbers grow.
        ("connect --gw-priority -1 zz", format!("{zz} eth4"), ""),
    ];
    for (step, v4, v6) in steps {
        if !step.is_empty() {
            lab.netd(&format!("network {step} one"));
        }
        assert_eq!(
            ways_out(&one),
            [v4.clone(), v6.to_owned()],
            "after {step:?}"
        );
        for (way, public) in [(v4.as_str(), PUBLIC), (v6, PUBLIC6)] {
            let ping = format!("ping -n -c 1 -W 5 {public}");
            if way.is_empty() {
                one.fails(&ping);
            } else {
                one.ok(&ping);
            }
        }
    }
}

/// Who has spoiled his interfaces is disconnected all the same, and what is netd's there is put right.
#[test]
fn a_spoiled_sandbox_is_disconnected_all_the_same() {
    let lab = Lab::new("spoiled");
    let _agent = lab.agent("");
    lab.netd("network create --subnet 10.85.0.0/24 aa");
    lab.netd("network create --subnet 10.86.0.0/24 zz");
    lab.netd("sandbox create --name one --network aa");
    lab.netd("network connect zz one");
    let one = lab.sandbox("one");
    assert_eq!(ways_out(&one)[0], "10.85.0.1 eth0");
    // Without its address the next gateway is not even reachable, and the way out is another's.
    one.ok("ip address flush dev eth1");
    one.ok("ip route replace default dev eth0");
    lab.netd("network disconnect aa one");
    one.fails("ip link show dev eth0");
    lab.wait_until("the way out is there", Duration::from_secs(20), || {
        ways_out(&one)[0] == "10.86.0.1 eth1"
    });
    one.ok(&format!("ping -n -c 1 -W 5 {PUBLIC}"));
    lab.netd("network disconnect zz one");
    lab.netd("sandbox rm one");
}

/// On the default network alone a sandbox asks the host's servers; with a network that has names, the
/// resolver.
#[test]
fn the_resolver_comes_and_goes_with_networks_that_have_names() {
    let lab = Lab::new("resolver-comes");
    let _agent = lab.agent("");
    lab.netd("network create app");
    lab.netd("sandbox create --name db --network app");
    lab.netd("sandbox create --name one");
    let conf = || lab.netd("exec one -- cat /etc/resolv.conf");
    assert!(
        conf().contains(&format!("nameserver {PUBLIC}")),
        "{}",
        conf()
    );
    lab.netd("exec one -- sh -c '! getent ahostsv4 db'");
    lab.netd("network connect app one");
    assert!(conf().contains("nameserver 127.0.0.11"), "{}", conf());
    lab.netd("exec one -- getent ahostsv4 db");
    lab.netd("network disconnect app one");
    assert!(
        conf().contains(&format!("nameserver {PUBLIC}")),
        "{}",
        conf()
    );
}
