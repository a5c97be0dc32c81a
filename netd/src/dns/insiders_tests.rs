//! Sockets in namespaces of their own, asked there; found, kept, let go.

use std::{net::Ipv4Addr, path::PathBuf, time::Duration};

use hickory_proto::op::{Message, ResponseCode};
use netd_common::limits::RESOLVER_PORT;
use tokio::{
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::*;
use crate::dns::{
    exchange::{read_message, write_message},
    lab_tests::{in_lab, question},
    table::{Client, Record, Table},
};

const STUB: (&str, u16) = ("127.0.0.11", RESOLVER_PORT);
const WEB: Id = Id([7; 32]);

/// A table with a name that `WEB` alone knows.
fn table(path: PathBuf, cookie: Option<u64>) -> Table {
    let table = Table::new();
    let record = Record::Host {
        v4: vec![Ipv4Addr::new(172, 18, 0, 2)],
        v6: Vec::new(),
    };
    table.replace_name(2, "db".parse().unwrap(), record);
    let client = Client {
        scopes: vec![2],
        ..Client::default()
    };
    let path = path.into();
    table.replace_insider(WEB, Inside { path, cookie }, client);
    table
}

/// The number of addresses that an answer over UDP has; `None`: there is nobody.
async fn ask_udp() -> Option<usize> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(STUB).await.unwrap();
    let asked = question(5, "db.").to_vec().unwrap();
    socket.send(&asked).await.ok()?;
    let mut buffer = [0; 512];
    let received = timeout(Duration::from_secs(10), socket.recv(&mut buffer)).await;
    let length = received.expect("an answer or an error").ok()?;
    let answer = Message::from_vec(&buffer[..length]).unwrap();
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    Some(answer.answers.len())
}

async fn ask_tcp() -> Option<usize> {
    let mut stream = TcpStream::connect(STUB).await.ok()?;
    let asked = question(5, "db.").to_vec().unwrap();
    write_message(&mut stream, &asked).await.unwrap();
    let answer = read_message(&mut stream, 512).await.unwrap();
    Some(Message::from_vec(&answer).unwrap().answers.len())
}

#[test]
fn who_asks_inside_is_the_sandbox_as_long_as_it_is_wanted() {
    in_lab(async |lab| {
        let table = table(lab.path(), None);
        let mut insiders = Insiders::new(Arc::new(Service::new(table.clone())));
        assert_eq!(ask_udp().await, None);
        for _ in 0..2 {
            insiders.keep();
            assert_eq!((ask_udp().await, ask_tcp().await), (Some(1), Some(1)));
        }
        table.remove_insider(WEB);
        insiders.keep();
        while ask_udp().await.is_some() || ask_tcp().await.is_some() {
            tokio::task::yield_now().await;
        }
        assert!(insiders.rooms.is_empty());
    });
}

#[test]
fn they_let_go_of_a_namespace_that_was_left_and_enter_no_other() {
    in_lab(async |lab| {
        let right = netns::own_cookie().unwrap();
        // A link, as /proc/PID is one that may come to lead elsewhere.
        let link = std::env::temp_dir().join(format!("netd-insiders-{}", std::process::id()));
        let _left = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(lab.path(), &link).unwrap();
        let wrong = table(link.clone(), Some(right + 1));
        let mut insiders = Insiders::new(Arc::new(Service::new(wrong)));
        insiders.keep();
        assert_eq!(ask_udp().await, None, "another namespace");
        assert!(insiders.rooms.is_empty());

        let mut insiders = Insiders::new(Arc::new(Service::new(table(link.clone(), Some(right)))));
        insiders.keep();
        assert_eq!(ask_udp().await, Some(1));
        std::fs::remove_file(&link).unwrap();
        insiders.keep();
        assert!(insiders.rooms.is_empty());
        while ask_udp().await.is_some() {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_taken_port_is_tried_again() {
    in_lab(async |lab| {
        let taken = UdpSocket::bind(STUB).await.unwrap();
        let mut insiders = Insiders::new(Arc::new(Service::new(table(lab.path(), None))));
        insiders.keep();
        assert!(insiders.rooms.is_empty());
        drop(taken);
        insiders.keep();
        assert_eq!(ask_udp().await, Some(1));
        insiders.stop().await;
        assert_eq!(ask_udp().await, None);
    });
}
