//! Journey 1: inside a network and between networks. Who may talk does, both families; who may not
//! does not, whatever the protocol; and without the programs the bridge fails closed.

use std::time::Duration;

use netd_tests::lab::{
    App, Capture, EXPERIMENTAL, EchoServer, Namespace, ethernet, is_kept_from, pins, reaches,
};

const PORT: u16 = 7000;
const LIMIT: Duration = Duration::from_secs(5);
const ICC_OFF: &str = "-o com.docker.network.bridge.enable_icc=false";

#[test]
fn sandboxes_of_a_network_reach_each_other_as_they_are() {
    let app = App::start("same");
    let _server = EchoServer::start(&app.web, PORT);
    let lab = &app.lab;
    for (web, client) in [
        (lab.address("web", "app"), lab.address("client", "app")),
        (lab.address6("web", "app"), lab.address6("client", "app")),
    ] {
        assert_eq!(reaches(&app.client, web, PORT), client);
        // No hop in between.
        let ping = app.client.ok(&format!("ping -n -c 1 -W 5 {web}"));
        assert!(ping.contains("ttl=64"), "{ping}");
    }
}

/// An address that the kernel gives an interface is nobody's: netd cannot tell whose it is.
#[test]
fn link_local_addresses_of_the_kernels_are_nobodys() {
    for (name, options) in [("same-zone", ""), ("same-zone-internal", "--internal")] {
        let app = App::with(name, options, "");
        let shown = app.web.ok("ip -6 -brief address show dev eth0 scope link");
        let address = shown
            .split_whitespace()
            .find(|word| word.starts_with("fe80:"));
        let address = address.and_then(|word| word.split('/').next());
        let address = address.expect("a link-local address");
        app.client
            .fails(&format!("ping -n -c 1 -W 0.7 {address}%eth0"));
        let told = app.lab.netd("drops");
        assert!(app.lab.drops("no-such-neighbor") > 0, "{told}");
        // Inside, the gateway and the neighbour's own address are reached as ever.
        let _server = EchoServer::start(&app.web, PORT);
        reaches(&app.client, app.lab.address6("web", "app"), PORT);
    }
}

#[test]
fn checksums_are_right_on_the_way() {
    let app = App::start("same-sums");
    for sandbox in [&app.web, &app.client] {
        sandbox.offload("eth0", false).expect("offload");
    }
    let _server = EchoServer::start(&app.web, PORT);
    let capture = Capture::start(&app.web, "eth0", "ip or ip6").expect("tcpdump");
    reaches(&app.client, app.lab.address("web", "app"), PORT);
    reaches(&app.client, app.lab.address6("web", "app"), PORT);
    let text = capture.stop().expect("the capture");
    assert!(
        text.contains("(correct)") && text.contains("udp sum ok"),
        "{text}"
    );
    assert!(Capture::wrong_checksums(&text).is_empty(), "{text}");
}

#[test]
fn with_icc_off_nothing_passes() {
    let app = App::with("icc", ICC_OFF, "");
    let _server = EchoServer::start(&app.web, PORT);
    let lab = &app.lab;
    is_kept_from(&app.client, lab.address("web", "app"), PORT);
    is_kept_from(&app.client, lab.address6("web", "app"), PORT);
    assert!(lab.drops("icc-off") >= 6, "{}", lab.netd("drops"));
    nothing_else_gets_through(&app.client, &app.web);
    assert!(lab.drops("unknown-ethertype") >= 2, "{}", lab.netd("drops"));
}

#[test]
fn sandboxes_of_two_networks_do_not_reach_each_other() {
    let app = App::start("isolated");
    let lab = &app.lab;
    lab.netd("network create --ipv6 other");
    lab.netd("sandbox create --name stranger --network other");
    let stranger = lab.sandbox("stranger");
    let _server = EchoServer::start(&app.web, PORT);
    is_kept_from(&stranger, lab.address("web", "app"), PORT);
    is_kept_from(&stranger, lab.address6("web", "app"), PORT);
    assert!(lab.drops("other-network") >= 6, "{}", lab.netd("drops"));
    nothing_else_gets_through(&stranger, &app.web);
    assert!(lab.drops("unknown-ethertype") >= 2, "{}", lab.netd("drops"));
}

