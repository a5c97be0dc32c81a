//! Packets of links without Ethernet headers (tun) in test runs. A test run takes the first 14 octets
//! for an Ethernet header, strips none of them, and says by what stands there as ethertype what a packet
//! is: of a bare packet that is the first half of an IPv4 source address, or octets 4 and 5 of an IPv6
//! one. So who sends such packets has an address in 8.0.0.0/16, or one with 86dd there.

use std::net::IpAddr;

use netd_common::{
    abi::Program,
    packet::{
        testing::Bare,
        view::{ETHERNET, ethertype},
    },
};

use super::{Input, Vector, World};

/// Who and what is of app or beyond `up` in recorded packets, and its like of network 4 or beyond `tun`:
/// beginnings of addresses, MACs.
const LIKES: [(&[u8], &[u8]); 11] = [
    (&[172, 18, 0], &[8, 0, 21]),
    (&[192, 0, 2], &[8, 0, 128]),
    (&[203, 0, 113], &[8, 0, 129]),
    (&[169, 254, 1], &[8, 0, 254]),
    (
        &[0xfd, 0, 0, 0x18, 0, 0, 0, 0],
        &[0xfd, 0, 0, 0x21, 0x86, 0xdd, 0, 0],
    ),
    (
        &[0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0],
        &[0x20, 0x01, 0x0d, 0xb8, 0x86, 0xdd, 0, 1],
    ),
    (
        &[0x20, 0x01, 0x0d, 0xb8, 0, 9, 0, 0],
        &[0x20, 0x01, 0x0d, 0xb8, 0x86, 0xdd, 0, 9],
    ),
    (
        &[0x20, 0x01, 0x0d, 0xb8, 0, 0x71, 0, 0],
        &[0x20, 0x01, 0x0d, 0xb8, 0x86, 0xdd, 0, 0x71],
    ),
    (
        &[0x20, 0x01, 0x0d, 0xb8, 0, 0x77, 0, 0],
        &[0x20, 0x01, 0x0d, 0xb8, 0x86, 0xdd, 0, 0x77],
    ),
    (&[0x02, 0x42, 0xac, 0, 1], &[0x02, 0x42, 0xac, 0, 4]),
    (&[0x02, 0x42, 0, 0, 1, 1], &[0x02, 0x42, 0, 0, 4, 1]),
];

/// Interfaces, in the same way.
const INTERFACES: [(&str, &str); 5] = [
    ("up", "tun"),
    ("br-app", "br-bare"),
    ("web", "web-bare"),
    ("db", "db-bare"),
    ("down", "down-bare"),
];

/// A bare packet with the ethertype that a test run finds (`eth_type_trans` of the kernel).
pub fn bare(bytes: &[u8]) -> Bare<'_> {
    const ETH_P_802_3: [u8; 2] = [0, 1];
    const ETH_P_802_2: [u8; 2] = [0, 4];
    let word = |at: usize| bytes.get(at..)?.first_chunk::<2>().copied();
    let ethertype = match word(ETHERNET - 2) {
        Some(found @ [6..=0xff, _]) => found,
        _ if word(ETHERNET) == Some([0xff; 2]) => ETH_P_802_3,
        _ => ETH_P_802_2,
    };
    Bare { ethertype, bytes }
}

/// Those of the recorded conversations that an uplink sees, as they are where that has no Ethernet
/// headers, with the same verdicts. Checksums stay: netd only ever changes them by a difference.
pub fn over_bare_links(
    files: &[(String, Vec<Vector>)],
    world: &World,
) -> Vec<(String, Vec<Vector>)> {
    let is_seen = |vector: &Vector| at_bare_link(vector.input.program).is_some();
    let seen = files
        .iter()
        .filter(|(_, vectors)| vectors.iter().any(is_seen));
    seen.map(|(name, vectors)| {
        let like = vectors.iter().map(|vector| like(vector, world));
        (format!("{name}, bare"), like.collect())
    })
    .collect()
}

fn like(vector: &Vector, world: &World) -> Vector {
    let input = &vector.input;
    let mut bytes = input.bytes.clone();
    replace(&mut bytes);
    let mut verdict = like_words(&vector.verdict);
    let mut program = input.program;
    let is_ip = matches!(
        bytes.get(ETHERNET - 2..ETHERNET),
        Some([0x08, 0x00] | [0x86, 0xdd])
    );
    if let Some(other) = at_bare_link(program).filter(|_| is_ip) {
        program = other;
        bytes.drain(..ETHERNET);
        // From another address it is nothing that netd knows.
        if !matches!(bare(&bytes).ethertype, ethertype::IPV4 | ethertype::IPV6) {
            "pass".clone_into(&mut verdict);
        }
    }
    let ifindex = |of: u32| match world.link(like_name(world.name_of(of))) {
        Some(link) => link.ifindex,
        None => of,
    };
    Vector {
        comment: String::new(),
        title: vector.title.clone(),
        input: Input {
            program,
            ifindex: ifindex(input.ifindex),
            ingress: ifindex(input.ingress),
            bytes,
        },
        verdict,
        bytes: Vec::new(),
    }
}

/// The hook's program where the link has no Ethernet headers.
fn at_bare_link(program: Program) -> Option<Program> {
    match program {
        Program::FromUplink => Some(Program::FromUplinkL3),
        Program::ToUplink => Some(Program::ToUplinkL3),
        _ => None,
    }
}

/// Also where a packet quotes another.
fn replace(bytes: &mut [u8]) {
    for at in 0..bytes.len() {
        let rest = &mut bytes[at..];
        if let Some((old, new)) = LIKES.iter().find(|(old, _)| rest.starts_with(old)) {
            rest[..old.len()].copy_from_slice(new);
        }
    }
}

fn like_name(name: &str) -> &str {
    let mut interfaces = INTERFACES.iter();
    let found = interfaces.find(|(old, _)| *old == name);
    found.map_or(name, |(_, new)| *new)
}

/// Of a verdict.
fn like_words(text: &str) -> String {
    let like = |word: &str| match word.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => {
            let mut octets = address.octets();
            replace(&mut octets);
            IpAddr::from(octets).to_string()
        }
        Ok(IpAddr::V6(address)) => {
            let mut octets = address.octets();
            replace(&mut octets);
            IpAddr::from(octets).to_string()
        }
        Err(_) => like_name(word).to_owned(),
    };
    let words: Vec<String> = text.split(' ').map(like).collect();
    words.join(" ")
}
