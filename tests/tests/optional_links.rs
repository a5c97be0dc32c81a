//! Links that not every kernel has: a VLAN that is an uplink, one that is made for macvlan networks, and the
//! dummy interface of a network without a parent. In one lab with one agent: an emulated machine takes long to
//! start another.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use netd_tests::lab::{
    App, Capture, EchoServer, Lab, addresses::*, asks, is_kept_from, reaches, udp_exchange,
};

const PORT: u16 = 7000;
const PUBLISHED: u16 = 8080;
/// A busy test machine gets more than the 2 s that are promised.
const TOLD: Duration = Duration::from_secs(20);
/// For an answer of which others follow.
const SHORT: Duration = Duration::from_millis(500);
/// The host's addresses on VLAN 30, and the outside's.
const NEAR: [&str; 2] = ["10.30.0.2", "2001:db8:30::2"];
const FAR: [&str; 2] = ["10.30.0.1", "2001:db8:30::1"];

fn ip(address: &str) -> IpAddr {
    address.parse().expect("an address")
}

#[test]
fn vlans_and_dummy_interfaces_where_the_kernel_has_them() {
    let app = App::with(
        "optional-links",
        "",
        &format!("-p {PUBLISHED}:{PORT} -p {PUBLISHED}:{PORT}/udp"),
    );
    let lab = &app.lab;
    let vlan = "link eth0 name eth0.30 type vlan id 30";
    if has(lab, vlan) {
        lab.outside().ok(&format!("ip link add {vlan}"));
        is_an_uplink(&app);
        is_made_and_removed(lab);
    } else {
        is_refused(
            lab,
            "-o parent=eth0.10",
            "VLAN interface eth0.10 (number 10 of eth0): Operation not supported",
        );
    }
    if has(lab, "dummy0 type dummy") {
        sandboxes_have_only_each_other(lab);
    } else {
        is_refused(lab, "--internal", "dummy interface dm-");
    }
}

/// Makes a link on the host; whether the kernel has that kind.
#[track_caller]
fn has(lab: &Lab, link: &str) -> bool {
    let made = lab.host().run(&format!("ip link add {link}")).expect("ip");
    // iproute2's words for EOPNOTSUPP.
    let unknown = made.stderr.contains("Unknown device type");
    assert!(made.succeeded() || unknown, "{}", made.describe());
    made.succeeded()
}

/// As the kernel says it; and nothing is left.
#[track_caller]
fn is_refused(lab: &Lab, options: &str, what: &str) {
    let create = format!("network create -d macvlan {options} --subnet 10.10.0.0/24 refused");
    let refused = lab.netd_refuses(&create).stderr;
    let told = refused.starts_with(&format!("netd: create {what}"));
    assert!(
        told && refused.contains("Operation not supported"),
        "{refused}"
    );
    let left = lab.netd("network ls -q --filter name=refused");
    assert_eq!(left, "", "a network that could not be made is not there");
}

