//! Multicast and broadcast inside a network with real sockets: who has joined receives, of both
//! families, also from and to the host; other networks do not; and ICC off holds.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use netd_tests::lab::{App, Capture, Lab, Namespace, patient};
use nix::{
    net::if_::if_nametoindex,
    sys::socket::{setsockopt, sockopt},
};

const PORT: u16 = 5_353;
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const GROUP6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xabc);
const LATE: Duration = Duration::from_secs(5);
/// For what must not come.
const SOON: Duration = Duration::from_millis(500);

/// A socket that hears the groups on a link, and what is for everybody.
fn listener(at: &Namespace, link: &'static str, v6: bool) -> UdpSocket {
    let any = match v6 {
        false => IpAddr::from([0u8; 4]),
        true => IpAddr::from([0u16; 8]),
    };
    let socket = at.udp_bind(SocketAddr::new(any, PORT)).expect("a socket");
    let own = at.on(move || if_nametoindex(link)).expect("the link");
    if v6 {
        socket.join_multicast_v6(&GROUP6, own).expect("to join");
    } else {
        let address = address_on(at, link);
        socket.join_multicast_v4(&GROUP, &address).expect("to join");
    }
    socket
}

fn address_on(at: &Namespace, link: &str) -> Ipv4Addr {
    let text = at.ok(&format!("ip -4 -o addr show dev {link}"));
    let net = text
        .split_whitespace()
        .skip_while(|word| *word != "inet")
        .nth(1);
    let address = net
        .and_then(|net| net.split('/').next())
        .expect("an address");
    address.parse().expect("an address")
}

/// A socket that speaks to groups by a link.
fn speaker(at: &Namespace, link: &'static str, v6: bool) -> (UdpSocket, u32) {
    let any = match v6 {
        false => IpAddr::from(address_on(at, link)),
        true => IpAddr::from([0u16; 8]),
    };
    let socket = at.udp_bind(SocketAddr::new(any, 0)).expect("a socket");
    socket.set_broadcast(true).expect("broadcast");
    setsockopt(&socket, sockopt::BindToDevice, &link.into()).expect("the link");
    (
        socket,
        at.on(move || if_nametoindex(link)).expect("the link"),
    )
}

fn say(from: &Namespace, link: &'static str, to: IpAddr, text: &str) {
    let (socket, scope) = speaker(from, link, to.is_ipv6());
    let to = match to {
        IpAddr::V4(v4) => SocketAddr::from((v4, PORT)),
        IpAddr::V6(v6) => std::net::SocketAddrV6::new(v6, PORT, 0, scope).into(),
    };
    socket.send_to(text.as_bytes(), to).expect("to send");
}

#[track_caller]
fn hears(socket: &UdpSocket, who: &str, text: &str) {
    socket
        .set_read_timeout(Some(patient(LATE)))
        .expect("a limit");
    let mut bytes = [0; 200];
    match socket.recv(&mut bytes) {
        Ok(length) => assert_eq!(String::from_utf8_lossy(&bytes[..length]), text, "{who}"),
        Err(error) => panic!("{who} does not hear {text:?}: {error}"),
    }
}

#[track_caller]
fn hears_nothing(socket: &UdpSocket, who: &str) {
    socket.set_read_timeout(Some(SOON)).expect("a limit");
    let mut bytes = [0; 200];
    if let Ok(length) = socket.recv(&mut bytes) {
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        panic!("{who} hears {text:?}");
    }
}

