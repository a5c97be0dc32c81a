//! Macvlan networks: sandboxes with addresses of their own on a link of the host, in each mode; live
//! changes, repair, end. VLANs and networks without a parent: `optional_links`.

use std::{net::IpAddr, time::Duration};

use netd_tests::lab::{
    Agent, EchoServer, Lab, Namespace, Traces, addresses::*, is_kept_from, reaches,
};

const PORT: u16 = 7000;
/// A busy test machine gets more than the 2 s that are promised.
const TOLD: Duration = Duration::from_secs(20);
/// The lab's segment, both families; sandboxes get the upper half of IPv4.
const ON_SEGMENT: &str = "--subnet 198.18.0.0/24 --ip-range 198.18.0.128/27 --gateway 198.18.0.1 \
    --ipv6 --subnet 2001:db8:18::/64 --ip-range 2001:db8:18::8000/113 --gateway 2001:db8:18::1";

fn start(name: &str) -> (Lab, Agent) {
    let lab = Lab::new(name);
    let agent = lab.agent("");
    (lab, agent)
}

fn two_sandboxes(lab: &Lab, network: &str) -> (Namespace, Namespace) {
    for name in ["one", "two"] {
        lab.netd(&format!("sandbox create --name {name} --network {network}"));
    }
    (lab.sandbox("one"), lab.sandbox("two"))
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn sandboxes_are_neighbours_of_the_hosts_neighbours() {
    let (lab, _agent) = start("macvlan");
    lab.netd(&format!(
        "network create -d macvlan -o parent=eth0 {ON_SEGMENT} mv"
    ));
    let (one, two) = two_sandboxes(&lab, "mv");
    let first = lab.address("one", "mv");
    assert_eq!(first, address("198.18.0.128"));
    let link = one.ok("ip -d link show dev eth0");
    assert!(link.contains("macvlan mode bridge"), "{link}");
    assert!(link.contains("02:42:c6:12:00:80"), "{link}");
    assert_eq!(lab.mac("one", "mv"), "02:42:c6:12:00:80");
    let _server = EchoServer::start(&one, PORT);
    let _outside = EchoServer::start(lab.outside(), PORT);
    for (one, two_, outside, public) in [
        (first, lab.address("two", "mv"), OUTSIDE, PUBLIC),
        (
            lab.address6("one", "mv"),
            lab.address6("two", "mv"),
            OUTSIDE6,
            PUBLIC6,
        ),
    ] {
        // Everybody sees everybody's own address: nothing is translated.
        assert_eq!(reaches(&two, one, PORT), two_);
        assert_eq!(reaches(&two, address(outside), PORT), two_);
        assert_eq!(reaches(&two, address(public), PORT), two_);
        assert_eq!(reaches(lab.outside(), one, PORT), address(outside));
        // But for the host, which its own link keeps apart (a rule of the kernel's driver).
        is_kept_from(lab.host(), one, PORT);
    }
    // Names are those of any network, asked for by loopback.
    let found = lab.netd("exec two -- getent ahostsv4 one");
    assert!(found.starts_with("198.18.0.128 "), "{found}");
    let found = lab.netd("exec two -- getent ahostsv6 one.mv");
    assert!(found.starts_with("2001:db8:18::8000 "), "{found}");
    let routes = one.ok("ip route") + &one.ok("ip -6 route");
    assert!(
        routes.contains("default via 198.18.0.1 dev eth0"),
        "{routes}"
    );
    assert!(
        routes.contains("default via 2001:db8:18::1 dev eth0"),
        "{routes}"
    );
}

#[test]
fn private_sandboxes_do_not_meet() {
    let (lab, _agent) = start("macvlan-private");
    lab.netd(&format!(
        "network create -d macvlan -o parent=eth0 -o macvlan_mode=private {ON_SEGMENT} mv"
    ));
    let (one, two) = two_sandboxes(&lab, "mv");
    let _server = EchoServer::start(&one, PORT);
    let _outside = EchoServer::start(lab.outside(), PORT);
    is_kept_from(&two, lab.address("one", "mv"), PORT);
    reaches(&two, address(OUTSIDE), PORT);
    reaches(lab.outside(), lab.address("one", "mv"), PORT);
}

#[test]
fn vepa_sandboxes_meet_at_the_switch() {
    let (lab, _agent) = start("macvlan-vepa");
    lab.netd(&format!(
        "network create -d macvlan -o parent=eth0 -o macvlan_mode=vepa {ON_SEGMENT} mv"
    ));
    let (one, two) = two_sandboxes(&lab, "mv");
    let _server = EchoServer::start(&one, PORT);
    is_kept_from(&two, lab.address("one", "mv"), PORT);
    // A switch that sends frames back where they came from.
    lab.segment()
        .ok("ip link set dev host type bridge_slave hairpin on");
    two.ok("ip neigh flush all");
    reaches(&two, lab.address("one", "mv"), PORT);
}

#[test]
fn passthru_has_the_parent_to_itself() {
    let (lab, _agent) = start("macvlan-passthru");
    lab.host().ok(&format!(
        "ip link add p0 type veth peer name p1 netns {}",
        lab.outside().path().display()
    ));
    lab.host().ok("ip link set p0 up");
    lab.outside().ok("ip link set p1 up");
    lab.outside().ok("ip address add 10.77.0.1/24 dev p1");
    lab.netd(
        "network create -d macvlan -o parent=p0 -o macvlan_mode=passthru --subnet 10.77.0.0/24 mv",
    );
    let link = lab.host().ok("ip -o link show dev p0");
    let before = link.split("link/ether ").nth(1).expect("its address");
    let before = &before[.."02:42:00:00:00:00".len()];
    lab.netd("sandbox create --name one --network mv");
    let one = lab.sandbox("one");
    assert_eq!(lab.mac("one", "mv"), before);
    let link = one.ok("ip -d link show dev eth0");
    assert!(
        link.contains("macvlan mode passthru") && link.contains(before),
        "{link}"
    );
    let _outside = EchoServer::start(lab.outside(), PORT);
    reaches(&one, address("10.77.0.1"), PORT);
    let refused = lab.netd_refuses("sandbox create --name two --network mv");
    assert_eq!(
        refused.stderr.trim(),
        "netd: network mv is in mode passthru: sandbox one has its parent p0 to itself"
    );
    // Afterwards it is the host's again, as it was.
    lab.netd("sandbox rm one");
    let after = lab.host().ok("ip -d link show dev p0");
    assert!(
        after.contains(before) && after.contains("promiscuity 0"),
        "{after}"
    );
}

#[test]
fn networks_are_connected_and_disconnected_live() {
    let (lab, _agent) = start("macvlan-live");
    lab.netd(&format!(
        "network create -d macvlan -o parent=eth0 {ON_SEGMENT} mv"
    ));
    lab.netd("network create --subnet 10.88.0.0/24 app");
    lab.netd("sandbox create --name one --network app");
    let one = lab.sandbox("one");
    let _outside = EchoServer::start(lab.outside(), PORT);
    assert_eq!(reaches(&one, address(PUBLIC), PORT), address(HOST));
    lab.netd("network connect --ip 198.18.0.200 --gw-priority 1 mv one");
    assert_eq!(
        reaches(&one, address(PUBLIC), PORT),
        address("198.18.0.200")
    );
    let routes = one.ok("ip route");
    assert!(
        routes.contains("default via 198.18.0.1 dev eth1"),
        "{routes}"
    );
    lab.netd("network disconnect mv one");
    assert_eq!(reaches(&one, address(PUBLIC), PORT), address(HOST));
    one.fails("ip link show dev eth1");
    // Numbers of interfaces grow.
    lab.netd("network connect mv one");
    one.ok("ip link show dev eth2");
}

#[test]
fn what_is_broken_is_repaired_and_a_new_agent_touches_nothing() {
    let (lab, mut agent) = start("macvlan-drift");
    lab.netd(&format!(
        "network create -d macvlan -o parent=eth0 {ON_SEGMENT} mv"
    ));
    lab.netd("sandbox create --name one --network mv");
    let one = lab.sandbox("one");
    let _outside = EchoServer::start(lab.outside(), PORT);
    let is_there = || {
        let ping = one.run(&format!("ping -n -c 1 -W 0.5 {PUBLIC}"));
        ping.is_ok_and(|ping| ping.succeeded())
    };
    one.ok("ip link delete eth0");
    lab.wait_until("eth0 is back with its route", TOLD, is_there);
    one.ok("ip route delete default");
    lab.wait_until("the route is back", TOLD, is_there);
    let link = one.ok("ip -o link show dev eth0");
    agent.kill();
    reaches(&one, address(PUBLIC), PORT);
    agent.start_again().expect("the agent");
    assert_eq!(one.ok("ip -o link show dev eth0"), link);
    let log = agent.log();
    assert!(!log.contains("repaired"), "{log}");
    reaches(&one, address(PUBLIC), PORT);
}

#[test]
fn down_takes_it_out_of_namespaces_that_stay() {
    let lab = Lab::new("macvlan-down");
    let guest = lab.namespace("guest").expect("a namespace");
    let before = Traces::of(&lab);
    let mut agent = lab.agent("");
    lab.netd(&format!(
        "network create -d macvlan -o parent=eth0 -o netd.macvlan.host_access=true {ON_SEGMENT} mv"
    ));
    lab.netd(&format!(
        "sandbox create --name guest --netns {} --network mv",
        guest.path().display()
    ));
    lab.netd("sandbox create --name made --network mv");
    guest.ok("ip link show dev eth0");
    agent.kill();
    let said = lab.netd("down -f");
    assert!(said.contains("delete interface eth0 in sandbox"), "{said}");
    guest.fails("ip link show dev eth0");
    Traces::of(&lab).are_those_of(&before);
}

#[test]
fn a_vlan_of_the_hosts_own_is_left_alone() {
    let (lab, _agent) = start("macvlan-own-vlan");
    let link = "ip link add link eth0 name eth0.20 type vlan id 20";
    if !lab.host().run(link).expect("ip").succeeded() {
        // What has the name of a VLAN and is no link of the host's cannot be made.
        let refused = lab
            .netd_refuses("network create -d macvlan -o parent=eth0.20 --subnet 10.20.0.0/24 v20");
        assert!(
            refused.stderr.starts_with(
                "netd: create VLAN interface eth0.20 (number 20 of eth0): Operation not supported"
            ),
            "{}",
            refused.stderr
        );
        // A link of the host's is left alone whatever its kind.
        lab.host()
            .ok("ip link add eth0.20 type veth peer name peer20");
        lab.host().ok("ip link set eth0.20 up");
        is_left_alone(&lab);
        return;
    }
    lab.host().ok("ip link set eth0.20 up");
    is_left_alone(&lab);
    let link = lab.host().ok("ip -d link show dev eth0.20");
    assert!(link.contains("vlan protocol 802.1Q id 20"), "{link}");
}

/// A parent that netd did not make is the same after a network on it as before.
#[track_caller]
fn is_left_alone(lab: &Lab) {
    let shown = || lab.host().ok("ip -o link show dev eth0.20");
    let before = shown();
    lab.netd("network create -d macvlan -o parent=eth0.20 --subnet 10.20.0.0/24 v20");
    lab.netd("sandbox create --name one --network v20");
    let inside = lab.sandbox("one").ok("ip -d link show dev eth0");
    assert!(inside.contains("macvlan mode bridge"), "{inside}");
    assert_eq!(shown(), before);
    lab.netd("sandbox rm one");
    lab.netd("network rm v20");
    let after = shown();
    assert_eq!(after, before);
    assert!(!after.contains("netd:"), "{after}");
}
