//! For tests: a network namespace with loopback, where a runtime, the server, clients and fake
//! upstreams live. It ends with its thread; nothing is mounted or named.

use std::{
    fs::File,
    future::Future,
    net::SocketAddr,
    os::fd::AsRawFd,
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata::A},
};
use nix::sched::{CloneFlags, unshare};
use tokio::net::{TcpListener, UdpSocket};

use super::exchange::{read_message, write_message};

/// A namespace, by a path that holds while this lives.
pub(super) struct Lab {
    file: File,
}

impl Lab {
    pub(super) fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()).into()
    }
}

/// Runs a test in a namespace of its own. Needs root.
pub(super) fn in_lab<F: Future<Output = ()>>(test: impl FnOnce(Lab) -> F + Send + 'static) {
    let body = move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("unshare(CLONE_NEWNET): this test needs root");
        let lo = ["link", "set", "lo", "up"];
        assert!(Command::new("ip").args(lo).status().unwrap().success());
        let file = File::open("/proc/thread-self/ns/net").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(test(Lab { file }));
    };
    // `join` tells of a panic, the test harness has printed it.
    thread::spawn(body).join().expect("the test's thread");
}

/// A question as clients write it.
pub(super) fn question(id: u16, name: &str) -> Message {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    message
}

/// The answer to a question: an address, or an error.
pub(super) fn answer_to(question: &[u8], rcode: ResponseCode, addresses: u8) -> Message {
    let mut answer = Message::from_vec(question).unwrap().into_response();
    answer.metadata.response_code = rcode;
    let name = answer.queries[0].name().clone();
    for last in 1..=addresses {
        let data = RData::A(A::new(203, 0, 113, last));
        answer.add_answer(Record::from_rdata(name.clone(), 60, data));
    }
    answer
}

/// What a fake upstream does with a question: answers, in order.
pub(super) type Behaviour = fn(&[u8]) -> Vec<Vec<u8>>;

/// A fake upstream on UDP; how often it was asked.
pub(super) async fn upstream(
    address: &str,
    behaviour: Behaviour,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind(address).await.unwrap();
    let address = socket.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            for answer in behaviour(&buffer[..length]) {
                socket.send_to(&answer, from).await.unwrap();
            }
        }
    });
    (address, asked)
}

/// The same on TCP.
pub(super) async fn tcp_upstream(address: SocketAddr, behaviour: Behaviour) -> Arc<AtomicUsize> {
    let listener = TcpListener::bind(address).await.unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let question = read_message(&mut stream, 4096).await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            for answer in behaviour(&question) {
                write_message(&mut stream, &answer).await.unwrap();
            }
        }
    });
    asked
}
