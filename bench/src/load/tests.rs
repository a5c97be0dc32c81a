//! Client and server in one process, in a namespace of a lab. A crooked forwarder in between loses
//! and damages what it is told to, and the client has to tell exactly that.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use clap::Parser;
use netd_tests::lab::{Lab, Namespace};

use super::{Load, Options, Outcome, Server, Work, measure};

const SERVER: &str = "127.0.0.1:7000";
const CROOKED: &str = "127.0.0.1:7001";

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    load: Load,
}

/// Short, as speed is not the question.
const SHORT: &str = "--seconds 0.2 --warm-up 0.05";

/// What the command line gives.
fn options(work: &str, to: &str, more: &str) -> Options {
    let line = format!("load client --work {work} --to {to} {more}");
    match Line::parse_from(line.split_whitespace()).load {
        Load::Client(options) => options,
        Load::Server { .. } | Load::Flood(_) => unreachable!("it says client"),
    }
}

fn measured(namespace: &Namespace, work: &str, to: &str, more: &str) -> Outcome {
    let options = options(work, to, more);
    namespace
        .on(move || measure(&options))
        .unwrap_or_else(|error| panic!("{work} to {to}: {error:#}"))
}

fn server(namespace: &Namespace, at: &str) -> Server {
    let at: SocketAddr = at.parse().unwrap();
    namespace.on(move || Server::start(&[at])).unwrap()
}

#[test]
fn all_work_is_done_and_nothing_is_lost() {
    let lab = Lab::new("load");
    let place = lab.outside();
    for at in [SERVER, "[::1]:7000"] {
        let _server = server(place, at);
        for (work, more) in [
            ("tcp-stream", ""),
            ("tcp-stream", "--connections 4"),
            ("tcp-rr", ""),
            ("tcp-crr", ""),
            ("udp-rate", ""),
            ("udp-rr", ""),
            ("udp-new-flows", ""),
        ] {
            let outcome = measured(place, work, at, &format!("{SHORT} {more}"));
            assert_eq!((outcome.lost, outcome.wrong), (0, 0), "{work}: {outcome:?}");
            // How much, on a machine that others use too, says nothing.
            assert!(outcome.done > 0, "{work}: {outcome:?}");
            assert!(outcome.value > 0.0, "{work}: {outcome:?}");
            let latency = !matches!(outcome.work, Work::TcpStream | Work::UdpRate);
            assert_eq!(outcome.latency.is_some(), latency, "{work}");
        }
    }
}

#[test]
fn the_ports_are_an_end() {
    let lab = Lab::new("load-ports");
    let _server = server(lab.outside(), SERVER);
    for work in ["tcp-crr", "udp-new-flows"] {
        let outcome = measured(
            lab.outside(),
            work,
            SERVER,
            "--warm-up 0 --seconds 60 --limit 500",
        );
        assert_eq!((outcome.sent, outcome.done, outcome.lost), (500, 500, 0));
    }
}

#[test]
fn connections_can_vanish_without_a_packet() {
    let lab = Lab::new("load-hold");
    let place = lab.outside();
    let _server = server(place, SERVER);
    let before = resets(place);
    let outcome = measured(
        place,
        "tcp-hold",
        SERVER,
        "--warm-up 0 --seconds 60 --limit 300",
    );
    assert_eq!((outcome.done, outcome.lost), (300, 0));
    lab.wait_until("all are gone", Duration::from_secs(5), || {
        place
            .ok("ss -tanH state connected exclude time-wait")
            .is_empty()
    });
    assert_eq!(resets(place), before, "no end has sent a RST");
}

fn resets(namespace: &Namespace) -> String {
    namespace.ok("nstat -asz TcpOutRsts")
}

/// Forwards datagrams; of those to the server each 10th is lost and each 7th damaged, after some
/// that are not.
fn crooked_datagrams(namespace: &Namespace) -> UdpSocket {
    let front = namespace.udp_bind(CROOKED.parse().unwrap()).unwrap();
    let back = namespace.udp_bind("127.0.0.1:0".parse().unwrap()).unwrap();
    back.connect(SERVER).unwrap();
    let handle = front.try_clone().unwrap();
    std::thread::spawn(move || -> std::io::Result<()> {
        front.set_read_timeout(Some(Duration::from_micros(200)))?;
        back.set_nonblocking(true)?;
        let mut octets = [0; 2000];
        let mut client = None;
        let mut count = 0;
        // Until the socket is shut down by the end of the test's process.
        loop {
            if let Ok((length, from)) = front.recv_from(&mut octets) {
                client = Some(from);
                count += 1;
                // Only packets that nobody answers: octet 4 is the kind.
                if octets[4] != super::message::Kind::Packet as u8 || count % 10 > 1 {
                    back.send(&octets[..length])?;
                } else if count % 10 == 1 {
                    octets[50] ^= 0x10;
                    back.send(&octets[..length])?;
                }
            }
            while let (Ok(length), Some(client)) = (back.recv(&mut octets), client) {
                front.send_to(&octets[..length], client)?;
            }
        }
    });
    handle
}

