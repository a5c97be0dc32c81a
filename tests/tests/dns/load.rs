//! Much at once: answers of any size, 2,000 questions that wait for an upstream, connections that
//! nobody uses.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{JoinHandle, scope, spawn},
    time::{Duration, Instant},
};

use netd_tests::lab::{Namespace, addresses::PUBLIC};
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};

use crate::{address, app, dig};

/// Sandboxes that ask at once: each may have no more than 500 questions waiting.
const ASKERS: usize = 5;
/// Questions of each.
const EACH: usize = 400;
/// Octets of buffer, so that nothing is lost where a test's thread has to wait for its turn.
const BUFFER: usize = 16 << 20;
/// How often all of them have to be under way at a time. A machine may be too slow for that before
/// the first are given up.
const ROUNDS: usize = 4;

#[test]
fn answers_of_any_size_arrive_whole() {
    let (lab, _agent) = app("size");
    lab.netd("network create --ipv6 both");
    lab.netd("network connect both web");
    let mut members: Vec<[String; 2]> = Vec::new();
    while members.len() < 45 {
        let name = format!("m{}", members.len());
        lab.netd(&format!(
            "sandbox create --name {name} --network name=both,alias=crowd"
        ));
        let fields = ["IPAddress", "GlobalIPv6Address"];
        members.push(fields.map(|field| address(&lab, &name, "both", field)));
    }
    let all = |family: usize| -> Vec<String> {
        let mut all: Vec<String> = members
            .iter()
            .map(|member| member[family].clone())
            .collect();
        all.sort();
        all
    };
    // 16 octets each in 512 and in 1,232, then 28.
    for (question, family, fitting) in [
        ("+noedns crowd A", 0, Some(30)),
        ("+bufsize=4096 crowd A", 0, None),
        ("+noedns crowd AAAA", 1, Some(17)),
        ("+bufsize=4096 crowd AAAA", 1, Some(42)),
        ("+tcp crowd A", 0, None),
        ("+tcp crowd AAAA", 1, None),
    ] {
        let all = all(family);
        let first = dig(&lab, "web", &format!("+ignore {question}"));
        let truncated = first.flags.split(' ').any(|flag| flag == "tc");
        assert_eq!(truncated, fitting.is_some(), "{question} {first:?}");
        assert_eq!(first.answers.len(), fitting.unwrap_or(45), "{question}");
        assert!(first.answers.iter().all(|one| all.contains(one)));
        // dig itself asks again over TCP.
        let whole = dig(&lab, "web", question);
        assert_eq!(whole.answers, all, "{question}");
        assert_eq!(
            whole.over_tcp,
            truncated || question.contains("+tcp"),
            "{question}"
        );
    }
}

/// Holds questions back until told, then answers all of them, and those that come later at once.
struct Holding {
    names: Arc<AtomicUsize>,
    release: Arc<AtomicBool>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Asked>>>,
}

/// A datagram that was held back.
#[derive(Clone)]
struct Asked {
    message: Vec<u8>,
    from: SocketAddr,
}

impl Holding {
    fn start(namespace: &Namespace) -> Holding {
        let at = SocketAddr::new(PUBLIC.parse().expect("an address"), 53);
        let socket = namespace.udp_bind(at).expect("UDP port 53");
        setsockopt(&socket, RcvBufForce, &BUFFER).expect("a buffer");
        let poll = Some(Duration::from_millis(10));
        socket.set_read_timeout(poll).expect("a socket option");
        let names = Arc::new(AtomicUsize::new(0));
        let (release, end) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let shared = (names.clone(), release.clone(), Arc::clone(&end));
        let thread = spawn(move || hold(&socket, &shared.0, &shared.1, &shared.2));
        Holding {
            names,
            release,
            end,
            thread: Some(thread),
        }
    }

    /// Ends it; what was held back.
    fn end(mut self) -> Vec<Asked> {
        self.end.store(true, Ordering::SeqCst);
        let thread = self.thread.take().expect("not ended yet");
        thread.join().expect("the upstream")
    }
}

fn hold(
    socket: &UdpSocket,
    names: &AtomicUsize,
    release: &AtomicBool,
    end: &AtomicBool,
) -> Vec<Asked> {
    let (mut held, mut answered) = (Vec::new(), 0);
    let mut seen = BTreeSet::new();
    let mut buffer = [0; 512];
    while !end.load(Ordering::SeqCst) {
        let released = release.load(Ordering::SeqCst);
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let message = buffer[..length].to_vec();
            if released {
                let _ = socket.send_to(&answer(&message), from);
                continue;
            }
            seen.insert(message[12..].to_vec());
            names.store(seen.len(), Ordering::SeqCst);
            held.push(Asked { message, from });
        }
        if released {
            for Asked { message, from } in &held[answered..] {
                let _ = socket.send_to(&answer(message), *from);
            }
            answered = held.len();
        }
    }
    held
}

