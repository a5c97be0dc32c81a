//! The server on loopback, asked by plain sockets.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::atomic::Ordering,
    time::Duration,
};

use hickory_proto::op::{Message, ResponseCode};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::*;
use crate::dns::{
    exchange::{read_message, write_message},
    lab_tests::{Lab, answer_to, in_lab, question, upstream},
    limits::{CONNECTION_IDLE, MAX_CONNECTIONS_PER_CLIENT, MAX_FORWARDED_PER_CLIENT},
    table::{Client, Record, Table},
};

fn start(lab: &Lab, upstreams: &[SocketAddr]) -> Server {
    let table = Table::new();
    let addresses = (1..=100).map(|i| Ipv4Addr::new(172, 18, 1, i)).collect();
    let v6 = Vec::new();
    let record = Record::Host { v4: addresses, v6 };
    table.replace_name(2, "many".parse().unwrap(), record);
    for address in [
        "127.0.0.1",
        "::1",
        "127.0.1.1",
        "127.0.1.2",
        "127.0.1.3",
        "127.0.1.4",
        "127.0.1.5",
    ] {
        let client = Client {
            scopes: vec![2],
            forward: true,
            ..Client::default()
        };
        table.replace_client(address.parse().unwrap(), client);
    }
    table.replace_upstreams(upstreams.to_vec());
    Server::start(&lab.path(), "lo", &service(table)).unwrap()
}

fn service(table: Table) -> Arc<Service> {
    Arc::new(Service::new(table))
}

/// Asks over UDP; the answer must come from the address that was asked.
async fn ask(from: &str, to: &str, message: &[u8]) -> Option<Message> {
    let socket = UdpSocket::bind((from, 0)).await.unwrap();
    let to: SocketAddr = (to.parse::<IpAddr>().unwrap(), RESOLVER_PORT).into();
    socket.send_to(message, to).await.unwrap();
    let mut buffer = [0; 4096];
    let received = timeout(Duration::from_secs(1), socket.recv_from(&mut buffer)).await;
    let (length, source) = received.ok()?.unwrap();
    assert_eq!(source, to);
    Some(Message::from_vec(&buffer[..length]).unwrap())
}

fn bytes(id: u16, name: &str) -> Vec<u8> {
    question(id, name).to_vec().unwrap()
}

#[test]
fn udp_answers_come_from_the_address_that_was_asked() {
    in_lab(async |lab| {
        let server = start(&lab, &[]);
        for (from, to) in [
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1", "127.9.8.7"),
            ("::1", "::1"),
        ] {
            let answer = ask(from, to, &bytes(7, "many.")).await.unwrap();
            assert_eq!((answer.metadata.id, answer.metadata.truncation), (7, true));
        }
        let stranger = ask("127.0.0.2", "127.0.0.1", &bytes(7, "many."))
            .await
            .unwrap();
        assert_eq!(stranger.metadata.response_code, ResponseCode::Refused);
        assert_eq!((server.counts().local, server.counts().refused), (3, 1));
    });
}

#[test]
fn hostile_datagrams_do_not_stop_it() {
    in_lab(async |lab| {
        let server = start(&lab, &[]);
        for bad in [&b""[..], b"x", &[0xff; 600], &[0; 12], &[0; 5000]] {
            ask("127.0.0.1", "127.0.0.1", bad).await;
        }
        assert!(
            ask("127.0.0.1", "127.0.0.1", &bytes(7, "many."))
                .await
                .is_some()
        );
        assert_eq!(server.counts().malformed, 5);
    });
}

#[test]
fn forwarded_questions_are_answered_or_fail() {
    fn good(question: &[u8]) -> Vec<Vec<u8>> {
        vec![
            answer_to(question, ResponseCode::NoError, 40)
                .to_vec()
                .unwrap(),
        ]
    }
    in_lab(async |lab| {
        let (address, asked) = upstream("127.0.0.1:0", good).await;
        let server = start(&lab, &[address]);
        let answer = ask("127.0.0.1", "127.0.0.1", &bytes(7, "example.com."))
            .await
            .unwrap();
        assert!(
            answer.metadata.truncation && answer.answers.is_empty(),
            "652 octets do not fit"
        );
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        server.stop().await;
        let server = start(&lab, &[]);
        let answer = ask("127.0.0.1", "127.0.0.1", &bytes(7, "example.com."))
            .await
            .unwrap();
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
        assert_eq!((server.counts().forwarded, server.counts().failed), (1, 1));
    });
}

