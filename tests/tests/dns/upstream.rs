//! A name server outside, for one test: UDP and TCP, a few fixed names, and a record of who asked
//! for what.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{RData, Record, RecordType, rdata::A},
};
use netd_tests::lab::Namespace;

/// How often it looks whether it is to end.
const POLL: Duration = Duration::from_millis(20);
/// How long a TCP client may take.
const IDLE: Duration = Duration::from_secs(5);
/// What `www.example.test` and `ftp.example.test` are.
pub const WWW: [u8; 4] = [192, 0, 2, 80];
/// How many addresses `big.example.test` has: too many for a datagram of 1232 octets.
pub const BIG: u8 = 100;

/// A question that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Who asked.
    pub from: IpAddr,
    /// The name, lower case, with its last dot.
    pub name: String,
    /// How it came.
    pub over_tcp: bool,
}

/// `www.example.test` and `ftp.example.test` have an address, `big.example.test` many, `mute.example.test` gets no answer,
/// `broken.example.test` SERVFAIL, and everything else does not exist. Ends when dropped.
pub struct Upstream {
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Upstream {
    /// Serves port 53 of an address.
    #[track_caller]
    pub fn start(namespace: &Namespace, address: &str) -> Upstream {
        let at = SocketAddr::new(address.parse().expect("an address"), 53);
        let socket = namespace.udp_bind(at).expect("UDP port 53");
        let listener = namespace.tcp_listen(at).expect("TCP port 53");
        socket
            .set_read_timeout(Some(POLL))
            .expect("a socket option");
        listener.set_nonblocking(true).expect("a socket option");
        let asked = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (udp, tcp) = (
            (Arc::clone(&asked), Arc::clone(&stop)),
            (Arc::clone(&asked), Arc::clone(&stop)),
        );
        let threads = vec![
            std::thread::spawn(move || serve_udp(&socket, &udp.0, &udp.1)),
            std::thread::spawn(move || serve_tcp(&listener, &tcp.0, &tcp.1)),
        ];
        Upstream {
            asked,
            stop,
            threads,
        }
    }

    /// What was asked since the last call.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn serve_udp(socket: &UdpSocket, asked: &Mutex<Vec<Asked>>, stop: &AtomicBool) {
    let mut datagram = [0; 4096];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut datagram) else {
            continue;
        };
        let Some((question, mut answer)) = answer(&datagram[..length], from.ip(), false, asked)
        else {
            continue;
        };
        let limit = usize::from(question.max_payload());
        if answer.to_vec().is_ok_and(|bytes| bytes.len() > limit) {
            answer = answer.truncate();
        }
        let _ = socket.send_to(&answer.to_vec().expect("a message"), from);
    }
}

fn serve_tcp(listener: &TcpListener, asked: &Mutex<Vec<Asked>>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, from)) => {
                let _ = converse(stream, from.ip(), asked);
            }
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

fn converse(mut stream: TcpStream, from: IpAddr, asked: &Mutex<Vec<Asked>>) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(IDLE))?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    if let Some((_, answer)) = answer(&message, from, true, asked) {
        let answer = answer.to_vec().expect("a message");
        stream.write_all(&(answer.len() as u16).to_be_bytes())?;
        stream.write_all(&answer)?;
    }
    Ok(())
}

fn answer(
    bytes: &[u8],
    from: IpAddr,
    over_tcp: bool,
    asked: &Mutex<Vec<Asked>>,
) -> Option<(Message, Message)> {
    let question = Message::from_vec(bytes).ok()?;
    let query = question.queries.first()?;
    let name = query.name().to_ascii().to_lowercase();
    let record = Asked {
        from: from.to_canonical(),
        name: name.clone(),
        over_tcp,
    };
    asked
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(record);
    let (rcode, addresses): (ResponseCode, Vec<A>) = match name.as_str() {
        "www.example.test." | "ftp.example.test." => (ResponseCode::NoError, vec![A(WWW.into())]),
        "big.example.test." => {
            let all = (0..BIG).map(|last| A::new(192, 0, 2, last)).collect();
            (ResponseCode::NoError, all)
        }
        "broken.example.test." => (ResponseCode::ServFail, Vec::new()),
        "mute.example.test." => return None,
        _ => (ResponseCode::NXDomain, Vec::new()),
    };
    let mut answer = question.clone().into_response();
    answer.metadata.response_code = rcode;
    answer.metadata.recursion_available = true;
    if query.query_type() == RecordType::A {
        for address in addresses {
            answer.add_answer(Record::from_rdata(
                query.name().clone(),
                60,
                RData::A(address),
            ));
        }
    }
    Some((question, answer))
}