#[test]
fn lost_and_damaged_packets_are_counted() {
    let lab = Lab::new("load-crooked");
    let place = lab.outside();
    let _server = server(place, SERVER);
    let _crooked = crooked_datagrams(place);
    let outcome = measured(place, "udp-rate", CROOKED, SHORT);
    assert_eq!(outcome.sent % 32, 0, "whole batches");
    let tenth = outcome.sent as f64 / 10.0;
    for (what, count) in [("lost", outcome.lost), ("wrong", outcome.wrong)] {
        // A little fewer than a tenth: one in 32 asks for the counts, and those are left alone.
        let share = count as f64 / tenth;
        assert!((0.85..1.05).contains(&share), "{what} {share}: {outcome:?}");
    }
}

/// Forwards single questions; every 5th is lost, and every 7th answer is damaged.
fn crooked_answers(namespace: &Namespace) {
    let front = namespace.udp_bind(CROOKED.parse().unwrap()).unwrap();
    let back = namespace.udp_bind("127.0.0.1:0".parse().unwrap()).unwrap();
    back.connect(SERVER).unwrap();
    std::thread::spawn(move || -> std::io::Result<()> {
        let mut octets = [0; 2000];
        for count in 1.. {
            let (length, client) = front.recv_from(&mut octets)?;
            if count % 5 == 0 {
                continue;
            }
            back.send(&octets[..length])?;
            let length = back.recv(&mut octets)?;
            octets[33] ^= u8::from(count % 7 == 0);
            front.send_to(&octets[..length], client)?;
        }
        Ok(())
    });
}

#[test]
fn lost_and_damaged_answers_are_counted() {
    let lab = Lab::new("load-answers");
    let place = lab.outside();
    let _server = server(place, SERVER);
    crooked_answers(place);
    // Number 1 asks before it begins; 5, 10 and 15 of 2 to 18 are lost, 7 and 14 damaged.
    let outcome = measured(
        place,
        "udp-new-flows",
        CROOKED,
        "--warm-up 0 --seconds 60 --limit 17",
    );
    assert_eq!((outcome.sent, outcome.lost, outcome.wrong), (17, 3, 2));
    assert_eq!(outcome.done, 12);
}

/// Forwards one connection to the server; one octet of a stream is damaged.
fn crooked_stream(namespace: &Namespace, at: usize) {
    let listener: TcpListener = namespace.tcp_listen(CROOKED.parse().unwrap()).unwrap();
    let limit = Duration::from_secs(5);
    let back = namespace
        .tcp_connect(SERVER.parse().unwrap(), limit)
        .unwrap();
    std::thread::spawn(move || -> std::io::Result<()> {
        let (front, _) = listener.accept()?;
        let (reading, writing) = (back.try_clone()?, front.try_clone()?);
        std::thread::spawn(move || copy(&reading, &writing, usize::MAX));
        copy(&front, &back, at)?;
        back.shutdown(std::net::Shutdown::Write)
    });
}

fn copy(mut from: &TcpStream, mut to: &TcpStream, damage: usize) -> std::io::Result<()> {
    let mut octets = vec![0; 65_536];
    let mut position = 0;
    loop {
        let length = from.read(&mut octets)?;
        if length == 0 {
            return to.shutdown(std::net::Shutdown::Write);
        }
        if (position..position + length).contains(&damage) {
            octets[damage - position] ^= 1;
        }
        to.write_all(&octets[..length])?;
        position += length;
    }
}

#[test]
fn a_damaged_octet_of_a_stream_is_counted() {
    let lab = Lab::new("load-stream");
    let place = lab.outside();
    let _server = server(place, SERVER);
    crooked_stream(place, 300_000);
    let outcome = measured(place, "tcp-stream", CROOKED, SHORT);
    assert_eq!((outcome.lost, outcome.wrong), (0, 1), "{outcome:?}");
}