#[test]
fn tcp_takes_many_questions_and_gives_whole_answers() {
    in_lab(async |lab| {
        let _server = start(&lab, &[]);
        for to in ["127.9.8.7", "::1"] {
            let mut stream = TcpStream::connect((to, RESOLVER_PORT)).await.unwrap();
            // The last one in pieces, and then nothing more comes from this side.
            for id in 1..=40 {
                write_message(&mut stream, &bytes(id, "many."))
                    .await
                    .unwrap();
            }
            let last = bytes(41, "example.com.");
            stream.write_u16(last.len() as u16).await.unwrap();
            stream.write_all(&last[..5]).await.unwrap();
            stream.flush().await.unwrap();
            stream.write_all(&last[5..]).await.unwrap();
            stream.shutdown().await.unwrap();
            for id in 1..=41 {
                let answer = read_message(&mut stream, 65_535).await.unwrap();
                let answer = Message::from_vec(&answer).unwrap();
                assert_eq!(answer.metadata.id, id);
                assert!(!answer.metadata.truncation);
                assert_eq!(answer.answers.len(), if id <= 40 { 100 } else { 0 });
            }
            assert!(read_message(&mut stream, 65_535).await.is_err(), "closed");
        }
    });
}

#[test]
fn silent_long_and_surplus_connections_are_closed() {
    in_lab(async |lab| {
        let server = start(&lab, &[]);
        let connect = async || {
            TcpStream::connect(("127.0.0.1", RESOLVER_PORT))
                .await
                .unwrap()
        };
        let mut long = connect().await;
        long.write_all(&[0xff; 100]).await.unwrap();
        assert!(read_message(&mut long, 65_535).await.is_err());
        let mut silent = Vec::new();
        for _ in 0..MAX_CONNECTIONS_PER_CLIENT {
            silent.push(connect().await);
        }
        let mut surplus = connect().await;
        assert!(read_message(&mut surplus, 65_535).await.is_err());
        assert_eq!(server.counts().overload, 1);
        tokio::time::sleep(CONNECTION_IDLE + Duration::from_millis(500)).await;
        assert!(read_message(&mut silent[0], 65_535).await.is_err());
        let mut again = connect().await;
        write_message(&mut again, &bytes(7, "many.")).await.unwrap();
        assert!(read_message(&mut again, 65_535).await.is_ok());
    });
}