#[test]
fn groups_are_heard_in_the_network_and_by_the_host() {
    let app = App::start("groups");
    let lab = &app.lab;
    lab.netd("sandbox create --name third --network app");
    lab.netd("network create --ipv6 other");
    lab.netd("sandbox create --name stranger --network other");
    let (third, stranger) = (lab.sandbox("third"), lab.sandbox("stranger"));
    let bridge: &'static str = lab.bridge_of("app").leak();
    for (at, link) in [
        (&app.web, "eth0"),
        (&app.client, "eth0"),
        (lab.host(), bridge),
    ] {
        at.offload(link, false).expect("offload");
    }
    let captures = [&app.web, &third]
        .map(|at| Capture::start(at, "eth0", &format!("udp port {PORT}")).expect("tcpdump"));
    let subnet = IpAddr::V4(broadcast_of(&app.client));
    for (v6, groups) in [
        (
            false,
            vec![GROUP.into(), Ipv4Addr::BROADCAST.into(), subnet],
        ),
        (true, vec![IpAddr::V6(GROUP6)]),
    ] {
        let members = [&app.web, &third].map(|at| listener(at, "eth0", v6));
        let host = listener(lab.host(), bridge, v6);
        let foreign = listener(&stranger, "eth0", v6);
        // Who speaks hears itself by its own loopback alone: once.
        for (number, group) in groups.into_iter().enumerate() {
            let text = format!("to {group} {number}");
            say(&app.client, "eth0", group, &text);
            for (socket, who) in members.iter().zip(["web", "third"]) {
                hears(socket, who, &text);
            }
            hears(&host, "the host", &text);
        }
        // The host speaks to the network, and to none else.
        let group = if v6 { IpAddr::V6(GROUP6) } else { GROUP.into() };
        say(lab.host(), bridge, group, "from the host");
        for (socket, who) in members.iter().zip(["web", "third"]) {
            hears(socket, who, "from the host");
            hears_nothing(socket, who);
        }
        hears_nothing(&foreign, "the stranger");
    }
    for capture in captures {
        let text = capture.stop().expect("the capture");
        assert!(text.contains("udp sum ok"), "{text}");
        let wrong = Capture::wrong_checksums(&text);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

/// The subnet's broadcast address.
fn broadcast_of(at: &Namespace) -> Ipv4Addr {
    let text = at.ok("ip -4 -o addr show dev eth0");
    let net = text
        .split_whitespace()
        .skip_while(|word| *word != "inet")
        .nth(1);
    let bits = net.and_then(|net| net.split('/').nth(1)).expect("a subnet");
    let bits: u32 = bits.parse().expect("a prefix length");
    let hosts = u32::MAX.checked_shr(bits).unwrap_or(0);
    (u32::from(address_on(at, "eth0")) | hosts).into()
}

#[test]
fn a_sandbox_hears_none_of_its_own() {
    let app = App::start("groups-own");
    let own = Capture::start(&app.client, "eth0", "-Q in udp").expect("tcpdump");
    let listening = listener(&app.web, "eth0", false);
    say(&app.client, "eth0", GROUP.into(), "once");
    hears(&listening, "web", "once");
    let text = own.stop().expect("the capture");
    assert_eq!(text.trim(), "");
    // And what the bridge gave back is no loss.
    assert_eq!(
        app.lab.drops("host-traffic"),
        0,
        "{}",
        app.lab.netd("drops")
    );
}

#[test]
fn with_icc_off_no_group_is_reached() {
    let app = App::with(
        "groups-icc",
        "-o com.docker.network.bridge.enable_icc=false",
        "",
    );
    for (v6, group) in [(false, IpAddr::V4(GROUP)), (true, IpAddr::V6(GROUP6))] {
        let listening = listener(&app.web, "eth0", v6);
        say(&app.client, "eth0", group, "a secret");
        hears_nothing(&listening, "web");
    }
    assert!(app.lab.drops("icc-off") >= 2, "{}", app.lab.netd("drops"));
}

#[test]
fn an_internal_network_has_groups_too() {
    let app = App::with("groups-internal", "--internal", "");
    let outside = Capture::start(app.lab.outside(), "eth0", "udp").expect("tcpdump");
    let listening = listener(&app.web, "eth0", false);
    say(&app.client, "eth0", GROUP.into(), "within");
    hears(&listening, "web", "within");
    assert_eq!(outside.stop().expect("the capture").trim(), "");
}

/// Forty sandboxes are forty copies.
#[test]
fn everybody_of_a_large_network_hears() {
    let lab = Lab::new("groups-many");
    let _agent = lab.agent("");
    lab.netd("network create app");
    let sandboxes: Vec<Namespace> = (0..40)
        .map(|number| {
            lab.netd(&format!("sandbox create --name s{number} --network app"));
            lab.sandbox(&format!("s{number}"))
        })
        .collect();
    let listening: Vec<UdpSocket> = sandboxes[1..]
        .iter()
        .map(|at| listener(at, "eth0", false))
        .collect();
    say(&sandboxes[0], "eth0", GROUP.into(), "all of you");
    for (number, socket) in listening.iter().enumerate() {
        hears(socket, &format!("s{}", number + 1), "all of you");
    }
}
