//! Addresses as sandboxes have them: usable when the command returns, of the families that the network
//! speaks and the namespace allows, in the smallest subnets, and the next holder's at once.

use std::time::Duration;

use netd_tests::lab::{App, Capture, EchoServer, Lab, Namespace, addresses, reaches};

const PORT: u16 = 7000;

/// The MAC that a namespace has noted for a neighbour, whatever the state of that entry.
#[track_caller]
fn noted_mac(namespace: &Namespace, address: std::net::IpAddr) -> String {
    let entry = namespace.ok(&format!("ip neigh show {address} dev eth0"));
    let mut words = entry.split_whitespace();
    words.find(|word| *word == "lladdr");
    words.next().unwrap_or_default().to_owned()
}

/// Peers keep the MAC of an address's former holder for half a minute and more. Nothing is lost by
/// that: on netd's bridges the address alone decides, so no announcement is needed.
#[test]
fn the_next_holder_of_an_address_is_reached_at_once() {
    let app = App::start("next-holder");
    let lab = &app.lab;
    let (v4, v6) = (lab.address("web", "app"), lab.address6("web", "app"));
    let server = EchoServer::start(&app.web, PORT);
    reaches(&app.client, v4, PORT);
    reaches(&app.client, v6, PORT);
    let former = lab.mac("web", "app");
    drop(server);
    lab.netd("sandbox rm web");
    lab.netd(&format!(
        "sandbox create --name next --network app --ip {v4} --ip6 {v6} --mac-address 02:00:00:00:00:77"
    ));
    let next = lab.sandbox("next");
    for address in [v4, v6] {
        assert_eq!(noted_mac(&app.client, address), former, "{address}");
        // One packet, and its answer.
        app.client.ok(&format!("ping -n -c 1 -W 5 {address}"));
    }
    let _server = EchoServer::start(&next, PORT);
    assert_eq!(reaches(&app.client, v4, PORT), lab.address("client", "app"));
    assert_eq!(
        reaches(&app.client, v6, PORT),
        lab.address6("client", "app")
    );
    // The host, too, which has permanent entries.
    lab.host().ok(&format!("ping -n -c 1 -W 5 {v4}"));
    lab.host().ok(&format!("ping -n -c 1 -W 5 {v6}"));
}

#[test]
fn ipv6_addresses_are_usable_when_the_command_returns() {
    let lab = Lab::new("no-waiting");
    let _agent = lab.agent("");
    lab.netd("network create --ipv6 app");
    for i in 0..3 {
        lab.netd(&format!("sandbox create --name s{i} --network app"));
        let sandbox = lab.sandbox(&format!("s{i}"));
        let list = sandbox.ok("ip -6 -o address show dev eth0 scope global");
        assert!(
            list.contains("inet6 fd") && !list.contains("tentative"),
            "{list}"
        );
        // The first packet from it has a source address, and an answer.
        let gateway = lab.gateway6(&format!("s{i}"), "app");
        sandbox.ok(&format!("ping -n -c 1 -W 5 {gateway}"));
    }
}

#[test]
fn a_network_of_ipv6_alone_works() {
    let lab = Lab::new("six-alone");
    let _agent = lab.agent("");
    lab.netd("network create --ipv4=false --ipv6 six");
    lab.netd("sandbox create --name a --network six");
    lab.netd("sandbox create --name b --network six");
    let (a, b) = (lab.sandbox("a"), lab.sandbox("b"));
    assert_eq!(a.ok("ip -4 -o address show dev eth0"), "");
    assert_eq!(a.ok("ip -4 route"), "");
    let _server = EchoServer::start(&b, PORT);
    assert_eq!(
        reaches(&a, lab.address6("b", "six"), PORT),
        lab.address6("a", "six")
    );
    let gateway = lab.gateway6("a", "six");
    for address in [gateway.to_string(), addresses::PUBLIC6.to_owned()] {
        a.ok(&format!("ping -n -c 1 -W 5 {address}"));
    }
    let found = lab.netd("exec a -- getent ahosts b");
    assert!(
        found.contains(&lab.address6("b", "six").to_string()),
        "{found}"
    );
}