/// One address, for a question without EDNS.
fn answer(question: &[u8]) -> Vec<u8> {
    let mut answer = question.to_vec();
    answer[2..4].copy_from_slice(&[0x81, 0x80]);
    answer[7] = 1;
    answer.extend(b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x50");
    answer
}

/// A question with its own name for each.
fn question(round: usize, asker: usize, number: usize) -> Vec<u8> {
    let mut question = (number as u16).to_be_bytes().to_vec();
    question.extend(b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00");
    let label = format!("r{round}a{asker}n{number}");
    question.push(label.len() as u8);
    question.extend(label.as_bytes());
    question.extend(b"\x07example\x00\x00\x01\x00\x01");
    question
}

/// Asks all of its questions; by number, whether the answer was the upstream's.
fn ask(namespace: &Namespace, round: usize, asker: usize) -> BTreeMap<u16, bool> {
    let any = "0.0.0.0:0".parse().expect("an address");
    let socket = namespace.udp_bind(any).expect("a socket");
    setsockopt(&socket, RcvBufForce, &BUFFER).expect("a buffer");
    let limit = Some(Duration::from_secs(8));
    socket.set_read_timeout(limit).expect("a socket option");
    namespace
        .on({
            let socket = socket.try_clone().expect("a descriptor");
            move || socket.connect("127.0.0.11:53")
        })
        .expect("connected");
    for number in 0..EACH {
        let sent = socket.send(&question(round, asker, number));
        sent.expect("sent");
    }
    let mut answers = BTreeMap::new();
    let mut buffer = [0; 512];
    while answers.len() < EACH {
        let Ok(length) = socket.recv(&mut buffer) else {
            break;
        };
        let id = u16::from_be_bytes([buffer[0], buffer[1]]);
        let good = buffer[3] & 15 == 0 && buffer[..length].ends_with(&[192, 0, 2, 80]);
        answers.insert(id, good);
    }
    answers
}

#[test]
fn two_thousand_questions_wait_at_a_time() {
    let (lab, _agent) = app("flood");
    let askers: Vec<Namespace> = (0..ASKERS)
        .map(|number| {
            lab.netd(&format!("sandbox create --name a{number} --network app"));
            lab.sandbox(&format!("a{number}"))
        })
        .collect();
    let db = address(&lab, "db", "app", "IPAddress");
    for round in 0..ROUNDS {
        let holding = Holding::start(lab.outside());
        let (full, answers) = scope(|scope| {
            let asking: Vec<_> = askers
                .iter()
                .enumerate()
                .map(|(number, asker)| scope.spawn(move || ask(asker, round, number)))
                .collect();
            let start = Instant::now();
            let full = || holding.names.load(Ordering::SeqCst) == ASKERS * EACH;
            // The first are given up after 4.8 s.
            while !full() && start.elapsed() < Duration::from_secs(4) {
                std::thread::sleep(Duration::from_millis(5));
            }
            let full = full();
            // Others do not notice.
            assert_eq!(dig(&lab, "web", "+tcp db").answers.concat(), db);
            holding.release.store(true, Ordering::SeqCst);
            let answers: Vec<_> = asking
                .into_iter()
                .map(|asking| asking.join().expect("an asker"))
                .collect();
            (full, answers)
        });
        let held = holding.end();
        let whole = |answers: &BTreeMap<u16, bool>| {
            answers.len() == EACH && answers.values().all(|good| *good)
        };
        if full && answers.iter().all(whole) {
            return ports_and_ids_are_drawn(&held);
        }
        let good = answers
            .iter()
            .flat_map(BTreeMap::values)
            .filter(|good| **good);
        println!(
            "round {round}: {} held, {} answered",
            held.len(),
            good.count()
        );
    }
    panic!("never {} at a time", ASKERS * EACH);
}

/// Each question has a port of its own and an id that is not its number, nor the one after the last.
fn ports_and_ids_are_drawn(held: &[Asked]) {
    let ports: BTreeSet<u16> = held.iter().map(|asked| asked.from.port()).collect();
    assert_eq!(ports.len(), held.len(), "a port was used twice at a time");
    let ids: Vec<u16> = held
        .iter()
        .map(|asked| u16::from_be_bytes([asked.message[0], asked.message[1]]))
        .collect();
    let different: BTreeSet<&u16> = ids.iter().collect();
    // 2,000 of 65,536 drawn by lot: some 30 are the same as another.
    assert!(
        different.len() > held.len() * 19 / 20,
        "{}",
        different.len()
    );
    let near = |pair: &&[u16]| pair[0].abs_diff(pair[1]) < 4;
    assert!(ids.windows(2).filter(near).count() < 20);
    assert!(ids.iter().filter(|id| usize::from(**id) < EACH).count() < 60);
}

/// Idle connections and such that stop within a message, up to the bound of one sandbox and above.
#[test]
fn connections_that_nobody_uses_are_in_nobodys_way() {
    let (lab, _agent) = app("idle");
    let [web, db] = ["web", "db"].map(|name| address(&lab, name, "app", "IPAddress"));
    let namespace = lab.sandbox("web");
    let stub: SocketAddr = "127.0.0.11:53".parse().expect("an address");
    let mut open = Vec::new();
    for number in 0..100 {
        let Ok(mut stream) = namespace.tcp_connect(stub, Duration::from_secs(5)) else {
            continue;
        };
        if number % 2 == 0 {
            // One octet of a length, or a message that does not go on.
            let _ = stream.write_all(if number % 4 == 0 {
                b"\0"
            } else {
                b"\0\x20\x12\x34"
            });
        }
        open.push(stream);
    }
    assert!(open.len() >= 64, "{}", open.len());
    // Its own datagrams, and others' connections.
    assert_eq!(dig(&lab, "web", "db").answers, [db]);
    assert_eq!(dig(&lab, "db", "+tcp web").answers, [web]);
    // They are closed after 10 s without a question; then it may connect again.
    let start = Instant::now();
    let command = "netd exec web -- dig +time=2 +tries=1 +tcp db";
    while !lab
        .host()
        .run(command)
        .expect("dig")
        .stdout
        .contains("NOERROR")
    {
        assert!(
            start.elapsed() < Duration::from_secs(40),
            "still in the way"
        );
    }
}
