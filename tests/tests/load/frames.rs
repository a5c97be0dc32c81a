//! Random octets on the wire, from a container and from outside: frames, also such as end within a
//! header, and IP packets of every length, of both families. (The differential test has every length at
//! every hook.)

use std::{collections::BTreeSet, fmt::Write as _, net::IpAddr};

use netd_common::packet::testing::Payload;
use netd_tests::lab::{App, EchoServer, Namespace, addresses::*, asks, octets};
use serde_json::{Deserializer, Value};

use crate::{
    PORT, SOON, at, is_well,
    shots::{Gun, packet},
};

const LONGEST: usize = 128;
/// Octets of an Ethernet header: a packet socket sends no shorter frame as it is.
const ETHERNET: usize = 14;
/// Octets of an IPv4 header.
const HEADER: usize = 20;
/// Octets of an IPv6 header.
const HEADER_V6: usize = 40;
const SEED: u64 = 0x6e65_7464;

/// Chance (SplitMix64).
struct Dice(u64);

impl Dice {
    fn octet(&mut self) -> u8 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed >> 40) as u8
    }
}

/// Sends frames of the lengths at which headers begin and end; every second one claims to be IP or ARP
/// of the sender. How many of them a packet socket takes.
fn frames(app: &App, from: &Namespace, mac: [[u8; 6]; 2], dice: &mut Dice) -> usize {
    const LENGTHS: [usize; 16] = [
        0, 1, 13, 14, 15, 18, 33, 34, 35, 42, 53, 54, 62, 74, 127, LONGEST,
    ];
    let mut script = String::new();
    for (number, length) in LENGTHS.into_iter().enumerate() {
        let mut frame: Vec<u8> = (0..length).map(|_| dice.octet()).collect();
        if number % 2 == 1 && length >= ETHERNET {
            frame[..6].copy_from_slice(&mac[0]);
            frame[6..12].copy_from_slice(&mac[1]);
            let ethertype = [[0x08, 0x00], [0x86, 0xdd], [0x08, 0x06]][number / 2 % 3];
            frame[12..14].copy_from_slice(&ethertype);
        }
        let octal = frame.iter().fold(String::new(), |mut text, octet| {
            let _ = write!(text, "\\{octet:03o}");
            text
        });
        // Too short ones are refused by the sender's own kernel.
        let _ = writeln!(
            script,
            "printf '{octal}' | socat -u - INTERFACE:eth0 2>/dev/null"
        );
    }
    script.push_str("exit 0\n");
    let world = app.lab.world();
    world.write("/run/lab/frames", &script).expect("a file");
    from.run_within("sh /run/lab/frames", 4 * SOON)
        .expect("the frames are sent");
    let taken = LENGTHS.into_iter().filter(|length| *length > ETHERNET);
    taken.count()
}

/// Sends packets of each length, random behind their addresses, in the family that those are of.
fn packets(from: &Namespace, source: IpAddr, to: IpAddr, dice: &mut Dice) {
    let gun = Gun::of(from);
    let header = if source.is_ipv4() { HEADER } else { HEADER_V6 };
    for length in header..=LONGEST {
        let payload = (header..length).map(|_| dice.octet()).collect();
        gun.shoot(&packet(source, to, Payload::Other(dice.octet(), payload)));
    }
}

/// Who talks with whom, of all flows.
fn flows(app: &App) -> BTreeSet<[String; 3]> {
    let listing = app.lab.netd("flow ls -f json");
    let values = Deserializer::from_str(&listing).into_iter::<Value>();
    let words = |value: Value| {
        ["Protocol", "Source", "Destination"]
            .map(|name| value[name].as_str().expect("a text").to_owned())
    };
    values.map(|value| words(value.expect("JSON"))).collect()
}

/// All drops, whatever the reason.
fn drops(app: &App) -> u64 {
    let listing = app.lab.netd("drops -f json");
    let values = Deserializer::from_str(&listing).into_iter::<Value>();
    values
        .map(|value| value.expect("JSON")["Packets"].as_u64().unwrap_or(0))
        .sum()
}

#[test]
fn random_frames_of_every_length_end_as_counted_drops() {
    let app = App::with("frames", "", "-p 8080:7000/tcp -p 8080:7000/udp");
    let lab = &app.lab;
    let _servers = [
        EchoServer::start(&app.web, PORT),
        EchoServer::start(lab.outside(), PORT),
    ];
    let at_eth0 = |namespace: &Namespace| octets(&namespace.mac("eth0"));
    println!("SEED={SEED}");
    let mut dice = Dice(SEED);
    let own = octets(&lab.mac("client", "app"));
    let before = drops(&app);
    let sent = frames(&app, &app.client, [[2, 0x42, 0, 0, 0, 1], own], &mut dice);
    // What a container sends and netd does not understand has a reason, each frame.
    let dropped = drops(&app) - before;
    assert!(dropped >= sent as u64, "{dropped} of {sent}");
    let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
    let attacker = lab.attacker().clone();
    let macs = [at_eth0(lab.host()), at_eth0(&attacker)];
    let client = [lab.address("client", "app"), lab.address6("client", "app")];
    for (own, to) in client.into_iter().zip([PUBLIC, PUBLIC6]) {
        packets(&app.client, own, ip(to), &mut dice);
    }
    // From outside nothing of this makes a flow.
    let before = flows(&app);
    frames(&app, &attacker, macs, &mut dice);
    for (own, to) in [(ATTACKER, HOST), (ATTACKER6, HOST6)] {
        packets(&attacker, ip(own), ip(to), &mut dice);
    }
    let new: Vec<_> = flows(&app).difference(&before).cloned().collect();
    assert!(new.is_empty(), "{new:?}");
    asks(&app.client, at(PUBLIC, PORT));
    asks(lab.outside(), at(HOST, 8080));
    is_well(&app.agent);
}