#[test]
fn a_network_without_ipv6_keeps_it_off_its_interfaces() {
    let lab = Lab::new("four-alone");
    let _agent = lab.agent("");
    lab.netd("network create app");
    lab.netd("sandbox create --name a --network app");
    let sandbox = lab.sandbox("a");
    let loopback = sandbox.ok("ip -o address show dev lo");
    assert!(
        loopback.contains(" inet ") && loopback.contains(" inet6 "),
        "{loopback}"
    );
    let eth0 = sandbox.ok("ip -o address show dev eth0");
    assert!(eth0.contains(" inet ") && !eth0.contains("inet6"), "{eth0}");
    let off = sandbox.read_sysctl("net.ipv6.conf.eth0.disable_ipv6");
    assert_eq!(off.expect("the sysctl"), "1");
}

#[test]
fn a_namespace_with_ipv6_off_has_names_and_addresses_of_ipv4_alone() {
    let app = App::start("v6-off");
    let lab = &app.lab;
    let own = lab.namespace("no6").expect("a namespace");
    own.sysctl("net.ipv6.conf.all.disable_ipv6", "1")
        .expect("sysctl");
    let path = own.path().display().to_string();
    lab.netd(&format!(
        "sandbox create --name no6 --netns {path} --network app"
    ));
    let listed = own.ok("ip -o address show");
    assert!(!listed.contains("inet6"), "{listed}");
    let inspected = lab.netd("sandbox inspect -f {{.Networks.app.GlobalIPv6Address}} no6");
    assert_eq!(inspected.trim(), "");
    let v4 = lab.address("no6", "app");
    app.client.ok(&format!("ping -n -c 1 -W 5 {v4}"));
    let names = |name: &str| {
        let ask = |kind| lab.netd(&format!("exec client -- dig +short {kind} {name}"));
        ["A", "AAAA"].map(|kind| ask(kind).trim().to_owned())
    };
    assert_eq!(names("no6"), [v4.to_string(), String::new()]);
    assert_ne!(names("web")[1], "");

    // The same for one that netd made, where it is switched off before it is connected.
    lab.netd("network create plain");
    lab.netd("sandbox create --name later --network plain");
    lab.sandbox("later")
        .sysctl("net.ipv6.conf.all.disable_ipv6", "1")
        .expect("sysctl");
    lab.netd("network connect app later");
    let listed = lab.sandbox("later").ok("ip -o address show");
    assert!(
        listed.contains("eth1") && !listed.contains("inet6"),
        "{listed}"
    );
    let v4 = lab.address("later", "app").to_string();
    assert_eq!(names("later"), [v4, String::new()]);
}

/// Forwarding on a /127 makes the kernel no anycast address of its first one (RFC 6164), and a /31
/// has no broadcast (RFC 3021): gateway and sandbox have both.
#[test]
fn two_addresses_are_a_network() {
    let lab = Lab::new("tiny");
    let _agent = lab.agent("");
    lab.netd("network create --ipv6 --subnet 10.9.0.0/31 --subnet fd00:9::/127 tiny");
    lab.netd("sandbox create --name a --network tiny");
    let sandbox = lab.sandbox("a");
    assert_eq!(lab.address("a", "tiny").to_string(), "10.9.0.1");
    assert_eq!(lab.address6("a", "tiny").to_string(), "fd00:9::1");
    for address in [
        "10.9.0.0",
        "fd00:9::",
        addresses::OUTSIDE,
        addresses::OUTSIDE6,
        addresses::PUBLIC,
        addresses::PUBLIC6,
    ] {
        sandbox.ok(&format!("ping -n -c 1 -W 5 {address}"));
    }
    for address in ["10.9.0.1", "fd00:9::1"] {
        lab.host().ok(&format!("ping -n -c 1 -W 5 {address}"));
    }
    // Without a gateway both are sandboxes'.
    let isolated = "com.docker.network.bridge.gateway_mode_ipv";
    lab.netd(&format!(
        "network create --internal --ipv6 --subnet 10.9.1.0/31 --subnet fd00:91::/127 \
         -o {isolated}4=isolated -o {isolated}6=isolated pair"
    ));
    for name in ["left", "right"] {
        lab.netd(&format!("sandbox create --name {name} --network pair"));
    }
    for address in ["10.9.1.1", "fd00:91::1"] {
        let left = lab.sandbox("left");
        left.ok(&format!("ping -n -c 1 -W 5 {address}"));
    }
    let full = lab.netd_refuses("sandbox create --name b --network tiny");
    assert!(
        full.stderr
            .contains("no available IPv4 addresses on this network's address pools: tiny"),
        "{}",
        full.stderr
    );
}