#[test]
fn a_sandbox_on_two_networks_reaches_both() {
    let app = App::start("two-networks");
    let lab = &app.lab;
    lab.netd("network create --ipv6 other");
    lab.netd("sandbox create --name stranger --network other");
    lab.netd("network connect other client");
    let _server = EchoServer::start(&app.web, PORT);
    let stranger = lab.sandbox("stranger");
    let _other = EchoServer::start(&stranger, PORT);
    let there = lab.address("stranger", "other");
    assert_eq!(
        reaches(&app.client, lab.address("web", "app"), PORT),
        lab.address("client", "app")
    );
    assert_eq!(
        reaches(&app.client, there, PORT),
        lab.address("client", "other")
    );
    lab.netd("network disconnect other client");
    is_kept_from(&app.client, there, PORT);
    reaches(&app.client, lab.address("web", "app"), PORT);
}

#[test]
fn without_the_programs_the_bridge_fails_closed() {
    let mut app = App::start("closed");
    let _server = EchoServer::start(&app.web, PORT);
    let (web, web6) = (
        app.lab.address("web", "app"),
        app.lab.address6("web", "app"),
    );
    reaches(&app.client, web, PORT);
    // No agent that could repair it; the links go with their pins.
    app.agent.kill();
    app.lab
        .host()
        .ok(&format!("find {}/links -type f -delete", pins()));
    // Before Linux 6.6 they hang on a qdisc instead, which needs no pin. Others have none.
    app.lab.host().ok(
        "sh -c 'for link in $(ip -o link show | cut -d: -f2 | cut -d@ -f1); \
         do tc qdisc del dev $link clsact 2>/dev/null; done; true'",
    );
    // The kernel lets go of them a moment later.
    app.lab
        .wait_until("the programs are gone", LIMIT, || !pings(&app.client, web));
    is_kept_from(&app.client, web, PORT);
    is_kept_from(&app.client, web6, PORT);
    nothing_else_gets_through(&app.client, &app.web);
}

/// What no address of netd's is in: link-local, multicast, broadcast, and frames of an EtherType that
/// netd does not know, to the neighbour's MAC and to all. Not one of them arrives.
#[track_caller]
fn nothing_else_gets_through(from: &Namespace, to: &Namespace) {
    let (source, target) = (mac_of(from), mac_of(to));
    let filter = format!("ether src {source}");
    let sent = Capture::start(from, "eth0", &filter).expect("tcpdump");
    let received = Capture::start(to, "eth0", &filter).expect("tcpdump");
    let link_local = to.ok("ip -6 -brief address show dev eth0 scope link");
    if let Some(address) = link_local
        .split_whitespace()
        .find(|word| word.contains('/'))
    {
        let address = address.split('/').next().expect("an address");
        from.fails(&format!("ping -n -c 1 -W 0.5 {address}%eth0"));
    }
    for all in ["ff02::1%eth0", "-b 255.255.255.255", "224.0.0.1"] {
        // Its own system may answer; whether somebody else does is what the capture tells.
        from.run(&format!("ping -n -c 1 -W 0.5 -I eth0 {all}"))
            .expect("ping");
    }
    for target in [target.as_str(), "ff:ff:ff:ff:ff:ff"] {
        from.send_frame("eth0", &ethernet(target, &source, EXPERIMENTAL))
            .expect("a frame");
    }
    let sent = sent.stop().expect("the capture");
    assert!(sent.matches("0x88b5").count() >= 2, "{sent}");
    assert!(
        sent.contains("ff02::1") && sent.contains("224.0.0.1"),
        "{sent}"
    );
    let received = received.stop().expect("the capture");
    assert_eq!(received.trim(), "");
}

fn pings(from: &Namespace, to: std::net::IpAddr) -> bool {
    from.run(&format!("ping -n -c 1 -W 0.3 {to}"))
        .is_ok_and(|ping| ping.succeeded())
}

#[track_caller]
fn mac_of(sandbox: &Namespace) -> String {
    let link = sandbox.ok("ip -o link show dev eth0");
    let mac = link
        .split_whitespace()
        .skip_while(|word| *word != "link/ether")
        .nth(1);
    mac.expect("a MAC").to_owned()
}