#[test]
fn what_is_known_is_answered_without_asking_again() {
    fn good(question: &[u8]) -> Vec<Vec<u8>> {
        vec![
            answer_to(question, ResponseCode::NoError, 40)
                .to_vec()
                .unwrap(),
        ]
    }
    in_lab(async |lab| {
        let (address, asked) = upstream("127.0.0.1:0", good).await;
        let server = start(&lab, &[address]);
        for (client, id, name) in [
            ("127.0.0.1", 1, "example.com."),
            ("127.0.0.1", 2, "EXAMPLE.com."),
            ("::1", 3, "example.COM."),
        ] {
            let question = bytes(id, name);
            let mut stream = TcpStream::connect((client, RESOLVER_PORT)).await.unwrap();
            write_message(&mut stream, &question).await.unwrap();
            let answer = read_message(&mut stream, 65_535).await.unwrap();
            assert_eq!(
                answer[12..question.len()],
                question[12..],
                "as it was asked"
            );
            let answer = Message::from_vec(&answer).unwrap();
            assert_eq!((answer.metadata.id, answer.answers.len()), (id, 40));
            let cut = ask(client, client, &question).await.unwrap();
            assert!(cut.metadata.truncation, "652 octets do not fit");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert_eq!((server.counts().forwarded, server.counts().cached), (1, 5));
    });
}

#[test]
fn one_client_cannot_have_all_slots() {
    in_lab(async |lab| {
        let (silent, _) = upstream("127.0.0.1:0", |_| Vec::new()).await;
        let server = start(&lab, &[silent]);
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to: SocketAddr = ([127, 0, 0, 1], RESOLVER_PORT).into();
        for id in 0..=MAX_FORWARDED_PER_CLIENT as u16 {
            socket
                .send_to(&bytes(id, "example.com."), to)
                .await
                .unwrap();
            tokio::task::yield_now().await;
        }
        let answer = timeout(Duration::from_secs(1), socket.recv(&mut [0; 512])).await;
        assert!(answer.is_ok(), "one more is refused at once");
        assert_eq!(server.counts().overload, 1);
        assert!(ask("::1", "::1", &bytes(7, "many.")).await.is_some());
    });
}

#[test]
fn more_questions_than_may_wait_fail_at_once_and_the_rest_goes_on() {
    in_lab(async |lab| {
        let (silent, _) = upstream("127.0.0.1:0", |_| Vec::new()).await;
        let server = start(&lab, &[silent]);
        let to: SocketAddr = ([127, 0, 0, 1], RESOLVER_PORT).into();
        let mut sockets = Vec::new();
        for last in 1..=5 {
            sockets.push(
                UdpSocket::bind((Ipv4Addr::new(127, 0, 1, last), 0))
                    .await
                    .unwrap(),
            );
        }
        // Below the bound of each, above that of all.
        for id in 0..450 {
            for socket in &sockets {
                socket
                    .send_to(&bytes(id, "example.com."), to)
                    .await
                    .unwrap();
                tokio::task::yield_now().await;
            }
        }
        while server.counts().forwarded + server.counts().overload < 2_250 {
            tokio::task::yield_now().await;
        }
        let counts = server.counts();
        assert_eq!((counts.forwarded, counts.overload), (2_000, 250));
        assert!(ask("::1", "::1", &bytes(7, "many.")).await.is_some());
        // All of them come to an end, and their slots are free again.
        while server.counts().failed < 2_000 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let socket = &sockets[0];
        while socket.try_recv(&mut [0; 512]).is_ok() {}
        socket.send_to(&bytes(9, "example.com."), to).await.unwrap();
        while server.counts().forwarded < 2_001 {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn hostile_streams_do_not_stop_it() {
    in_lab(async |lab| {
        let server = start(&lab, &[]);
        let mut state = 0x9e37_79b9_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        for length in 0..300_usize {
            let mut stream = TcpStream::connect(("127.0.0.1", RESOLVER_PORT))
                .await
                .unwrap();
            let mut garbage: Vec<u8> = (0..length).map(|_| next()).collect();
            if let (Some(first), true) = (garbage.first_mut(), length % 2 == 0) {
                // A short message follows, so that it is read as one.
                *first = 0;
            }
            // It may be closed already.
            let _ = stream.write_all(&garbage).await;
        }
        while server.counts().connections < 300 {
            tokio::task::yield_now().await;
        }
        let mut stream = TcpStream::connect(("127.0.0.1", RESOLVER_PORT))
            .await
            .unwrap();
        write_message(&mut stream, &bytes(7, "many."))
            .await
            .unwrap();
        assert!(read_message(&mut stream, 65_535).await.is_ok());
    });
}

#[test]
fn a_device_that_was_made_anew_is_noticed() {
    in_lab(async |lab| {
        let ip = |arguments: &str| {
            let status = std::process::Command::new("ip")
                .args(arguments.split(' '))
                .status();
            assert!(status.unwrap().success());
        };
        ip("link add eth0 type veth peer name other");
        let server = Server::start(&lab.path(), "eth0", &service(Table::new())).unwrap();
        assert!(server.is_current());
        ip("link del eth0");
        assert!(!server.is_current());
        ip("link add eth0 type veth peer name other");
        assert!(!server.is_current());
        server.stop().await;
        assert!(
            Server::start(&lab.path(), "eth0", &service(Table::new()))
                .unwrap()
                .is_current()
        );
    });
}

#[test]
fn a_place_that_is_not_there_is_an_error() {
    in_lab(async |lab| {
        let missing = Server::start(Path::new("/nonexistent"), "lo", &service(Table::new()));
        assert!(matches!(missing, Err(StartError::Namespace(_))));
        let no_device = Server::start(&lab.path(), "eth0", &service(Table::new())).unwrap_err();
        assert!(no_device.to_string().contains("eth0"), "{no_device}");
        let _first = start(&lab, &[]);
        assert!(
            Server::start(&lab.path(), "lo", &service(Table::new())).is_err(),
            "the port is taken"
        );
    });
}