#[test]
fn subnets_are_kept_off_the_hosts_own() {
    let lab = Lab::new("host-ranges");
    // As some VPNs have them; they say nothing of what is in use.
    for half in ["0.0.0.0/1", "128.0.0.0/1"] {
        lab.host()
            .ok(&format!("ip route add {half} via {}", addresses::OUTSIDE));
    }
    lab.host().ok(&format!(
        "ip route add 172.18.0.0/15 via {}",
        addresses::OUTSIDE
    ));
    let _agent = lab.agent("");
    lab.netd("network create app");
    let config = lab.netd("network inspect -f '{{json .IPAM.Config}}' app");
    assert!(config.contains("172.20.0.0/16"), "{config}");
    for (subnet, why) in [
        ("198.18.0.0/25", "address 198.18.0.2/24 (eth0)"),
        ("172.19.7.0/24", "route 172.18.0.0/15"),
    ] {
        let refused = lab.netd_refuses(&format!("network create --subnet {subnet} x"));
        let text = format!("subnet {subnet} overlaps with");
        assert!(refused.stderr.contains(&text), "{}", refused.stderr);
        assert!(
            refused.stderr.contains("--force"),
            "{why}: {}",
            refused.stderr
        );
    }
    lab.netd("network create --force --subnet 172.19.7.0/24 x");
    lab.netd("sandbox create --name a --network x");
    lab.sandbox("a").ok("ping -n -c 1 -W 5 172.19.7.1");
}

#[test]
fn automatic_subnets_outlive_the_agent() {
    let lab = Lab::new("same-subnets");
    let mut agent = lab.agent("");
    lab.netd("network create --ipv6 --subnet 0.0.0.0/24 --subnet ::/120 sized");
    lab.netd("network create --ipv6 whole");
    lab.netd("sandbox create --name a --network sized");
    lab.netd("network connect whole a");
    let seen = || {
        let configs = lab.netd("network inspect -f '{{json .IPAM.Config}}' sized whole");
        let addresses = lab.sandbox("a").ok("ip -o address show scope global");
        let bridges = ["sized", "whole"].map(|network| {
            let bridge = lab.bridge_of(network);
            lab.host()
                .ok(&format!("ip -o address show dev {bridge} scope global"))
        });
        (configs, addresses, bridges)
    };
    let before = seen();
    assert!(
        before.0.contains("/24") && before.0.contains("/120"),
        "{before:?}"
    );
    agent.kill();
    agent.start_again().expect("it starts");
    assert_eq!(seen(), before);
    let gateway = lab.gateway6("a", "sized");
    lab.sandbox("a").ok(&format!("ping -n -c 1 -W 5 {gateway}"));
}

#[test]
fn the_default_network_follows_its_settings() {
    let lab = Lab::new("default-v6");
    for prefix in ["fd00:17:a", "fd00:17:b"] {
        let mut agent = lab.agent(&format!("--ipv6 --fixed-cidr-v6 {prefix}::/64"));
        lab.netd("sandbox create --name a");
        let sandbox = lab.sandbox("a");
        assert_eq!(
            lab.address6("a", "bridge").to_string(),
            format!("{prefix}::2")
        );
        sandbox.ok(&format!("ping -n -c 1 -W 5 {}", addresses::PUBLIC6));
        let bridge = lab
            .host()
            .ok("ip -6 -o address show dev netd0 scope global");
        assert!(bridge.contains(&format!("{prefix}::1/64")), "{bridge}");
        assert_eq!(bridge.lines().count(), 1, "{bridge}");
        lab.netd("sandbox rm a");
        agent.stop();
    }
}

/// On a link of the host others keep what they know of an address: they are told of its next holder.
#[test]
fn a_macvlan_sandbox_announces_its_addresses() {
    let lab = Lab::new("announce");
    let _agent = lab.agent("");
    lab.netd(
        "network create -d macvlan -o parent=eth0 --subnet 198.18.0.0/24 --gateway 198.18.0.1 \
         --ipv6 --subnet 2001:db8:18::/64 --gateway 2001:db8:18::1 mv",
    );
    let (v4, v6) = ("198.18.0.150", "2001:db8:18::150");
    let create = |mac: &str| {
        lab.netd(&format!(
            "sandbox create --name a --network mv --ip {v4} --ip6 {v6} --mac-address {mac}"
        ));
    };
    let (former, next) = ("02:00:00:00:00:01", "02:00:00:00:00:02");
    create(former);
    let addresses = [v4, v6].map(|text| text.parse().expect("an address"));
    for address in addresses {
        lab.outside().ok(&format!("ping -n -c 1 -W 5 {address}"));
        assert_eq!(noted_mac(lab.outside(), address), former);
    }
    lab.netd("sandbox rm a");
    create(next);
    // Nobody has sent anything to it since.
    lab.wait_until("the outside was told", Duration::from_secs(20), || {
        addresses.map(|address| noted_mac(lab.outside(), address)) == [next, next]
    });
}

