//! Upstreams that answer, lie, fail and keep silent.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use hickory_proto::op::{Message, ResponseCode};
use tokio::time::Instant;

use super::*;
use crate::dns::lab_tests::{answer_to, in_lab, question, tcp_upstream, upstream};
use crate::dns::message::HEADER;
use crate::dns::upstreams::Place;

const HERE: &str = "127.0.0.1:0";

fn good(question: &[u8]) -> Vec<Vec<u8>> {
    vec![
        answer_to(question, ResponseCode::NoError, 1)
            .to_vec()
            .unwrap(),
    ]
}

fn failing(question: &[u8]) -> Vec<Vec<u8>> {
    vec![
        answer_to(question, ResponseCode::ServFail, 0)
            .to_vec()
            .unwrap(),
    ]
}

fn silent(_: &[u8]) -> Vec<Vec<u8>> {
    Vec::new()
}

/// Wrong id, wrong question, a question, garbage; then the truth, in capitals.
fn lying(asked: &[u8]) -> Vec<Vec<u8>> {
    let truth = answer_to(asked, ResponseCode::NoError, 1).to_vec().unwrap();
    let mut wrong_id = truth.clone();
    wrong_id[0] ^= 1;
    let mut wrong_name = truth.clone();
    wrong_name[13] = b'x';
    let mut wrong_type = truth.clone();
    wrong_type[26] ^= 1;
    let mut capitals = truth;
    capitals[13..20].make_ascii_uppercase();
    vec![
        wrong_id,
        wrong_name,
        wrong_type,
        asked.to_vec(),
        b"?".to_vec(),
        capitals,
    ]
}

fn cut_off(asked: &[u8]) -> Vec<Vec<u8>> {
    let mut answer = answer_to(asked, ResponseCode::NoError, 0);
    answer.metadata.truncation = true;
    vec![answer.to_vec().unwrap()]
}

struct Asker {
    forwarder: Forwarder,
    client: Client,
}

impl Asker {
    fn new(upstreams: &[SocketAddr]) -> Asker {
        let table = Table::new();
        table.replace_upstreams(upstreams.to_vec());
        Asker {
            forwarder: Forwarder::new(table),
            client: Client::default(),
        }
    }

    async fn ask(&self, transport: Transport) -> Option<Message> {
        self.ask_for("example.com.", transport).await
    }

    async fn ask_for(&self, name: &str, transport: Transport) -> Option<Message> {
        let asked = question(0x1234, name).to_vec().unwrap();
        let question = Question::read(&asked).unwrap();
        let answer = self
            .forwarder
            .ask(&question, &self.client, transport)
            .await?;
        assert_eq!(
            answer[HEADER..question.end],
            asked[HEADER..],
            "the question as asked"
        );
        let answer = Message::from_vec(&answer).unwrap();
        assert_eq!(answer.metadata.id, 0x1234);
        Some(answer)
    }
}