/// Out by masquerade, in to a published port; on the wire with its tag and right checksums. The link below
/// stays an uplink.
#[track_caller]
fn is_an_uplink(app: &App) {
    let lab = &app.lab;
    for (at, [v4, v6]) in [(lab.host(), NEAR), (lab.outside(), FAR)] {
        at.ok(&format!("ip addr add {v4}/24 dev eth0.30"));
        at.ok(&format!("ip addr add {v6}/64 dev eth0.30 nodad"));
        at.ok("ip link set eth0.30 up");
    }
    let _far = EchoServer::start(lab.outside(), PORT);
    let _web = EchoServer::start(&app.web, PORT);
    for (at, device) in [
        (&app.web, "eth0"),
        (&app.client, "eth0"),
        (lab.outside(), "eth0"),
        (lab.outside(), "eth0.30"),
    ] {
        at.offload(device, false).expect("offload");
    }
    let wire = Capture::start(lab.outside(), "eth0", "vlan 30").expect("tcpdump");
    let captures = [(lab.outside(), "eth0.30"), (&app.web, "eth0")]
        .map(|(at, device)| Capture::start(at, device, "tcp or udp").expect("tcpdump"));
    for family in [0, 1] {
        let far = SocketAddr::new(ip(FAR[family]), PORT);
        lab.wait_until("the VLAN is an uplink", TOLD, || {
            udp_exchange(&app.client, far, SHORT).is_ok()
        });
        assert_eq!(
            reaches(&app.client, ip(FAR[family]), PORT),
            ip(NEAR[family])
        );
        let published = SocketAddr::new(ip(NEAR[family]), PUBLISHED);
        assert_eq!(asks(lab.outside(), published), ip(FAR[family]));
        let below = SocketAddr::new(ip([HOST, HOST6][family]), PUBLISHED);
        assert_eq!(asks(lab.outside(), below), ip([OUTSIDE, OUTSIDE6][family]));
    }
    let wire = wire.stop().expect("the capture");
    for address in NEAR {
        let tagged = wire.contains("vlan 30") && wire.contains(address);
        assert!(tagged, "{address} is not on the VLAN: {wire}");
    }
    for text in captures.map(|capture| capture.stop().expect("the capture")) {
        let seen = text.contains("(correct)") && text.contains("udp sum ok");
        assert!(seen, "no checksum was seen: {text}");
        let wrong = Capture::wrong_checksums(&text);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

#[track_caller]
fn is_made_and_removed(lab: &Lab) {
    for (network, options) in [("v10", "--gateway 10.10.0.1"), ("v11", "")] {
        let subnet = network.replace('v', "10.") + ".0.0/24";
        lab.netd(&format!(
            "network create -d macvlan -o parent=eth0.10 --subnet {subnet} {options} {network}"
        ));
    }
    let link = lab.host().ok("ip -d link show dev eth0.10");
    assert!(link.contains("vlan protocol 802.1Q id 10"), "{link}");
    assert!(link.contains("alias netd:parent:eth0.10"), "{link}");
    lab.outside()
        .ok("ip link add link eth0 name eth0.10 type vlan id 10");
    lab.outside().ok("ip link set eth0.10 up");
    lab.outside().ok("ip address add 10.10.0.1/24 dev eth0.10");
    lab.netd("sandbox create --name one --network v10");
    let one = lab.sandbox("one");
    let _outside = EchoServer::start(lab.outside(), PORT);
    let own = lab.address("one", "v10");
    assert_eq!(reaches(&one, ip("10.10.0.1"), PORT), own);
    // By its gateway further on, and seen by nobody without the tag.
    assert_eq!(reaches(&one, ip(PUBLIC), PORT), own);
    let _one = EchoServer::start(&one, PORT + 1);
    reaches(lab.outside(), own, PORT + 1);
    is_kept_from(lab.attacker(), own, PORT + 1);
    // Somebody deletes the VLAN.
    lab.host().ok("ip link delete eth0.10");
    lab.wait_until("the VLAN is back", TOLD, || {
        let ping = one.run("ping -n -c 1 -W 0.5 10.10.0.1");
        ping.is_ok_and(|ping| ping.succeeded())
    });
    lab.netd("sandbox rm one");
    lab.netd("network rm v10");
    lab.host().ok("ip link show dev eth0.10");
    lab.netd("network rm v11");
    lab.host().fails("ip link show dev eth0.10");
}

/// On a network without a parent.
#[track_caller]
fn sandboxes_have_only_each_other(lab: &Lab) {
    lab.netd("network create -d macvlan --internal --subnet 10.40.0.0/24 alone");
    let names = ["first", "second"];
    for name in names {
        lab.netd(&format!("sandbox create --name {name} --network alone"));
    }
    let [first, second] = names.map(|name| lab.sandbox(name));
    let to = ip("10.40.0.1");
    assert_eq!(lab.address("first", "alone"), to);
    let _server = EchoServer::start(&first, PORT);
    assert_eq!(reaches(&second, to, PORT), lab.address("second", "alone"));
    is_kept_from(lab.host(), to, PORT);
    let routes = first.ok("ip route");
    assert!(!routes.contains("default"), "{routes}");
    for name in names {
        lab.netd(&format!("sandbox rm {name}"));
    }
    lab.netd("network rm alone");
    let left = lab.host().ok("ip -o link show");
    assert!(!left.contains("dm-"), "{left}");
}
