//! The name server outside, where resolvers forward to: authoritative for every name below
//! `bench.test`, without a table. It copies the question and appends the address that the name's
//! number says, so that it takes far less time than whoever forwards to it.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result};
use netd_tests::lab::Namespace;

/// How often it looks whether it is to end.
const POLL: Duration = Duration::from_millis(50);
/// Octets of the header (RFC 1035, 4.1.1).
const HEADER: usize = 12;
/// Digits of the number in a name.
const DIGITS: usize = 8;
/// How long an answer may be kept, seconds.
const TTL: u32 = 300;

/// The server, as long as this value lives.
pub struct Upstream {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Upstream {
    /// Serves UDP port 53 of an address of the namespace.
    pub fn start(namespace: &Namespace, address: Ipv4Addr) -> Result<Upstream> {
        let at = SocketAddr::from((address, 53));
        let socket = namespace.udp_bind(at).context("the upstream's port")?;
        socket.set_read_timeout(Some(POLL))?;
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::new(AtomicU64::new(0));
        let (end, count) = (Arc::clone(&stop), Arc::clone(&asked));
        let thread = std::thread::Builder::new()
            .name("upstream".into())
            .spawn(move || serve(&socket, &end, &count))?;
        Ok(Upstream {
            stop,
            asked,
            thread: Some(thread),
        })
    }

    /// Questions that arrived so far.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(socket: &UdpSocket, stop: &AtomicBool, asked: &AtomicU64) {
    let mut datagram = [0; 512];
    let mut answer = Vec::with_capacity(512);
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut datagram) else {
            continue;
        };
        asked.fetch_add(1, Ordering::Relaxed);
        if write(&datagram[..length], &mut answer).is_some() {
            // A client that is gone is no matter.
            let _ = socket.send_to(&answer, from);
        }
    }
}

/// The answer to a question for an address of `NUMBER.bench.test`; NXDOMAIN for other names. None
/// for what is no question. An OPT record is not answered with one, which RFC 6891, 7 allows.
fn write(question: &[u8], answer: &mut Vec<u8>) -> Option<()> {
    let name = question.get(HEADER..)?;
    let end = HEADER + name.iter().position(|octet| *octet == 0)? + 5;
    answer.clear();
    answer.extend_from_slice(question.get(..end)?);
    let number = name
        .get(1..=DIGITS)
        .filter(|_| name[0] == DIGITS as u8)
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let wants_address = answer[end - 4..end] == [0, 1, 0, 1];
    // QR and AA, RD as it was asked; RA, and NXDOMAIN (3) for names without a number.
    answer[2] = 0x84 | (question[2] & 0x01);
    answer[3] = if number.is_some() { 0x80 } else { 0x83 };
    let number = number.filter(|_| wants_address);
    answer[6..HEADER].copy_from_slice(&[0, u8::from(number.is_some()), 0, 0, 0, 0]);
    if let Some(number) = number {
        // The name by pointer, type A, class IN.
        answer.extend_from_slice(&[0xc0, HEADER as u8, 0, 1, 0, 1]);
        answer.extend_from_slice(&TTL.to_be_bytes());
        answer.extend_from_slice(&[0, 4]);
        answer.extend_from_slice(&Ipv4Addr::from(number).octets());
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use hickory_proto::{
        op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
        rr::{Name, RData, RecordType, rdata::A},
    };

    use super::*;
    use crate::dns::fresh_name;

    fn answer(name: &str, kind: RecordType) -> Message {
        let mut question = Message::new(77, MessageType::Query, OpCode::Query);
        question.metadata.recursion_desired = true;
        question.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        question.set_edns(Edns::new());
        let mut bytes = Vec::new();
        write(&question.to_vec().unwrap(), &mut bytes).unwrap();
        Message::from_vec(&bytes).unwrap()
    }

    #[test]
    fn names_with_a_number_have_it_as_their_address() {
        let given = answer(&fresh_name(0x0a01_02ff), RecordType::A);
        assert_eq!(given.metadata.id, 77);
        assert_eq!(given.metadata.response_code, ResponseCode::NoError);
        assert_eq!(given.answers.len(), 1);
        assert_eq!(given.answers[0].data, RData::A(A::new(10, 1, 2, 255)));
    }

    #[test]
    fn other_types_are_empty_and_other_names_do_not_exist() {
        let empty = answer(&fresh_name(5), RecordType::AAAA);
        assert_eq!(empty.metadata.response_code, ResponseCode::NoError);
        assert!(empty.answers.is_empty());
        let absent = answer("web.bench.test.", RecordType::A);
        assert_eq!(absent.metadata.response_code, ResponseCode::NXDomain);
        let mut bytes = Vec::new();
        assert!(write(&[0; 12], &mut bytes).is_none());
        assert!(write(&[1, 2, 3], &mut bytes).is_none());
    }
}