/// Messages of a capture that announce an address: IPv4 or IPv6.
fn announcements(captured: &str, address: &str) -> usize {
    let announces = |line: &&str| {
        line.contains(&format!("who-has {address} tell {address},"))
            || (line.contains("neighbor advertisement")
                && line.contains(&format!("tgt is {address}, Flags [override]")))
    };
    captured.lines().filter(announces).count()
}

#[test]
fn addresses_are_announced_as_often_as_the_network_says() {
    let lab = Lab::new("announced");
    let _agent = lab.agent("");
    let option = "com.docker.network.advertise_addr";
    let network = |kind: &str, name: &str, messages: u32, interval: u32| {
        lab.netd(&format!(
            "network create {kind} -o {option}_nmsgs={messages} -o {option}_ms={interval} {name}"
        ));
    };
    let on = |n: u32| {
        format!("-d macvlan -o parent=eth0 --ipv6 --subnet 10.66.{n}.0/24 --subnet fd66:{n}::/64")
    };
    network(&on(0), "never", 0, 100);
    network(&on(2), "twice", 2, 100);
    network(&on(3), "gone", 3, 2000);
    network(&on(4), "thrice", 3, 1500);
    network(
        "--ipv6 --subnet 10.66.5.0/24 --subnet fd66:5::/64",
        "bridged",
        2,
        100,
    );
    lab.netd("network create --subnet 10.66.6.0/24 quiet");
    let wire = Capture::start(lab.outside(), "eth0", "arp or icmp6").expect("tcpdump");
    let host = Capture::start(lab.host(), "any", "arp or icmp6").expect("tcpdump");
    for network in ["never", "twice", "gone", "bridged", "quiet"] {
        lab.netd(&format!(
            "sandbox create --name {network} --network {network}"
        ));
    }
    let of = |n: u32| [format!("10.66.{n}.2"), format!("fd66:{n}::2")];
    let count = |capture: &Capture, n: u32| {
        let text = capture.so_far();
        of(n).map(|address| announcements(&text, &address))
    };
    let patience = Duration::from_secs(60);
    lab.wait_until("the first message of one that goes", patience, || {
        count(&wire, 3).iter().all(|count| *count > 0)
    });
    lab.netd("sandbox rm gone");
    let before = count(&wire, 3);
    // Everything else is long over when the last message of this one comes.
    lab.netd("sandbox create --name thrice --network thrice");
    lab.wait_until("three messages", patience, || count(&wire, 4) == [3, 3]);
    assert_eq!(count(&wire, 0), [0, 0]);
    assert_eq!(count(&wire, 2), [2, 2]);
    assert_eq!(count(&wire, 3), before, "of a sandbox that is gone");
    // On a bridge only where it was asked for; whoever looks at the host's side sees it.
    assert_eq!(count(&host, 5), [2, 2]);
    assert_eq!(count(&host, 6), [0, 0]);
    let seen = wire.stop().expect("tcpdump") + &host.stop().expect("tcpdump");
    assert_eq!(Capture::wrong_checksums(&seen), [""; 0]);
}