#[test]
fn only_the_answer_to_the_question_is_taken() {
    in_lab(async |_| {
        let (address, asked) = upstream(HERE, lying).await;
        let answer = Asker::new(&[address]).ask(Transport::Udp).await.unwrap();
        assert_eq!(answer.answers.len(), 1);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn another_source_is_not_heard() {
    in_lab(async |_| {
        let bind = async |at: &str| tokio::net::UdpSocket::bind(at).await.unwrap();
        let (upstream, liar) = (bind("127.0.0.1:53").await, bind("127.0.0.2:53").await);
        // The liar knows all: port, id and question. Only its address is another.
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            loop {
                let (length, from) = upstream.recv_from(&mut buffer).await.unwrap();
                let lie = good(&buffer[..length]).remove(0);
                liar.send_to(&lie, from).await.unwrap();
            }
        });
        let asker = Asker::new(&["127.0.0.1:53".parse().unwrap()]);
        assert_eq!(asker.ask(Transport::Udp).await, None);
    });
}

#[test]
fn a_failing_or_unreachable_upstream_is_followed_by_the_next_at_once() {
    in_lab(async |_| {
        let (fails, _) = upstream(HERE, failing).await;
        let (good, _) = upstream(HERE, good).await;
        let nobody: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let start = Instant::now();
        let answer = Asker::new(&[nobody, fails, good]).ask(Transport::Udp).await;
        assert_eq!(answer.unwrap().answers.len(), 1);
        // Waiting for a silent one each time would take twice as long.
        assert!(start.elapsed() < 2 * FORWARD_HEDGE);
    });
}

#[test]
fn when_all_fail_their_answer_is_given_at_once() {
    in_lab(async |_| {
        let (fails, asked) = upstream(HERE, failing).await;
        let nobody: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let start = Instant::now();
        let answer = Asker::new(&[fails, nobody])
            .ask(Transport::Udp)
            .await
            .unwrap();
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert_eq!(Asker::new(&[nobody]).ask(Transport::Udp).await, None);
        assert_eq!(Asker::new(&[]).ask(Transport::Udp).await, None);
        assert!(start.elapsed() < FORWARD_DEADLINE);
    });
}

#[test]
fn a_silent_upstream_is_passed_over_and_then_asked_last() {
    in_lab(async |_| {
        let (silent, asked) = upstream(HERE, silent).await;
        let (good, _) = upstream(HERE, good).await;
        let asker = Asker::new(&[silent, good]);
        let start = Instant::now();
        assert!(asker.ask(Transport::Udp).await.is_some());
        assert!(start.elapsed() >= FORWARD_HEDGE);
        let other = asker.ask_for("example.org.", Transport::Udp).await;
        assert!(other.is_some());
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_silent_upstream_is_asked_again_until_the_deadline() {
    in_lab(async |_| {
        let (silent, asked) = upstream(HERE, silent).await;
        let start = Instant::now();
        assert_eq!(Asker::new(&[silent]).ask(Transport::Udp).await, None);
        assert!(start.elapsed() >= FORWARD_DEADLINE);
        assert_eq!(asked.load(Ordering::SeqCst), 6);
    });
}

#[test]
fn tcp_questions_go_over_tcp_or_else_over_udp() {
    in_lab(async |_| {
        let (address, by_udp) = upstream(HERE, cut_off).await;
        let by_tcp = tcp_upstream(address, good).await;
        let asker = Asker::new(&[address]);
        let over_tcp = asker.ask(Transport::Tcp).await.unwrap();
        assert_eq!(over_tcp.answers.len(), 1);
        let counts = || (by_udp.load(Ordering::SeqCst), by_tcp.load(Ordering::SeqCst));
        assert_eq!(counts(), (0, 1));
        // What was cut off is asked for again over TCP at once.
        let over_udp = Asker::new(&[address]).ask(Transport::Udp).await.unwrap();
        assert_eq!(over_udp.answers.len(), 1);
        assert_eq!(counts(), (1, 2));
        let (udp_only, _) = upstream(HERE, good).await;
        assert!(Asker::new(&[udp_only]).ask(Transport::Tcp).await.is_some());
        let (useless, _) = upstream(HERE, cut_off).await;
        let cut = Asker::new(&[useless]).ask(Transport::Udp).await.unwrap();
        assert!(cut.metadata.truncation);
        assert_eq!(Asker::new(&[useless]).ask(Transport::Tcp).await, None);
    });
}

#[test]
fn own_upstreams_are_asked_in_the_sandboxs_namespace() {
    in_lab(async |lab| {
        let (address, asked) = upstream(HERE, good).await;
        let client = Client {
            upstreams: Some(Arc::new(Upstreams {
                place: Place::Namespace(lab.path().into()),
                servers: vec![address],
            })),
            ..Client::default()
        };
        // Elsewhere nobody listens.
        in_lab(async move |_| {
            let mut asker = Asker::new(&[address]);
            assert_eq!(asker.ask(Transport::Udp).await, None);
            asker.client = client;
            // The runtime of the upstream waits for this test: the question only has to arrive.
            let asking = asker.ask(Transport::Udp);
            assert!(
                tokio::time::timeout(Duration::from_millis(300), asking)
                    .await
                    .is_err()
            );
        });
        while asked.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    });
}