/// Of IPv6 the whole of fe80::/64, as in Docker: addresses need the interface's name beside them.
#[test]
fn link_local_subnets_are_networks_like_others() {
    let lab = Lab::new("link-local");
    let _agent = lab.agent("");
    let refused = lab.netd_refuses("network create --ipv6 --subnet fe80::/80 x");
    assert_eq!(
        refused.stderr.trim(),
        "netd: 'fe80::/80' clashes with the Link-Local prefix 'fe80::/64'"
    );
    lab.netd("network create --ipv6 --subnet 169.254.77.0/24 --subnet fe80::/64 ll");
    for name in ["a", "b"] {
        lab.netd(&format!("sandbox create --name {name} --network ll"));
    }
    let a = lab.sandbox("a");
    assert_eq!(lab.address6("b", "ll").to_string(), "fe80::3");
    for address in [
        "169.254.77.3",
        "fe80::3%eth0",
        "169.254.77.1",
        "fe80::1%eth0",
    ] {
        a.ok(&format!("ping -n -c 1 -W 5 {address}"));
    }
    // Outside nobody sees them.
    a.ok(&format!("ping -n -c 1 -W 5 {}", addresses::PUBLIC));
    let bridge = lab.bridge_of("ll");
    for address in ["169.254.77.2".to_owned(), format!("fe80::2%{bridge}")] {
        lab.host().ok(&format!("ping -n -c 1 -W 5 {address}"));
    }
    lab.netd("network create --ipv6 --subnet fe80:0:0:1::/64 other");
}

#[test]
fn sysctls_of_the_interface_inside() {
    let lab = Lab::new("sysctls");
    let _agent = lab.agent("");
    lab.netd("network create --ipv6 --subnet 10.67.0.0/24 --subnet fd67::/64 app");
    let option = "com.docker.network.endpoint.sysctls";
    lab.netd("sandbox create --name a --network app");
    lab.netd("network create --subnet 10.68.0.0/24 more");
    let sysctls = "net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.ifname.disable_ipv6=0,\
         net.ipv4.neigh.IFNAME.mcast_solicit=0x7";
    lab.netd(&format!(
        "network connect --driver-opt {option}={sysctls} more a"
    ));
    let a = lab.sandbox("a");
    for (key, value) in [
        ("net.ipv4.conf.eth1.log_martians", "1"),
        ("net.ipv4.conf.eth0.log_martians", "0"),
        // Which netd would switch off on a network without IPv6.
        ("net.ipv6.conf.eth1.disable_ipv6", "0"),
        ("net.ipv4.neigh.eth1.mcast_solicit", "7"),
    ] {
        assert_eq!(a.read_sysctl(key).expect("the sysctl"), value, "{key}");
    }
    let opts = lab.netd("sandbox inspect -f '{{json .Networks.more.DriverOpts}}' a");
    assert!(opts.contains("mcast_solicit=0x7"), "{opts}");
    // An interface that is not to speak IPv6 has no address of it.
    let off = "net.ipv6.conf.IFNAME.disable_ipv6=1";
    lab.netd(&format!(
        "sandbox create --name b --network name=app,driver-opt={option}={off}"
    ));
    let listed = lab.sandbox("b").ok("ip -o address show dev eth0");
    assert!(
        listed.contains(" inet ") && !listed.contains("inet6"),
        "{listed}"
    );
    for (given, text) in [
        (
            "net.ipv4.ip_forward=1",
            "unrecognised network interface sysctl 'net.ipv4.ip_forward=1'",
        ),
        ("net.ipv4.conf.IFNAME.nosuch=1", "net/ipv4/conf/eth1/nosuch"),
        ("net.ipv4.conf.IFNAME.forwarding=maybe", "Invalid argument"),
    ] {
        let line = format!("network connect --driver-opt {option}={given} more b");
        let refused = lab.netd_refuses(&line);
        assert!(refused.stderr.contains(text), "{line}: {}", refused.stderr);
    }
    lab.sandbox("b").fails("ip link show dev eth1");
}

/// What somebody inside gives himself is looked for in the network first (RFC 4862 section 5.4): netd
/// answers for who has it.
#[test]
fn who_takes_anothers_address_is_told() {
    let app = App::start("duplicate");
    let (own, free) = (app.lab.address6("web", "app"), "fd00:dad::1");
    for address in [own.to_string(), free.to_owned()] {
        app.client
            .ok(&format!("ip -6 address add {address}/64 dev eth0"));
    }
    let state = |flag: &str| {
        app.client
            .ok(&format!("ip -6 -o address show dev eth0 {flag}"))
    };
    let patience = Duration::from_secs(20);
    app.lab.wait_until("both were looked for", patience, || {
        let waiting = state("tentative");
        // One that failed stays tentative.
        !waiting.contains(free) && waiting.lines().all(|line| line.contains("dadfailed"))
    });
    assert!(state("dadfailed").contains(&own.to_string()));
    assert!(!state("dadfailed").contains(free));
    let _server = EchoServer::start(&app.web, PORT);
    reaches(&app.client, app.lab.address("web", "app"), PORT);
}
